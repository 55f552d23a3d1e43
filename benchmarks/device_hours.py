"""Device time until a gain that holds: what a search costs until it hands over a good set of hyperparameters.

    python benchmarks/device_hours.py --tasks 201-212 --seeds 10 --jobs 16           # the full run, network
    python benchmarks/device_hours.py --tasks 201-212 --seeds 10 --jobs 16 --slots 8
    python benchmarks/device_hours.py --training detector --tasks 0-0 --trials 20 --seeds 3 --jobs 8
    python benchmarks/device_hours.py --tasks 101-104 --seeds 2 --trials 100         # a small one, to develop with

Each search has the device time of ``--trials`` trainings in full and may stop trainings early. The unit is one epoch of
one image, and a training in full is 1 on the plot's axis; CPU-seconds of the trainings are printed beside. At marks the
search is asked what it would hand over, which always comes from trainings that ran in full: the best of them, or our
sampler's `recommend(study)`, or for a peer the mean of its best 9. Both rules are printed; the plot has the faster one
of each method. What is handed over is trained in full with 20 fresh seeds (the detector: 3): their mean, less the
default's, is the gain, and it holds on seeds that no search had.

Per task, a method's time is that at which its gain, in the mean over seeds, first has 90 % of the greatest that any
method has at the end. A method that never has it counts with the whole device time, which is in its favour. Printed:
means, and our settings' ratio to the best peer's time (of geometric means over tasks, 95 % bootstrap over tasks).

All trainings of a search have one seed, as in `hypevo evolve`. Tasks 101 to 108 are for development; 201 to 212 are
kept for the last look. Results are added to ``--out`` as JSON lines, seed by seed, so it may be stopped at any time and
goes on. A search with 300 trainings costs 30 to 60 CPU-seconds, 40 % of them for the scores: the full run has 1,200
of them, an hour on 16 cores. Where hypevo is not installed: PYTHONPATH=. before the command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads only cost
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import optuna
from device_methods import ON_REQUEST, Account, SpentError, all_methods
from device_report import draw, report
from device_trainings import SUBJECTS
from search_run import elite_mean, end, read

if TYPE_CHECKING:
    from collections.abc import Sequence


MARKS = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 225, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--training", choices=tuple(SUBJECTS), default="network")
    parser.add_argument("--tasks", type=_numbers, default="201-212", help="from-to")
    parser.add_argument("--seeds", type=int, default=10, help="searches per task and method")
    parser.add_argument("--trials", type=int, default=300, help="device time, in trainings in full")
    parser.add_argument("--slots", type=int, default=1, help="trainings in flight")
    parser.add_argument(
        "--methods", help="names, separated by commas; default: all but neps and other settings of pruners"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/device_hours"))
    parser.add_argument("--report", action="store_true", help="only report what was measured before")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    slots = f"-slots{asked.slots}" if asked.slots > 1 else ""
    results = asked.out / f"{asked.training}-{asked.trials}{slots}.jsonl"
    if not asked.report:
        measure(asked, results)
    # The picture has a panel of every training that was searched, at its longest.
    files = {training: sorted(asked.out.glob(f"{training}-*.jsonl"), key=_trials) for training in SUBJECTS}
    alike = {
        training: [one for one in found if one.stem == f"{training}-{_trials(one)}{slots}"]
        for training, found in files.items()
    }
    chosen = {training: found[-1] for training, found in alike.items() if found} | {asked.training: results}
    wanted = asked.methods.split(",") if asked.methods else None
    rows = {training: rows_of(path, wanted) for training, path in chosen.items()}
    report(rows[asked.training])
    draw(rows, asked.out / f"device_hours{slots}.png")


def rows_of(path: Path, methods: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the searches of a file, by these methods."""
    rows = read(path)
    if not rows:
        raise SystemExit(f"expected lines in {path}, got none: run the searches first")
    return [row for row in rows if methods is None or row["method"] in methods]


def _trials(path: Path) -> int:
    return int(path.stem.split("-")[1])


def measure(asked: argparse.Namespace, results: Path) -> None:
    """Run the searches that are not there yet; any beginning of them is balanced."""
    there = read(results)
    known = {(row["task"], row["seed"], row["method"]) for row in there}
    usual = [name for name in all_methods() if name not in ON_REQUEST]
    methods = asked.methods.split(",") if asked.methods else usual
    if unknown := set(methods) - set(all_methods()):
        raise SystemExit(f"--methods: expected some of {', '.join(all_methods())}, got {', '.join(unknown)}")
    wanted = [
        (asked.training, task, seed, method, asked.trials, asked.slots)
        for seed in range(asked.seeds)
        for task in asked.tasks
        for method in methods
        if (task, seed, method) not in known
    ]
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C
    # `spawn`: torch, which the detector needs, must not be forked. Ctrl+C reaches all: this one ends the others.
    pool = ProcessPoolExecutor(
        asked.jobs, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )
    try:
        for n, future in enumerate(as_completed([pool.submit(search, *one) for one in wanted]), 1):
            with results.open("a") as file:
                file.write(json.dumps(future.result()) + "\n")
            left = (time.monotonic() - began) / n * (len(wanted) - n)
            print(f"{n} of {len(wanted)} searches, about {left:.0f} s to go", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        end(pool)
        raise SystemExit("interrupted: the same command goes on with the searches that are left") from None
    pool.shutdown()


def search(training: str, task: int, seed: int, method: str, trials: int, slots: int) -> dict[str, Any]:
    """Search once, and score what is handed over at every mark by every rule."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    subject = SUBJECTS[training](task)
    marks = [mark for mark in MARKS if mark < trials] + [trials]
    account = Account(subject, 1000 * task + seed, [mark * subject.epochs for mark in marks], slots)
    began = time.process_time()
    with contextlib.suppress(SpentError):
        all_methods()[method](account)
    asking = time.process_time() - began - account.seconds
    default = subject.score(subject.problem.start)
    gains: dict[str, list[float]] = {"best": [], "recommend" if account.handed else "top9": []}
    for number, mark in enumerate(account.marks):
        ended = [one for one in account.ended if one[0] <= mark]
        points = np.array([point for *_, point in ended] or [subject.problem.start])
        fitness = np.array([value for _, value, _ in ended] or [0.0])
        gains["best"].append(subject.score(points[int(np.argmax(fitness))]) - default)
        if account.handed:
            gains["recommend"].append(subject.score(account.handed[number]) - default)
        else:
            gains["top9"].append(subject.score(elite_mean(points, fitness)) - default)
    return {
        "task": task,
        "seed": seed,
        "method": method,
        "marks": marks,  # in trainings in full
        "unit": subject.epochs * subject.images,  # epochs × images of one of them
        "seconds": account.times,
        "begun": account.begun,
        "in_full": len(account.ended),
        "ask_ms": 1000 * asking / account.begun,
        "default": default,
        "gains": gains,
    }


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    main()
