"""What a trial costs besides its training: CPU seconds of the driver with Optuna and MLflow, per trial.

    python benchmarks/driver_cost.py --trials 100

A trial has 29 parameters, 10 epochs × 10 metrics and 3 artifacts, and trains nothing. The cost is that of the driver's
process, the thread that feeds MLflow included; a trial's own process is counted apart. First and last trials apart:
neither the cost nor the memory must grow. The aim is at most 0.5 CPU-seconds a trial.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from hypevo.trainings.work import Watcher

HERE = Path(__file__).resolve().parent


class Clock:
    """A watcher that notes the driver's CPU time and memory at the end of each trial."""

    def __init__(self, alive: bool) -> None:
        self.cpu: list[float] = []
        self.memory: list[float] = []  # MB
        self._alive = alive

    def ended(self, *_: Any, **__: Any) -> None:
        """Note both."""
        self.cpu.append(time.process_time())
        if self._alive:
            gc.collect()
            self.memory.append(tracemalloc.get_traced_memory()[0] / 1e6)
        else:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--storage", default="mlruns/optuna.journal")
    parser.add_argument(
        "--profile", action="store_true", help="say where the time goes, but for MLflow's thread"
    )
    parser.add_argument(
        "--alive", action="store_true", help="count Python's live objects instead of resident memory (slow)"
    )
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        from hypevo.evolution.evolve import evolve
        from hypevo.problem.settings import EvolveSettings
        from hypevo.tracking.store import Store

        Store.default().client()  # making the database is no part of a trial's cost
        clock = Clock(options.alive)
        watcher = cast("Watcher", clock)  # what it does not note goes to `__getattr__`
        if options.alive:
            tracemalloc.start()
        settings = EvolveSettings(
            trainer="office:train", study="cost", device="cpu", stagger=0.0, generations=options.trials,
            slots_per_device=options.slots, storage=options.storage, baseline_seeds=0,
        )  # fmt: skip
        began, cpu = time.perf_counter(), time.process_time()
        if options.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            profile.runcall(evolve, settings, watcher)
            pstats.Stats(profile).sort_stats("cumtime").print_stats(40)
        else:
            evolve(settings, watcher)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        count = options.trials
        tenth = max(1, count // 10)
        print(f"{count} trials, {options.slots} slots: {wall:.1f} s, driver {cpu:.1f} CPU-s")
        print(f"per trial: {cpu / count:.3f} CPU-s, {wall / count:.3f} s")
        for name, cpus in (("first", clock.cpu[: tenth + 1]), ("last", clock.cpu[-tenth - 1 :])):
            print(f"{name} tenth: {(cpus[-1] - cpus[0]) / (len(cpus) - 1):.3f} CPU-s a trial")
        early, late = clock.memory[tenth], clock.memory[-1]
        grown = (late - early) / (count - tenth - 1) * 1000
        print(
            f"memory: {early:.0f} MB after the first tenth, {late:.0f} MB at the end: {grown:.0f} kB a trial"
        )


if __name__ == "__main__":
    main()
