r"""What a trial costs: YOLOv5 7.0's own `--evolve` and ours, the same trainings, one after the other on one CPU thread.

    python benchmarks/against_yolov5.py --repo yolov5 --python yolov5/.venv/bin/python \
        --data coco128.yaml --weights yolov5n.pt

Three generations of three epochs at 320 pixels, batch 16, validated once at the end, images in memory. CPU seconds are
those of all processes of a program, imports and everything that it writes included, divided by its generations. Memory
is the greatest sum over its processes, shared pages counted once (PSS; Linux). YOLOv5 is started as its user would.
Settings and scores are printed too: the default individual is the first generation of both.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

EPOCHS, PIXELS, BATCH = 3, 320, 16
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Cost:
    """What a program took: CPU and wall seconds, and its greatest memory in GiB."""

    cpu: float
    wall: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repo", type=Path, required=True, help="a checkout of YOLOv5 7.0")
    parser.add_argument("--python", required=True, help="the Python that it runs with")
    parser.add_argument("--data", type=Path, required=True, help="COCO128's data.yaml, its images beside it")
    parser.add_argument("--weights", type=Path, required=True, help="the official yolov5n.pt")
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="each program so often, in turns")
    options = parser.parse_args()
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="against-") as folder:
            data = copied(options.data, Path(folder))
            weights = shutil.copy(options.weights, folder)
            theirs = measure(
                [
                    options.python, str(options.repo.resolve() / "train.py"), "--evolve", str(options.generations),
                    "--data", str(data), "--weights", weights, "--epochs", str(EPOCHS), "--img", str(PIXELS),
                    "--batch-size", str(BATCH), "--cache", "ram", "--workers", "0", "--device", "cpu", "--noval",
                    "--nosave", "--noplots", "--project", f"{folder}/theirs",
                ],
                Path(folder),
            )  # fmt: skip
            ours = measure(
                [
                    sys.executable, "-m", "hypevo", "evolve", "--generations", str(options.generations),
                    "--data", str(data), "--weights", weights, "--epochs", str(EPOCHS), "--img", str(PIXELS),
                    "--batch", str(BATCH), "--val-every", "0", "--sampler", "classic", "--device", "cpu",
                    "--study", "ours",
                ],
                Path(folder),
            )  # fmt: skip
            show(theirs, ours, options.generations)
            for name, pattern in (("YOLOv5", "theirs/**/evolve.csv"), ("hypevo", "runs/**/evolve.csv")):
                found = next(iter(Path(folder).glob(pattern)), None)
                print(f"  {name}: mAP@.5, mAP@.5:.95 of the default: {first_scores(found)}", flush=True)


def copied(data: Path, folder: Path) -> Path:
    """Copy a dataset, so that what programs keep beside it is of this run alone; return its data.yaml there."""
    content = yaml.safe_load(data.read_text(encoding="utf-8"))
    root = (data.parent / content.get("path", ".")).resolve()
    if not root.is_dir():
        root = data.parent / Path(content["path"]).name
    shutil.copytree(
        root, folder / "dataset", ignore=shutil.ignore_patterns("*.cache"), copy_function=shutil.copyfile
    )
    target = folder / "data.yaml"
    target.write_text(yaml.safe_dump(content | {"path": str(folder / "dataset")}), encoding="utf-8")
    return target


def measure(command: list[str], folder: Path) -> Cost:
    """Run a program to its end.

    Raises:
        SystemExit: It failed; the end of what it said is shown.
    """
    log = folder / "log.txt"
    began = time.perf_counter()
    cpu: dict[int, float] = {}  # by process; not all of them are waited for by their parents
    with log.open("w") as output:
        process = psutil.Popen(
            command, cwd=folder, env=environment(), stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        memory = 0.0
        while process.poll() is None:
            memory = max(memory, look(process, cpu))
            time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command[:3])} failed:\n{log.read_text()[-3000:]}")
    return Cost(sum(cpu.values()), time.perf_counter() - began, memory)


def environment() -> dict[str, str]:
    """Ours, for one thread; Python keeps what it compiles, as by default, so that only a first run pays for that."""
    return {**os.environ, **ONE_THREAD, "PYTHONDONTWRITEBYTECODE": ""}


def look(process: psutil.Process, cpu: dict[int, float]) -> float:
    """Note the CPU seconds so far of a process and of all it has started; return their GiB, shared pages once."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for one in family:
        try:
            total += one.memory_full_info().pss
            times = one.cpu_times()
            cpu[one.pid] = times.user + times.system
        except psutil.Error:  # it has just ended
            continue
    return total / 2**30


def first_scores(path: Path | None) -> str:
    """The two mAP of the first generation of an evolve.csv."""
    if path is None:
        return "no evolve.csv"
    with path.open() as file:
        row = next(csv.reader(line.replace(" ", "") for line in list(file)[1:]))
    return ", ".join(row[2:4])


def show(theirs: Cost, ours: Cost, generations: int) -> None:
    """Print both, and ours relative to theirs."""
    print(f"{'':10}{'CPU-s a trial':>15}{'wall-s a trial':>16}{'memory, GiB':>13}")
    for name, cost in (("YOLOv5", theirs), ("hypevo", ours)):
        print(f"{name:10}{cost.cpu / generations:15.1f}{cost.wall / generations:16.1f}{cost.memory:13.2f}")
    ratios = ours.cpu / theirs.cpu, ours.wall / theirs.wall, ours.memory / theirs.memory
    print(f"{'ratio':10}{ratios[0]:15.2f}{ratios[1]:16.2f}{ratios[2]:13.2f}")


if __name__ == "__main__":
    main()
