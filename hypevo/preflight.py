"""Everything that can be found wrong before any training: space, hyperparameters, fitness, trainer, data, places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypevo.problem.fitness import Fitness, parse_fitness, usual_fitness
from hypevo.problem.hyp import check_hyp, load_hyp, read_individual
from hypevo.problem.plan import Plan
from hypevo.problem.settings import StudySettings, TrainingSettings
from hypevo.problem.space import Space, load_space
from hypevo.protocol import Finding, InputError, Value, WorkError
from hypevo.study.search import make_sampler
from hypevo.study.storage import journal
from hypevo.trainings import child, offer
from hypevo.trainings.backend import Backend
from hypevo.trainings.child import Inspection

LOW_DISK = 2 * 1024**3  # bytes


@dataclass(frozen=True)
class Preflight:
    """What was found before anything is trained."""

    inspection: Inspection
    fitness: Fitness
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[str]:
        """The messages that stop the work."""
        return [finding.message for finding in self.findings if finding.level == "error"]


@dataclass(frozen=True)
class StudyPreflight(Preflight):
    """The same of a study, and its plan."""

    plan: Plan


def preflight(settings: StudySettings, backend: Backend) -> StudyPreflight:
    """Check everything that a study needs, and write nothing.

    Args:
        settings: What the user asked for.
        backend: Runs the trainer's own part of the check.

    Raises:
        InputError: something cannot even be read; what is merely wrong with the data is among the findings.
    """
    space, hyp = individual(settings, backend)
    if not space.movable:
        raise InputError(
            "nothing to evolve: every gene of the search space is frozen (gain 0, or low = high)"
        )
    found = preflight_training(settings, space, hyp, backend)
    plan = Plan(
        trainer=found.inspection.trainer,
        settings={
            name: value
            for name, value in found.inspection.settings.items()
            if name not in found.inspection.neutral
        },
        space=space,
        hyp=hyp,
        fitness=found.fitness.text,
        trial_seed=settings.trial_seed,
        seed=settings.seed,
    )
    make_sampler(settings.sampler, plan, n_trials=0)  # refuses one whose package is not there
    findings = (*found.findings, *_frozen_at_zero(plan, settings.sampler))
    return StudyPreflight(found.inspection, found.fitness, findings, plan)


def preflight_training(
    settings: TrainingSettings,
    space: Space,
    hyp: dict[str, Value],
    backend: Backend,
    *,
    of_a_study: bool = False,
) -> Preflight:
    """Check what a training needs: places, trainer, data, fitness.

    Args:
        settings: What the user asked for.
        space: The genes.
        hyp: Their values.
        backend: Asks the trainer.
        of_a_study: Whether the genes are those that a study has, so that none are assumed here.

    Raises:
        InputError: as `preflight`.
    """
    findings = _check_places(settings)
    inspection = inspect(settings.trainer, settings.options, hyp, space, settings.cache, backend)
    if not of_a_study and settings.space is None and space and not inspection.brings_genes:
        findings.append(Finding("warning", _ASSUMED.format(trainer=inspection.trainer, count=len(space))))
    fitness = _fitness(settings.fitness, inspection)
    return Preflight(inspection, fitness, (*findings, *inspection.findings))


def inspect(
    trainer: str,
    options: Mapping[str, Any],
    hyp: Mapping[str, Value],
    space: Space,
    cache: Path,
    backend: Backend,
) -> Inspection:
    """Learn what a trainer needs and finds wrong, on the devices that it would train on.

    Raises:
        InputError: as `child.inspect` and `probe`.
    """
    findings = probe(trainer, options, backend)
    works = all(finding.level != "error" for finding in findings)
    slot = backend.slots()[0] if works else None
    device = None if slot is None else slot.device
    found: Inspection = backend.call(
        child.inspect, trainer, dict(options), hyp, space.to_dict(), cache.resolve(), device, slot=slot
    )
    return replace(found, findings=(*findings, *found.findings))


def probe(trainer: str, options: Mapping[str, Any], backend: Backend) -> list[Finding]:
    """Try every device out, all at the same time, as far as the trainer knows how.

    Raises:
        InputError: there is no such trainer, or it has no such option.
    """
    slots = {slot.place: slot for slot in backend.slots()}
    with ThreadPoolExecutor(len(slots)) as threads:
        answers = {
            place: threads.submit(backend.call, child.probe, trainer, dict(options), slot.device, slot=slot)
            for place, slot in slots.items()
        }
    findings = []
    for place, answer in answers.items():
        try:
            line = answer.result()
        except (InputError, WorkError) as error:
            instead = backend.instead_of(place)
            level, then = ("error", "") if instead is None else ("warning", f"; going on with {instead}")
            findings.append(Finding(level, f"device {place} cannot be used: {error}{then}"))
        else:
            findings += [Finding("note", f"device {place}: {line}")] if line else []
    return findings


def individual(settings: TrainingSettings, backend: Backend) -> tuple[Space, dict[str, Value]]:
    """The search space and the complete default individual; a training without a search has no bounds to keep.

    Args:
        settings: What the user asked for.
        backend: Asks the trainer which genes it brings.

    Raises:
        InputError: a file is missing or wrong, or nobody says what the genes are.
    """
    nobody_names_them = settings.space is None and (
        isinstance(settings, StudySettings) or settings.hyp is None
    )
    entries = backend.call(
        offer.genes_of,
        settings.trainer,
        dict(settings.options),
        settings.cache.resolve(),
        nobody_names_them,
        slot=backend.slots()[0],
    )
    brought = None if entries is None else Space.from_dict(entries)
    try:
        if settings.space is not None:
            space = load_space(settings.space, brought)
        elif brought is not None:
            space = brought
        elif settings.hyp is not None and not isinstance(settings, StudySettings):
            return Space([]), load_hyp(settings.hyp)  # a training has the values that are given
        elif not isinstance(settings, StudySettings):
            raise InputError(
                f"{settings.trainer} brings no hyperparameters; expected a file of their values, --hyp"
            )
        else:
            raise InputError(_NO_GENES.format(trainer=settings.trainer))
        if not isinstance(settings, StudySettings):
            return space, _hyp(settings, space, searched=())
        if settings.only:
            space = space.only(settings.only)
        if settings.freeze:
            space = space.freeze(settings.freeze)
        return space, _hyp(settings, space, searched=None)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error


_ASSUMED = """\
{trainer} brings no genes. It returns the metrics of detectors, so YOLOv5's {count} genes are taken. To say so \
yourself, write SPACE = "yolov5" in its module; other genes go into SPACE, or into a --space file"""
_NO_GENES = """\
{trainer} brings no hyperparameters of its own. Expected a file that names them, --space my_space.yaml, such as
  lr: {{low: 1e-5, high: 0.1, log: true, default: 0.01}}     # a float
  layers: {{low: 1, high: 6, type: int, default: 2}}         # a whole number
  act: {{choices: [relu, tanh], default: relu}}              # words, numbers, or true and false
or the same in the trainer's module, as SPACE = {{"lr": {{"low": 1e-5, "high": 0.1, "log": True, "default": 0.01}}}}.
To search YOLOv5's, write SPACE = "yolov5" there, or `inherit: true` into the file."""


