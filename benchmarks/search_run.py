"""The searches of `search_quality.py`: run in several processes of one thread each, and kept line by line.

A search is known by names and numbers alone, so that any process can run it: suite, part, place, seed, method. Its line
is written when it has finished; a run that was interrupted goes on with the searches that have none.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from search_entrants import all_methods
from search_suites import instance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SPEAK = 20.0  # seconds between two lines of progress, at least


@dataclass(frozen=True)
class Search:
    """One search, by names and numbers alone."""

    suite: str
    part: str
    place: int
    seed: int
    method: str
    trials: int
    slots: int
    marks: tuple[int, ...]

    def run(self) -> dict[str, Any]:
        """Run it and return its line."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        here = instance(self.suite, self.part, self.place)
        problem, spent = here.problem(self.seed), 0.0

        def measure(point: NDArray[np.float64]) -> float:
            nonlocal spent
            began = time.process_time()
            fitness = problem.measure(point)
            spent += time.process_time() - began
            return fitness

        method = all_methods(self.slots, self.marks)[self.method]
        began, clock = _cpu_seconds(), time.monotonic()
        # No two searches share a seed: instances that are alike would share the luck of their first steps.
        run = method(replace(problem, measure=measure), self.trials, 1000 * self.place + self.seed)
        row: dict[str, Any] = {
            "instance": here.name,
            "seed": self.seed,
            "method": self.method,
            "cpu_ms": 1000 * (_cpu_seconds() - began - spent) / self.trials,  # without the measurements
            "seconds": time.monotonic() - clock,
            "curve": [here.score(run.points[i]) for i in incumbents(run.fitness, max(self.trials // 10, 1))],
        }
        for mark in self.marks:
            row[f"best_trial@{mark}"] = here.score(run.points[int(np.argmax(run.fitness[:mark]))])
            row[f"top9@{mark}"] = here.score(elite_mean(run.points[:mark], run.fitness[:mark]))
            if mark in run.recommended:
                row[f"recommend@{mark}"] = here.score(run.recommended[mark])
        return row


def measure_all(searches: Sequence[Search], results: Path, jobs: int) -> list[str]:
    """Run the searches that have no line in ``results`` yet; return what failed, with reasons."""
    known = {(row["instance"], row["seed"], row["method"]) for row in read(results)}
    names = {search.place: instance(search.suite, search.part, search.place).name for search in searches}
    left = [s for s in searches if (names[s.place], s.seed, s.method) not in known]
    if len(left) < len(searches):
        print(
            f"{len(searches) - len(left)} of {len(searches)} searches are in {results} already: not run again"
        )
    failed: list[str] = []
    progress = Progress(left, jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C
    # Spawned, not forked: a forked child of a process with threads (torch, OpenBLAS) may hang.
    context = multiprocessing.get_context("spawn")
    # Ctrl+C reaches every process; this one ends the others.
    pool = ProcessPoolExecutor(jobs, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        futures = {pool.submit(search.run): search for search in left}
        for future in as_completed(futures):
            search = futures[future]
            try:
                row = future.result()
            except Exception as error:  # noqa: BLE001  one peer that fails must not end the others
                failed.append(f"{search.method}, {names[search.place]}, seed {search.seed}: {error!r}")
                print(f"failed: {failed[-1]}", file=sys.stderr)
                continue
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            progress.finished(search.method, row["seconds"])
    except KeyboardInterrupt:
        end(pool)
        raise SystemExit("interrupted: the same command goes on with the searches that are left") from None
    pool.shutdown()
    return failed


def end(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes at once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # some send it twice
    pool.shutdown(wait=False, cancel_futures=True)
    for child in multiprocessing.active_children():  # a slow search would be waited for
        child.terminate()


class Progress:
    """Says how many searches have finished and how long the others will take, by what each method took so far."""

    def __init__(self, searches: Sequence[Search], jobs: int) -> None:
        self._jobs, self._n, self._done = jobs, len(searches), 0
        self._left = {s.method: 0 for s in searches}
        for search in searches:
            self._left[search.method] += 1
        self._seconds: dict[str, list[float]] = {}
        self._began = self._spoke = time.monotonic()

    def finished(self, method: str, seconds: float) -> None:
        """Count one, and say so if nothing was said for a while, or if it was the last."""
        self._done += 1
        self._left[method] -= 1
        self._seconds.setdefault(method, []).append(seconds)
        now = time.monotonic()
        if now - self._spoke < _SPEAK and self._done < self._n:
            return
        self._spoke = now
        usual = float(np.mean([s for all_ in self._seconds.values() for s in all_]))
        each = {m: float(np.mean(self._seconds[m])) if m in self._seconds else usual for m in self._left}
        to_go = sum(n * each[m] for m, n in self._left.items()) / self._jobs
        print(
            f"{self._done} of {self._n} searches in {now - self._began:.0f} s, about {to_go:.0f} s to go",
            file=sys.stderr,
            flush=True,
        )


def read(results: Path) -> list[dict[str, Any]]:
    """Return the lines of a file, none if there is no file; a line that was cut off is taken out and named."""
    if not results.exists():
        return []
    rows, whole, number = [], [], 0
    for number, line in enumerate(results.read_text().splitlines(), 1):
        try:
            rows.append(json.loads(line))
            whole.append(line + "\n")
        except json.JSONDecodeError:
            print(f"{results}, line {number} was cut off: taken out, its search runs again")
    if len(whole) < number:
        results.write_text("".join(whole))
    return rows


def elite_mean(points: NDArray[np.float64], fitness: NDArray[np.float64], n: int = 9) -> NDArray[np.float64]:
    """Return the mean of the best ``n`` points with weights log(n + 1/2) − log(rank)."""
    best = np.argsort(-fitness, kind="stable")[:n]
    weights = np.log(len(best) + 0.5) - np.log(np.arange(1, len(best) + 1))
    return np.asarray(weights @ points[best] / weights.sum())


def incumbents(fitness: NDArray[np.float64], every: int) -> list[int]:
    """Return the index of the best trial so far after each ``every`` trials."""
    return [int(np.argmax(fitness[:n])) for n in range(every, len(fitness) + 1, every)]


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    return time.process_time() + os.times().children_user + os.times().children_system
