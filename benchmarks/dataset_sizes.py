"""What a dataset's size costs the built-in trainer: scan, files of resized images, a trial's start, memory.

    python benchmarks/dataset_sizes.py                                    # 1,000, 10,000 and 120,000 small images
    python benchmarks/dataset_sizes.py --images 120000 --folder /dev/shm
    python benchmarks/dataset_sizes.py --data coco128.yaml --img 640      # real images, per 1,000

The synthetic images are hard links to a few files, so that they take no disk; each size runs in a process of its own,
on one core and on all. Seconds of scan and build per 1,000 images, training and validation images together; «again» is
what prepare takes once all is there, «trial» a training's start in a process of its own, and the memory that it takes
on top of what it has imported, some batches included.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from trainers.yolov5 import Settings, prepare
from trainers.yolov5.data import open_data, scan_parts
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.loop import training_batches

HYP = Path(__file__).parents[1] / "hypevo" / "problem" / "presets" / "scratch-low.yaml"
LINKS = 20_000  # of one file; some file systems allow 65,000
BATCHES = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 120_000])
    parser.add_argument("--data", help="measure this dataset instead of synthetic ones")
    parser.add_argument("--img", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--trial", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable()
    if arguments.trial:
        print(json.dumps(trial_of(Settings(**arguments.trial))))
        return
    if arguments.measure:
        print(json.dumps(measured(arguments.data, arguments.measure, arguments.img)))
        return
    print(f"{'images':>8}{'cores':>7}" + "".join(f"{name:>16}" for name in COLUMNS))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for count in arguments.images if not arguments.data else [0]:
            data = arguments.data or str(write(Path(folder) / str(count), count))
            for cores in (1, os.cpu_count() or 1):
                row = in_process(data, Path(folder) / "cache", arguments.img, cores)
                print(
                    f"{row['images']:8.0f}{cores:7}" + "".join(f"{row[c]:16.2f}" for c in COLUMNS), flush=True
                )


COLUMNS = (
    *("scan cpu", "scan wall", "build cpu", "build wall", "MB"),
    *("again cpu", "peak MB", "trial cpu", "trial MB"),
)


def in_process(data: str, cache: Path, img: int, cores: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        command = [sys.executable, __file__, "--data", data, "--img", str(img), "--measure", folder]
        pin = (lambda: os.sched_setaffinity(0, {0})) if cores == 1 and sys.platform == "linux" else None
        done = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=pin)
    row: dict[str, float] = json.loads(done.stdout)
    return row


def measured(data: str, cache: Path, img: int) -> dict[str, float]:
    torch.set_num_threads(1)
    settings = Settings(data=data, model="p", img=img, cache="disk")
    clock = Clock()
    parts = scan_parts(load_data(data), settings, cache)
    thousands = sum(map(len, parts)) / 1000
    scan = clock.lap()
    settings = prepare(settings, cache)
    build = clock.lap()
    prepare(settings, cache)
    again = clock.lap()
    command = [sys.executable, __file__, "--trial", json.dumps(asdict(settings))]
    trial = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        "images": len(parts[0]),
        "scan cpu": scan[0] / thousands,
        "scan wall": scan[1] / thousands,
        "build cpu": build[0] / thousands,
        "build wall": build[1] / thousands,
        "MB": sum(path.stat().st_size for path in cache.iterdir()) / 1e6,
        "again cpu": again[0],
        "peak MB": peak_megabytes(),
        **trial,
    }


def trial_of(settings: Settings) -> dict[str, float]:
    """Start as a trial does, in a process of its own, and put some batches together."""
    torch.set_num_threads(1)
    before, clock = peak_megabytes(), Clock()
    opened = open_data(settings, Path(settings.cache_folder))
    start = clock.lap()
    hyp = yaml.safe_load(HYP.read_text(encoding="utf-8"))
    batches = training_batches(settings, hyp, opened, 0, torch.device("cpu")).epoch(0)
    for _, _ in zip(range(BATCHES), batches, strict=False):
        pass
    return {"trial cpu": start[0], "trial MB": peak_megabytes() - before}


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class Clock:
    """A stopwatch of CPU and wall time."""

    def __init__(self) -> None:
        self.marks = (time.process_time(), time.perf_counter())

    def lap(self) -> tuple[float, float]:
        """Return the CPU-seconds and the wall seconds since the last lap."""
        before, self.marks = self.marks, (time.process_time(), time.perf_counter())
        return self.marks[0] - before[0], self.marks[1] - before[1]


def write(root: Path, count: int) -> Path:
    """Write a dataset of so many images, a twentieth of them for validation."""
    rng = np.random.default_rng(0)
    for part, images in (("train", count), ("val", max(count // 20, 1))):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        for number in range(images):
            image = root / "images" / part / f"{number:06}.jpg"
            label = root / "labels" / part / f"{number:06}.txt"
            if number % LINKS == 0:
                Image.fromarray(rng.integers(256, size=(48, 64, 3), dtype=np.uint8)).save(image)
                rows = rng.uniform(0.3, 0.6, (7, 4))  # as many as COCO has on the mean
                label.write_text("".join(f"0 {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for x, y, w, h in rows))
                first = image, label
            else:
                image.hardlink_to(first[0])
                label.hardlink_to(first[1])
    (root / "data.yaml").write_text(
        "train: images/train\nval: images/val\nnames: [thing]\n", encoding="utf-8"
    )
    return root / "data.yaml"


if __name__ == "__main__":
    main()
