"""How far one driver goes: a thousand slots, thousands of trials, with trainings that are only waited for.

    python benchmarks/scale.py --slots 1000 --trials 3000                     from nothing
    python benchmarks/scale.py --slots 1000 --trials 1000 --history 20000     with a history

A training is a timer: it reports 10 epochs × 10 metrics and ends after a time that is log-normal around `--minutes`,
divided by `--faster`. Driver, sampler, Optuna's storage, MLflow's store, folders and exports are the real ones. A slot
stands idle from the end of its training to the start of its next one; those seconds are the driver's own and are not
divided, so they are set against trainings of full length. The driver works `--faster` times as hard as in earnest.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

if TYPE_CHECKING:
    from optuna.trial import Trial

    from hypevo.evolution.driver import Summary
    from hypevo.problem.settings import EvolveSettings
    from hypevo.protocol import Job, Outcome
    from hypevo.trainings.backend import Events, Slot
    from hypevo.trainings.child import Prepared
    from hypevo.trainings.work import Training, Watcher

HERE = Path(__file__).resolve().parent
EPOCHS = 10
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")
Mark = tuple[int, float, float]  # finished trials, CPU seconds, resident MB


class Timers:
    """A backend whose trainings are timers, all kept by one thread."""

    def __init__(self, slots: int, seconds: float) -> None:
        from hypevo.trainings.backend import Slot

        per_machine = 8
        self._slots = [Slot(str(n % per_machine), 0, f"m{n // per_machine}") for n in range(slots)]
        self._seconds = seconds
        self._chance = random.Random(0)
        self._due: list[tuple[float, int, Any]] = []  # what to call, and with what, is never compared
        self._count = itertools.count()
        self._there = threading.Condition()
        # machine and device -> when its last training ended
        self._free_since: dict[tuple[str, str], float] = {}
        self.idle: list[float] = []  # seconds
        self.begun: list[float] = []  # moments of the starts
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, job: Job, events: Events) -> Future[Outcome]:
        """Start a timer."""
        now = time.perf_counter()
        place = job.node, job.device
        self.begun.append(now)
        if place in self._free_since:
            self.idle.append(now - self._free_since.pop(place))
        future: Future[Outcome] = Future()
        length = self._seconds * self._chance.lognormvariate(-0.045, 0.3)
        rate, momentum = float(job.hyp["lr0"]), float(job.hyp["momentum"])
        quality = math.exp(-((math.log10(rate) + 1.5) ** 2)) * (1 - abs(momentum - 0.9))
        events.started(f"{job.node}:{job.device}")
        with self._there:
            for epoch in range(EPOCHS):
                grown = quality * (epoch + 1) / EPOCHS
                losses = {
                    "train/box_loss": 1 - grown,
                    "train/obj_loss": 1 - grown,
                    "train/cls_loss": 1 - grown,
                }
                metrics = dict.fromkeys(METRICS, grown) | losses
                self._put(now + length * (epoch + 1) / (EPOCHS + 1), events.report, epoch, metrics)
            self._put(now + length, self._end, future, place, quality, length)
            self._there.notify()
        return future

    def _put(self, when: float, *what: Any) -> None:
        heapq.heappush(self._due, (when, next(self._count), what))

    def _end(self, future: Future[Outcome], place: tuple[str, str], quality: float, length: float) -> None:
        from hypevo.protocol import Outcome

        self._free_since[place] = time.perf_counter()
        future.set_result(Outcome(dict.fromkeys(METRICS, quality), seconds=length))

    def _run(self) -> None:
        while True:
            with self._there:
                while not self._due or self._due[0][0] > time.perf_counter():
                    self._there.wait(self._due[0][0] - time.perf_counter() if self._due else None)
                what, *args = heapq.heappop(self._due)[2]
            what(*args)

    def slots(self) -> Sequence[Slot]:
        """All of them."""
        return self._slots

    def call(self, function: Callable[..., Any], *args: Any, slot: Slot | None = None) -> Any:  # noqa: ARG002 - a backend's signature
        """Call it here."""
        return function(*args)

    def prepare(self, trainer: str, settings: Mapping[str, Any], cache: Path) -> Prepared:
        """Prepare here."""
        from hypevo.trainings import child

        return child.prepare(trainer, settings, cache)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Quiet:
    """A watcher that notes how far it is."""

    def __init__(self, total: int) -> None:
        self.done, self.total = 0, total
        self.marks: list[Mark] = []

    def ended(self, *_: Any, **__: Any) -> None:
        """Count."""
        self.done += 1
        if self.done % max(1, self.total // 10) == 0:
            self.marks.append((self.done, time.process_time(), resident()))
            print(f"  {self.done} trials, {time.process_time():.0f} CPU-s, {resident():.0f} MB", flush=True)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def resident() -> float:
    """Memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def remember(settings: EvolveSettings, trials: int) -> None:
    """Give a study a history: finished trials with all that a driver leaves in them, none with a folder."""
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution
    from optuna.trial import TrialState, create_trial

    from hypevo.study.attributes import ATTEMPTS, DEVICE_SECONDS, ENDED_AS, SECONDS, metric_attributes
    from hypevo.study.search import suggest
    from hypevo.study.storage import load_plan, load_study

    study = load_study(settings.storage, settings.name)
    space, chance = load_plan(study).space, random.Random(1)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    probe = study.ask()
    suggest(probe, space)
    shapes = study.get_trials(deepcopy=False)[-1].distributions
    study.tell(probe, state=TrialState.FAIL)
    known = len(study.get_trials(deepcopy=False))
    for number in range(trials):
        params = {
            name: shape.low + (shape.high - shape.low) * chance.betavariate(2, 5)
            if isinstance(shape, FloatDistribution | IntDistribution)
            else 0
            for name, shape in shapes.items()
        }
        quality = chance.uniform(0.2, 0.6)
        attributes = metric_attributes(dict.fromkeys(METRICS, quality))
        attributes |= {SECONDS: 1800.0, DEVICE_SECONDS: 1800.0, ATTEMPTS: 1, ENDED_AS: known + number}
        study.add_trial(
            create_trial(
                params=params, distributions=shapes, value=quality, user_attrs=attributes,
                intermediate_values=dict.fromkeys(range(EPOCHS), quality),
            )
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--history", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30.0, help="that a training takes in earnest")
    parser.add_argument("--faster", type=float, default=20.0)
    parser.add_argument("--storage", default="mlruns/optuna.journal")
    parser.add_argument("--sampler", default="adaptive")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        os.chdir(folder)
        shutil.copy(HERE / "office.py", folder)
        import hypevo.evolution.evolve as evolution
        from hypevo.evolution.ledger import Ledger
        from hypevo.problem.settings import EvolveSettings

        asked: list[float] = []  # seconds, of Optuna's ask alone
        proposed: list[float] = []  # the same with the proposal, which Optuna has made at the first suggest
        new = -1  # the trial that was asked for last
        ask, training = Ledger.ask, Ledger.training

        def timed_ask(self: Ledger, under_way: Collection[int]) -> tuple[Trial, list[Trial]]:
            nonlocal new
            began = time.perf_counter()
            found = ask(self, under_way)
            asked.append(time.perf_counter() - began)
            new = found[0].number
            return found

        def timed_training(self: Ledger, trial: Trial) -> Training:
            began = time.perf_counter()
            found = training(self, trial)
            if trial.number == new:  # another one is an interrupted trial, which has its parameters
                proposed.append(asked[-1] + time.perf_counter() - began)
            return found

        def run(
            slots: int, seconds: float, total: int
        ) -> tuple[EvolveSettings, Timers, Quiet, tuple[float, float], Summary]:
            backend = Timers(slots, seconds)
            settings = EvolveSettings(
                trainer="office:train", study="scale", stagger=0.0, generations=total, storage=options.storage,
                sampler=options.sampler, baseline_seeds=0,
            )  # fmt: skip
            watcher = Quiet(options.trials)
            began = time.perf_counter(), time.process_time()
            with (
                patch.object(evolution, "backend_of", return_value=backend),
                patch.object(Ledger, "ask", timed_ask),
                patch.object(Ledger, "training", timed_training),
            ):
                summary = evolution.evolve(settings, cast("Watcher", watcher))
            return settings, backend, watcher, began, summary

        settings, *_ = run(1, 0.01, 1)
        if options.history:
            began = time.perf_counter()
            remember(settings, options.history)
            print(
                f"a history of {options.history} trials, made in {time.perf_counter() - began:.0f} s",
                flush=True,
            )
        asked.clear()
        proposed.clear()
        seconds = options.minutes * 60 / options.faster
        if options.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            found = profile.runcall(run, options.slots, seconds, 1 + options.history + options.trials)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            pstats.Stats(profile).sort_stats("cumtime").print_stats(45)
        else:
            found = run(options.slots, seconds, 1 + options.history + options.trials)
        _, backend, watcher, (wall, cpu), summary = found
        if summary.interrupted or summary.stopped:
            sys.exit(f"ended early, after {watcher.done} trials: {summary.stopped or 'by a signal'}")
        full = options.minutes * 60
        count = options.trials
        idle = backend.idle or [math.nan]
        lines = {
            "trials": f"{count} on {options.slots} slots, after {options.history}",
            "a training": f"{seconds:.1f} s, for {full:.0f} s",
            "start-up": f"{backend.begun[0] - wall:.1f} s to the first training",
            "all slots busy": f"after {backend.begun[min(options.slots, count) - 1] - backend.begun[0]:.1f} s",
            "driver": f"{(time.process_time() - cpu) / count:.3f} CPU-s a trial, MLflow's thread included",
            "first and last tenth": " and ".join(f"{one:.3f} CPU-s" for one in tenths(watcher.marks)),
            "an ask of Optuna": spread(asked),
            "with the proposal": f"{spread(proposed)}: the sampler, and the parameters into the storage",
            "a slot idle": f"mean {statistics.mean(idle):.2f} s, longest {max(idle):.2f} s",
            "idle": f"{statistics.mean(idle) / (statistics.mean(idle) + full):.3%} of a slot's time in earnest",
            "memory": f"{watcher.marks[0][2]:.0f} MB after a tenth, {watcher.marks[-1][2]:.0f} MB at the end",
            "undelivered": f"{summary.undelivered} trials to MLflow",
            "on disk": ", ".join(sizes()),
        }  # fmt: skip
        print("\n".join(f"{name:22}{text}" for name, text in lines.items()))
        print(json.dumps({"idle": statistics.mean(idle), "proposal": statistics.median(proposed)}))


def spread(seconds: Sequence[float]) -> str:
    """Median and longest."""
    return f"median {statistics.median(seconds) * 1e3:.0f} ms, longest {max(seconds) * 1e3:.0f} ms"


def tenths(marks: Sequence[Mark]) -> Iterator[float]:
    """CPU seconds a trial between the first two marks, and the last two."""
    for (n, cpu, _), (m, later, _) in (marks[:2], marks[-2:]):
        yield (later - cpu) / (m - n)


def sizes() -> Iterator[str]:
    """The databases, in MB."""
    for path in (Path("mlruns/optuna.journal"), Path("mlflow.db"), Path("runs/evolve/scale/evolve.csv")):
        if path.exists():
            yield f"{path.name} {path.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
