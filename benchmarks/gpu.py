"""What a GPU gets done: images per second, peak memory and idle share. First run on an H100: docs/log/gpu.md.

    python benchmarks/gpu.py --data coco128.yaml
    python benchmarks/gpu.py --data coco128.yaml --yolov5 ../yolov5      # the same with a checkout of release 7.0

For sizes n, s, m and batches of 16 and 64 at 640 pixels, from scratch: an epoch as a training has it, and the same
steps on one batch that lies on the GPU already. What the first takes longer is the share of time in which the GPU waits
to be fed. YOLOv5's epoch is half of what three epochs take longer than one, with its own workers and --cache ram.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
import yaml
from torch import Tensor

from trainers.device import torch_device
from trainers.yolov5 import Settings, prepare
from trainers.yolov5.data import open_data
from trainers.yolov5.loop import (
    loss_gains,
    mixed_precision,
    start_descent,
    starting_model,
    training_batches,
)

HYP = Path(__file__).parents[1] / "hypevo" / "problem" / "presets" / "scratch-low.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="coco128.yaml")
    parser.add_argument("--yolov5", type=Path, help="a checkout of YOLOv5 release 7.0 to compare with")
    parser.add_argument("--device", default="0")
    parser.add_argument("--sizes", nargs="+", default=["n", "s", "m"])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--img", type=int, default=640)
    arguments = parser.parse_args()
    logging.disable()
    place = torch_device(arguments.device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else str(place)
    print(f"{name}, PyTorch {torch.__version__}, {arguments.data} at {arguments.img}")
    print(f"{'size':>5}{'batch':>7}{'images/s':>10}{'peak GB':>9}{'idle':>7}{'YOLOv5 images/s':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for batch in arguments.batches:
                settings = Settings(data=arguments.data, model=size, img=arguments.img, batch=batch)
                speed, peak, idle = measured(prepare(settings, Path(folder)), Path(folder), place)
                row = f"{size:>5}{batch:>7}{speed:>10.1f}{peak:>9.2f}{idle:>7.0%}"
                if arguments.yolov5:
                    row += f"{yolov5(arguments, size, batch, Path(folder)):>17.1f}"
                print(row, flush=True)


def measured(settings: Settings, cache: Path, place: torch.device) -> tuple[float, float, float]:
    """Return images per second, peak gigabytes, and the share of time without work for the GPU."""
    hyp = yaml.safe_load(HYP.read_text(encoding="utf-8"))
    data = open_data(settings, cache)
    model = starting_model(settings, hyp, data, 0).to(place).to(memory_format=torch.channels_last)
    batches = training_batches(settings, hyp, data, 0, place)
    gains, precision = loss_gains(settings, hyp, data), mixed_precision(settings, place)
    descent = start_descent(settings, hyp, model, gains, len(batches), precision)
    on_gpu = place.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(place)

    def seconds(epoch: Iterable[tuple[Tensor, Tensor]]) -> float:
        start = time.perf_counter()
        descent.epoch(epoch)  # ends with the losses on the CPU: the GPU is done
        return time.perf_counter() - start

    seconds(batches.epoch(0))  # the first looks for the fastest convolutions
    fed = seconds(batches.epoch(1))
    ready = list(batches.epoch(2))[:1]
    alone = seconds(ready * (len(batches) - 1)) * len(batches) / max(len(batches) - 1, 1)
    peak = torch.cuda.max_memory_reserved(place) / 1e9 if on_gpu else 0.0
    return len(data.train.split) / fed, peak, max(0.0, 1 - alone / fed)


def yolov5(arguments: argparse.Namespace, size: str, batch: int, folder: Path) -> float:
    """Return YOLOv5's images per second, from the difference between three epochs and one."""
    took = []
    for epochs in (1, 3):
        command = [
            *(sys.executable, "train.py", "--data", str(Path(arguments.data).resolve())),
            *("--weights", "", "--cfg", f"yolov5{size}.yaml", "--img", str(arguments.img)),
            *("--batch-size", str(batch), "--epochs", str(epochs), "--device", arguments.device),
            *("--cache", "ram", "--noval", "--noplots", "--noautoanchor"),
            *("--project", str(folder / "yolov5")),
        ]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=arguments.yolov5, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        took.append(time.perf_counter() - start)
    settings = Settings(data=arguments.data, model=size, img=arguments.img, batch=batch)
    return len(open_data(prepare(settings, folder), folder).train.split) * 2 / (took[1] - took[0])


if __name__ == "__main__":
    main()
