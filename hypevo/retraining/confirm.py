"""Does the winner really win? Baseline and the best trials, trained again with fresh seeds, compared pair by pair.

The best of many noisy results is lucky as well as good, so its own fitness says too much. Here each candidate is
trained with the same fresh seeds as the default hyperparameters, and the differences decide: mean ± half-width of a
Student-t interval over the seeds, at 95 % for all candidates together (Bonferroni).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from scipy.stats import t as student

from hypevo.files import write_atomically
from hypevo.messages import refuse
from hypevo.problem.fitness import Fitness, parse_fitness
from hypevo.problem.plan import Plan
from hypevo.protocol import InputError, Job, Outcome
from hypevo.results.evolve_csv import Row
from hypevo.results.hyp_file import write_hyp_evolved
from hypevo.study.exports import CONFIRMED
from hypevo.study.lease import lock
from hypevo.study.storage import finished, load_plan, load_study
from hypevo.tracking.provenance import provenance
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings import child
from hypevo.trainings.devices import parse_devices
from hypevo.trainings.local import LocalBackend
from hypevo.trainings.record import Record
from samplers import recommend

BASELINE, RECOMMENDED = "baseline", "recommended"
FRESH = 10_000  # added to the study's seed: the seeds of a confirmation are none of the search's
LEVEL = 0.95


@dataclass(frozen=True)
class ConfirmSettings:
    """The options of `hypevo confirm`."""

    study: str | None = None
    storage: str = "mlruns/optuna.journal"
    top: int = 1  # candidates: so many of the best trials
    recommended: bool = False  # one more candidate: the mean of the elite
    seeds: int = 5
    options: Mapping[str, Any] | None = None  # of the trainer, over those of the study: more epochs, say
    device: str = "auto"
    out: Path = Path("runs/evolve")
    cache: Path = Path("runs/cache")
    experiment: str | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"--top: expected 1 or more; got {self.top}")
        if self.seeds < 2:
            raise InputError(
                f"--seeds: expected 2 or more, or there is no spread to judge by; got {self.seeds}"
            )


@dataclass(frozen=True)
class Verdict:
    """What the fresh seeds say of one candidate."""

    candidate: str
    gain: float  # mean paired difference of fitness, candidate − baseline
    half_width: float  # of its interval
    pairs: int
    search_fitness: float  # what the search had seen; nan for the recommended one, which it had not trained
    fitness: float  # mean over the fresh seeds

    @property
    def judged(self) -> bool:
        """Whether enough trainings succeeded to say anything."""
        return self.pairs >= 2

    @property
    def wins(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.gain - self.half_width > 0

    def to_dict(self) -> dict[str, Any]:
        """The verdict for JSON, which knows no nan: what there is none of is null."""
        values = {**asdict(self), "wins": self.wins}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}

    def __str__(self) -> str:
        """The verdict in words."""
        numbers = f"{self.gain:+.4f} ± {self.half_width:.4f}"
        if not self.judged:
            return (
                f"{self.candidate}: cannot be judged, {self.pairs} of its seeds were trained with it and with the "
                f"baseline and 2 are needed; the same command tries lost trainings again"
            )
        over = f"over {self.pairs} seeds"
        if self.wins:
            return f"{self.candidate}: gain {numbers} {over}"
        return f"{self.candidate}: no significant gain ({numbers} {over})"


@dataclass(frozen=True)
class _Training:
    candidate: str
    hyp: Mapping[str, float]
    seed: int
    record: Record

    @property
    def open(self) -> bool:
        """Whether it has to run: it has not ended, or was lost through no fault of its hyperparameters."""
        result = self.record.result
        return result is None or (result.failure is not None and result.failure.lost)


def confirm(settings: ConfirmSettings, console: Console) -> list[Verdict]:
    """Train what has not been trained yet, and judge. Interrupted, the same call goes on where it was.

    Raises:
        InputError: no such study, nothing finished in it, or its data are gone.
    """
    study = load_study(settings.storage, settings.study)
    plan = load_plan(study)
    ranked = sorted(finished(study), key=lambda trial: (-(trial.value or -math.inf), trial.number))[
        : settings.top
    ]
    if not ranked:
        raise InputError(f"study «{study.study_name}» has no finished trial yet")
    candidates: dict[str, dict[str, float]] = {BASELINE: dict(plan.hyp)}
    candidates |= {f"trial {trial.number}": {**plan.hyp, **trial.params} for trial in ranked}
    searched = {f"trial {trial.number}": trial.value or math.nan for trial in ranked}
    if settings.recommended:
        candidates[RECOMMENDED] = {**plan.hyp, **recommend(study)}
        searched[RECOMMENDED] = math.nan  # the search has not trained it
    backend = LocalBackend(plan.trainer)
    try:
        prepared, fitness, metrics = _prepare(settings, plan, backend)
        folder = settings.out / study.study_name / f"confirm-{_digest(prepared.settings)}"
        trainings = [
            _training(folder, name, hyp, plan.seed + FRESH, index)
            for index in range(settings.seeds)  # seed by seed, so that pairs are complete early
            for name, hyp in candidates.items()
        ]
        with lock(folder.parent / "confirm", study.study_name):  # two would empty each other's folders
            results = _train_all(settings, plan, prepared, trainings, backend, fitness, folder, console)
    finally:
        backend.close()
    verdicts = [_judge(name, results, searched[name], len(searched)) for name in searched]
    write_atomically(
        folder / "verdict.json", json.dumps([verdict.to_dict() for verdict in verdicts], indent=1)
    )
    winner = max((verdict for verdict in verdicts if verdict.wins), key=lambda v: v.gain, default=None)
    if winner is not None:
        means = {
            name: fmean(values) for name in metrics if (values := _metric(trainings, winner.candidate, name))
        }
        row = Row(0, means, candidates[winner.candidate], winner.fitness)
        write_hyp_evolved(settings.out / study.study_name / CONFIRMED, row, generation=0, last=0)
    return verdicts


def paired_interval(differences: Sequence[float], comparisons: int = 1) -> tuple[float, float]:
    """Mean and half-width of a Student-t interval, two-sided, at 95 % for all `comparisons` together.

    Args:
        differences: one per seed, at least two.
        comparisons: candidates judged at once.
    """
    n = len(differences)
    quantile = float(student.ppf(1 - (1 - LEVEL) / comparisons / 2, n - 1))
    return fmean(differences), quantile * stdev(differences) / math.sqrt(n)


def _training(folder: Path, name: str, hyp: Mapping[str, float], first_seed: int, index: int) -> _Training:
    """One training of a candidate; its number stays the same when more candidates or seeds are asked for."""
    fixed = {BASELINE: 0, RECOMMENDED: 1}
    rank = fixed[name] if name in fixed else int(name.removeprefix("trial ")) + 2
    seed = first_seed + index
    record = Record(folder / f"{name.replace(' ', '-')}-seed-{seed}", rank * 1000 + index)
    return _Training(name, hyp, seed, record)


def _prepare(
    settings: ConfirmSettings, plan: Plan, backend: LocalBackend
) -> tuple[child.Prepared, Fitness, tuple[str, ...]]:
    """The trainer's options, checked and prepared, the study's fitness, and the names of the metrics."""
    wanted = {**plan.settings, **(settings.options or {})}
    cache = settings.cache.resolve()
    look = backend.call(child.inspect, plan.trainer, wanted, dict(plan.hyp), plan.space.to_dict(), cache)
    refuse([finding.message for finding in look.findings if finding.level == "error"])
    prepared: child.Prepared = backend.call(child.prepare, plan.trainer, look.settings, cache)
    return prepared, parse_fitness(plan.fitness, look.metrics), look.metrics


def _train_all(
    settings: ConfirmSettings,
    plan: Plan,
    prepared: child.Prepared,
    trainings: Sequence[_Training],
    backend: LocalBackend,
    fitness: Fitness,
    folder: Path,
    console: Console,
) -> dict[tuple[str, int], float]:
    """The fitness of every (candidate, seed); a failed training has none."""
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(folder.parent.name + " confirmed", Store.default())
    known = folder / "mlflow_run"
    parent = tracker.open(
        known.read_text() if known.exists() else None,
        experiment=settings.experiment,
        otherwise="hypevo-confirm",
        params={
            "seeds": settings.seeds,
            "fitness": plan.fitness,
            **{f"trainer.{k}": v for k, v in prepared.settings.items()},
        },
        tags=provenance(prepared.fingerprint),
        dataset=prepared.settings.get("data"),
        fingerprint=prepared.fingerprint,
    )
    write_atomically(known, parent)
    for training in trainings:
        if (outcome := training.record.unscored) is not None:  # its fitness function failed last time
            training.record.finish(outcome, fitness(outcome.metrics))
            tracker.update(training.record)
    free = list(parse_devices(settings.device))
    waiting = [training for training in trainings if training.open]
    running: dict[Future[Outcome], tuple[_Training, str]] = {}
    done = len(trainings) - len(waiting)
    state, status = "interrupted", "KILLED"
    try:
        while waiting or running:
            while free and waiting:
                training, device = waiting.pop(0), free.pop(0)
                tags = {"hypevo.candidate": training.candidate, "hypevo.seed": str(training.seed)}
                attempt = int(training.record.details.get("attempt", 0)) + 1
                details = {"attempt": attempt, "seed": training.seed, "device": device, "tags": tags}
                training.record.start(training.hyp, details)
                job = Job(
                    plan.trainer,
                    training.hyp,
                    training.record.folder.resolve(),
                    training.seed,
                    device,
                    prepared.settings,
                )
                running[backend.submit(job, _reporter(training.record, tracker))] = training, device
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                training, device = running.pop(future)
                outcome = future.result()
                value = None
                if outcome.failure is None:
                    training.record.finish(outcome, None)  # before a user's function has a chance to fail
                    value = fitness(outcome.metrics)
                training.record.finish(outcome, value)
                tracker.update(training.record)
                free.append(device)
                done += 1
                shown = (
                    f"fitness {value:.5f}" if value is not None else f"{outcome.failure}: {outcome.reason}"
                )
                console.print(
                    f"{done}/{len(trainings)} · {training.candidate} · seed {training.seed} · {shown}",
                    markup=False,
                    highlight=False,
                )
        state, status = "complete", "FINISHED"
    finally:
        backend.close()
        tracker.close(status, state)
    results: dict[tuple[str, int], float] = {}
    for training in trainings:
        result = training.record.result
        if result is not None and result.fitness is not None and math.isfinite(result.fitness):
            results[training.candidate, training.seed] = result.fitness
    return results


def _reporter(record: Record, tracker: Tracker) -> Any:
    def report(step: int, metrics: dict[str, float]) -> None:
        record.add_epoch(step, metrics)
        tracker.update(record)

    return report


def _judge(name: str, results: Mapping[tuple[str, int], float], searched: float, comparisons: int) -> Verdict:
    seeds = sorted(
        {seed for candidate, seed in results if (BASELINE, seed) in results and (name, seed) in results}
    )
    if len(seeds) < 2:
        return Verdict(name, math.nan, math.inf, len(seeds), searched, math.nan)
    differences = [results[name, seed] - results[BASELINE, seed] for seed in seeds]
    gain, half_width = paired_interval(differences, comparisons)
    return Verdict(name, gain, half_width, len(seeds), searched, fmean(results[name, seed] for seed in seeds))


def _metric(trainings: Sequence[_Training], candidate: str, name: str) -> list[float]:
    found = (training.record.result for training in trainings if training.candidate == candidate)
    return [result.metrics[name] for result in found if result is not None and name in result.metrics]


def _digest(options: Mapping[str, Any]) -> str:
    """Confirmations with other options (more epochs) do not mix."""
    return hashlib.sha256(json.dumps(dict(options), sort_keys=True).encode()).hexdigest()[:8]
