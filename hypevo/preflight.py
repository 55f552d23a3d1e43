"""Everything that can be found wrong before any training: space, hyperparameters, fitness, trainer, data, places."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hypevo.problem.fitness import Fitness, parse_fitness
from hypevo.problem.hyp import check_hyp, load_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.settings import EvolveSettings
from hypevo.problem.space import Space, load_space
from hypevo.protocol import Finding, InputError, Value
from hypevo.study.search import make_sampler
from hypevo.study.storage import journal
from hypevo.trainings import child as trial
from hypevo.trainings.child import Inspection
from hypevo.trainings.devices import parse_devices
from hypevo.trainings.local import LocalBackend

LOW_DISK = 2 * 1024**3  # bytes


@dataclass(frozen=True)
class Preflight:
    """What the look beforehand found."""

    plan: Plan
    fitness: Fitness
    devices: tuple[str, ...]
    inspection: Inspection
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> list[str]:
        """The messages that stop the study."""
        return [finding.message for finding in self.findings if finding.level == "error"]


def preflight(
    settings: EvolveSettings, backend: LocalBackend, given: tuple[Space, dict[str, Value]] | None = None
) -> Preflight:
    """Check everything, and write nothing.

    Args:
        settings: What the user asked for.
        backend: Runs the trainer's own part of the look.
        given: The individual; that of the settings' files unless given.

    Raises:
        InputError: something cannot even be read; what is merely wrong with the data is among the findings.
    """
    space, hyp = given or individual(settings)
    devices = parse_devices(settings.device)
    findings = _check_places(settings)
    inspection = backend.call(
        trial.inspect,
        settings.trainer,
        dict(settings.options),
        hyp,
        space.to_dict(),
        settings.cache.resolve(),
        device=devices[0],
    )
    try:
        fitness = parse_fitness(settings.fitness, inspection.metrics)
        fitness.try_out(inspection.metrics)
    except ValueError as error:
        raise InputError(f"--fitness: {error}") from error
    plan = Plan(
        trainer=inspection.trainer,
        settings=inspection.settings,
        space=space,
        hyp=hyp,
        fitness=fitness.text,
        trial_seed=settings.trial_seed,
        seed=settings.seed,
    )
    make_sampler(settings.sampler, plan, trials=0)  # refuses one whose package is not there
    findings += [*inspection.findings, *_frozen_at_zero(plan, settings.sampler)]
    return Preflight(plan, fitness, devices, inspection, tuple(findings))


def individual(settings: EvolveSettings, *, searches: bool = True) -> tuple[Space, dict[str, Value]]:
    """The search space and the complete default individual.

    Args:
        settings: What the user asked for.
        searches: Whether a search follows; without one no value is held to its bounds, and every gene may be frozen.

    Raises:
        InputError: a file is missing or wrong.
    """
    searched = None if searches else ()
    try:
        space = load_space(settings.space)
        if settings.only:
            space = space.only(settings.only)
        if settings.freeze:
            space = space.freeze(settings.freeze)
        if settings.hyp is None:
            hyp = check_hyp({}, space, searched=searched)
        else:
            hyp = check_hyp(load_hyp(settings.hyp), space, searched=searched, source=settings.hyp)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    if searches and not space.movable:
        raise InputError(
            "nothing to evolve: every gene of the search space is frozen (gain 0, or low = high)"
        )
    return space, hyp


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


def _check_places(settings: EvolveSettings) -> list[Finding]:
    """Whether every folder can be made and filled; none is made yet.

    Raises:
        InputError: one cannot.
    """
    places = {"--out": settings.folder, "--cache-dir": settings.cache}
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
