"""Does the winner really win? The best trials and the default, trained again with fresh seeds.

A training belongs to its hyperparameters, its seed, its data and its settings, and is reused by every later call that
wants the same. What the results mean is in `hypevo.retraining.verdict`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hypevo.files import write_atomically
from hypevo.messages import refuse
from hypevo.preflight import inspect
from hypevo.problem.fitness import parse_fitness
from hypevo.problem.plan import Plan
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError, WorkError
from hypevo.results.evolve_csv import Row
from hypevo.results.hyp_file import write_hyp_confirmed
from hypevo.retraining.candidates import Candidate, CandidateTrainings, digest, fitness_of, training_of
from hypevo.retraining.verdict import Verdict, error_of_look, judge
from hypevo.study.attributes import SEED_NOISE
from hypevo.study.exports import CONFIRMED, trained_with
from hypevo.study.identity import identity_of
from hypevo.study.lease import lock
from hypevo.study.opening import study_folder
from hypevo.study.storage import load_plan, load_study, ranked, trained_by
from hypevo.tracking.provenance import provenance
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings import child, make_backend
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import Training, Watcher, Work
from samplers import recommend

DEFAULT, RECOMMENDED = "default", "recommended"
FRESH = 10_000  # added to the study's seed: the seeds of a confirmation are none of the search's
VERDICT = "verdict.json"


@dataclass(frozen=True)
class Confirmation:
    """What came out of a confirmation.

    Attributes:
        study: Its name.
        folder: Where its trainings and its verdict are.
        seeds: Fresh seeds per candidate.
        settings: The trainer's settings that the trainings ran with.
        look: How many different looks there were in this folder, this one included.
        verdicts: One for each candidate; none after an interruption.
        interrupted: Whether the user stopped it.
        undelivered: Trainings that MLflow has not got.
        seed_noise: Standard deviation of the default's fitness over the seeds; nan for fewer than three.
    """

    study: str
    folder: Path
    seeds: int
    settings: Mapping[str, Any]
    look: int
    verdicts: tuple[Verdict, ...]
    interrupted: bool
    undelivered: int
    seed_noise: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """The confirmation for JSON."""
        return {
            "study": self.study,
            "folder": str(self.folder),
            "data": self.settings.get("data"),
            "epochs": self.settings.get("epochs"),
            "seeds": self.seeds,
            "look": self.look,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


def confirm(settings: ConfirmSettings, watcher: Watcher) -> Confirmation:
    """Train what has not been trained yet, and judge. Interrupted, the same call goes on where it was.

    Raises:
        InputError: no such study, nothing finished in it, or its data are gone.
        WorkError: a user's fitness function failed.
    """
    study = load_study(settings.storage, settings.study)
    plan = replace(load_plan(study), settings=trained_by(study))
    best = ranked(study)[: settings.top]
    if not best:
        raise InputError(f"study «{study.study_name}» has no finished trial yet")
    candidates = [
        Candidate(f"trial {trial.number}", trained_with(trial, plan), _number(trial.value)) for trial in best
    ]
    if settings.recommended:
        candidates.append(Candidate(RECOMMENDED, {**plan.hyp, **recommend(study)}))
    folder = study_folder(study, settings.out)
    with lock(folder / "confirm", study.study_name):  # two would empty each other's folders
        confirmation = _confirm(settings, study.study_name, plan, candidates, folder, watcher)
    if not settings.options and not math.isnan(confirmation.seed_noise):  # of trainings as the study's own
        study.set_user_attr(SEED_NOISE, confirmation.seed_noise)
    return confirmation


def _confirm(
    settings: ConfirmSettings,
    study: str,
    plan: Plan,
    candidates: Sequence[Candidate],
    home: Path,
    watcher: Watcher,
) -> Confirmation:
    backend = make_backend(
        plan.trainer,
        device=settings.device,
        slots_per_device=settings.slots_per_device,
        placed=settings,
        out=settings.out,
        tell=watcher.message,
    )
    try:
        wanted = {**plan.settings, **settings.options}
        cache = settings.cache.resolve()
        inspection = inspect(plan.trainer, wanted, plan.hyp, plan.space, cache, backend)
        watcher.found(inspection.findings)
        refuse([finding.message for finding in inspection.findings if finding.level == "error"])
        prepared = backend.prepare(plan.trainer, inspection.settings, cache)
        fitness = parse_fitness(plan.fitness, inspection.metrics)
        identity = identity_of(
            {key: value for key, value in inspection.settings.items() if key not in inspection.neutral},
            prepared.fingerprint,
        )
        folder = home / f"confirm-{digest(identity)[:8]}"
        folder.mkdir(parents=True, exist_ok=True)
        default = Candidate(DEFAULT, plan.hyp)
        trainings = {
            (candidate.key, seed): training_of(folder, candidate, seed)
            for seed in range(
                plan.seed + FRESH, plan.seed + FRESH + settings.seeds
            )  # pairs are complete early
            for candidate in (*reversed(candidates), default)  # of equal ones the default gives the name
        }
        tracker = _tracker(settings, study, plan, prepared, folder, watcher)
        source = CandidateTrainings(list(trainings.values()), tracker, watcher)
        work = Work(
            plan.trainer,
            prepared.settings,
            fitness,
            settings.retries,
            settings.trial_timeout,
            settings.stagger,
            declared=inspection.metrics,
            weights=inspection.weights,
        )
        watcher.opened(
            f"{study} confirmed",
            total=len(trainings),
            done=source.done,
            best=None,
            seconds=math.nan,
            slots=len(backend.slots()),
            epochs=prepared.settings.get("epochs"),
        )
        end = Slots(backend, source, work, watcher).run()
    finally:
        backend.close()
    complete = not (end.interrupted or end.unscored)
    verdicts: tuple[Verdict, ...] = ()
    look, seed_noise = 0, math.nan
    if complete:
        look = _look(folder, settings.seeds, [candidate.key for candidate in candidates])
        error = error_of_look(look) / len(candidates)
        scores = {
            key: {
                seed: fitness_of(training.record) for (of, seed), training in trainings.items() if of == key
            }
            for key in {candidate.key for candidate in (default, *candidates)}
        }
        known = [value for value in scores[default.key].values() if value is not None]
        seed_noise = stdev(known) if len(known) >= 3 else math.nan
        verdicts = tuple(
            replace(
                judge(
                    one.name,
                    scores[one.key],
                    scores[default.key],
                    error=error,
                    search_fitness=one.search_fitness,
                ),
                same=one.key == default.key,
            )
            for one in candidates
        )
    undelivered = tracker.close(
        "FINISHED" if complete else "KILLED", "complete" if complete else "interrupted"
    )
    source.catch_up()
    if end.unscored:
        raise WorkError(
            f"{end.unscored}; nothing is lost: correct the fitness and run the same command again"
        )
    confirmation = Confirmation(
        study,
        folder,
        settings.seeds,
        inspection.settings,
        look,
        verdicts,
        end.interrupted,
        undelivered,
        seed_noise,
    )
    if complete:
        write_atomically(folder / VERDICT, json.dumps(confirmation.to_dict(), indent=1))
        _write_winner(home / CONFIRMED, confirmation, candidates, trainings, watcher)
    return confirmation


def _tracker(
    settings: ConfirmSettings,
    study: str,
    plan: Plan,
    prepared: child.Prepared,
    folder: Path,
    watcher: Watcher,
) -> Tracker:
    tracker = Tracker(f"{study} confirmed", Store.default(), tell=watcher.message, title=f"confirm {study}")
    known = folder / "mlflow_run"
    parent = tracker.open(
        known.read_text() if known.exists() else None,
        experiment=settings.experiment,
        params={
            "seeds": settings.seeds,
            "fitness": plan.fitness,
            **{f"trainer.{key}": value for key, value in prepared.settings.items()},
        },
        tags=provenance(prepared.fingerprint, prepared.versions),
        dataset=prepared.settings.get("data"),
        fingerprint=prepared.fingerprint,
        otherwise="hypevo-confirm",
    )
    write_atomically(known, parent)
    return tracker


def _look(folder: Path, seeds: int, keys: Sequence[str]) -> int:
    """Which look at the results of this folder this is, counted from 1; the same one again is no new one."""
    path = folder / "looks.json"
    try:
        looks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        looks = []
    this = [seeds, *sorted(keys)]
    if this not in looks:
        looks.append(this)
        write_atomically(path, json.dumps(looks))
    return int(looks.index(this)) + 1


def _write_winner(
    path: Path,
    confirmation: Confirmation,
    candidates: Sequence[Candidate],
    trainings: Mapping[tuple[str, int], Training],
    watcher: Watcher,
) -> None:
    """Write the hyp file of the best winner; without one, withdraw that of an earlier verdict."""
    winner = max((v for v in confirmation.verdicts if v.wins), key=lambda v: v.gain, default=None)
    if winner is None:
        if path.exists():
            path.unlink()
            watcher.message(f"withdrawn: {path}; the verdict that it stood for no longer holds")
        return
    hyp = next(candidate.hyp for candidate in candidates if candidate.name == winner.candidate)
    key = Candidate(winner.candidate, hyp).key
    results = [training.record.result for (of, _), training in trainings.items() if of == key]
    metrics = [result.metrics for result in results if result is not None and result.failure is None]
    means = {name: fmean(values[name] for values in metrics if name in values) for name in metrics[0]}
    fresh = sorted({seed for _, seed in trainings})
    known = {name: confirmation.settings.get(name) for name in ("data", "epochs")}
    conditions = [f"{name} {value}" for name, value in known.items() if value is not None]
    conditions.append(f"seeds {fresh[0]} to {fresh[-1]}")
    row = Row(0, means, hyp, winner.fitness)
    write_hyp_confirmed(path, row, verdict=str(winner), conditions=", ".join(conditions))


def _number(value: float | None) -> float:
    return math.nan if value is None else value
