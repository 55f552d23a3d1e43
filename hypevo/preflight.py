"""Everything that can be found wrong before any training: space, hyperparameters, fitness, trainer, data, places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypevo.problem.fitness import Fitness, parse_fitness
from hypevo.problem.hyp import check_hyp, load_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.settings import StudySettings, TrainingSettings
from hypevo.problem.space import Space, load_space
from hypevo.protocol import Finding, InputError, Value, WorkError
from hypevo.study.search import make_sampler
from hypevo.study.storage import journal
from hypevo.trainings import child
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
    space, hyp = individual(settings)
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
    settings: TrainingSettings, space: Space, hyp: dict[str, Value], backend: Backend
) -> Preflight:
    """Check what a training needs: places, trainer, data, fitness.

    Raises:
        InputError: as `preflight`.
    """
    findings = _check_places(settings)
    inspection = inspect(settings.trainer, settings.options, hyp, space, settings.cache, backend)
    try:
        fitness = parse_fitness(settings.fitness, inspection.metrics)
        fitness.try_out(inspection.metrics)
    except ValueError as error:
        raise InputError(f"--fitness: {error}") from error
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


def individual(settings: TrainingSettings) -> tuple[Space, dict[str, Value]]:
    """The search space and the complete default individual; a training without a search has no bounds to keep.

    Raises:
        InputError: a file is missing or wrong.
    """
    searched = None if isinstance(settings, StudySettings) else ()
    try:
        space = load_space(settings.space)
        if isinstance(settings, StudySettings):
            if settings.only:
                space = space.only(settings.only)
            if settings.freeze:
                space = space.freeze(settings.freeze)
        if settings.hyp is None:
            return space, check_hyp({}, space, searched=searched)
        return space, check_hyp(load_hyp(settings.hyp), space, searched=searched, source=settings.hyp)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error


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