def _hyp(settings: TrainingSettings, space: Space, *, searched: tuple[str, ...] | None) -> dict[str, Value]:
    if settings.hyp is None:
        return check_hyp({}, space, searched=searched)
    return read_individual(settings.hyp, space, trainer=settings.trainer, searched=searched)


def _fitness(asked: str | None, inspection: Inspection) -> Fitness:
    """What the user asks for, else what the trainer names, else that of detectors where it has their metrics.

    Raises:
        InputError: nobody says what to maximise, or it cannot be computed from the metrics.
    """
    metrics = inspection.metrics
    whose, text = "--fitness", asked or ""
    if not text and inspection.fitness:
        whose, text = f"FITNESS of {inspection.trainer}", inspection.fitness
    text = text or usual_fitness(metrics)
    if not text:
        example = metrics[0] if metrics else "accuracy"
        raise InputError(
            f"--fitness: expected what to maximise, as in --fitness {example}; {inspection.trainer} names none "
            f"(FITNESS in its module)" + (f", and returns {', '.join(metrics)}" if metrics else "")
        )
    try:
        fitness = parse_fitness(text, metrics)
        fitness.try_out(metrics)
    except ValueError as error:
        raise InputError(f"{whose}: {error}") from error
    return fitness


def _frozen_at_zero(plan: Plan, sampler: str) -> list[Finding]:
    """The classic operator multiplies, so that a gene at 0 stays there for ever."""
    if sampler != "classic":
        return []
    stuck = [gene.name for gene in plan.space.movable if plan.hyp[gene.name] == 0]
    if not stuck:
        return []
    return [
        Finding(
            "note",
            f"start at 0 and cannot move under the classic sampler, which multiplies: {', '.join(stuck)}. "
            f"Give them a start above 0 in --hyp, or use --sampler adaptive",
        )
    ]


def _check_places(settings: TrainingSettings) -> list[Finding]:
    """Whether every folder can be made and filled; none is made yet.

    Raises:
        InputError: one cannot.
    """
    places = {"--out": settings.out, "--cache-dir": settings.cache}
    if isinstance(settings, StudySettings):
        places["--out"] = settings.folder
        kept = journal(settings.storage)
        if kept is not None:
            places["--storage"] = kept.parent
    short: dict[Path, float] = {}  # folder -> free GiB
    for option, folder in places.items():
        there = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"cannot write into {there}; choose another place with {option}")
        free = shutil.disk_usage(there).free
        if free < LOW_DISK:
            short[there] = free / 1024**3
    return [Finding("warning", f"only {free:.1f} GiB free in {there}") for there, free in short.items()]
