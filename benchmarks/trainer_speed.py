"""What the built-in trainer costs on one thread: a short fine-tuning by phases, one step by variants, memory.

    python benchmarks/trainer_speed.py training --data coco128.yaml --weights yolov5n.pt
    python benchmarks/trainer_speed.py steps --weights yolov5n.pt
    python benchmarks/trainer_speed.py memory
    python benchmarks/trainer_speed.py ops

`training` runs 3 epochs at 320 pixels, batch 16, validated each, then the same validated once. `steps` times forward,
loss, backward and optimizer of one batch in each memory layout, in bfloat16 and compiled. CPU time, not wall time: it
stays the same when the machine is shared. `memory` runs 50 trials of the embedded dataset, an epoch each, in processes
of their own as an evolution does, and 50 in one process: what each takes at its peak, and what is left behind.
`ops` counts, without a GPU, what a GPU would be asked to do: operations that the code dispatches for a batch (views are
free, and not counted), and those after which the CPU has to wait for it.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
import os
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from hypevo.protocol import Job
from hypevo.trainings.local import LocalBackend
from trainers.yolov5 import Settings, loop, optimizer, prepare, train
from trainers.yolov5.augment import TrainBatches
from trainers.yolov5.boxes import _candidates, detect, detect_together
from trainers.yolov5.data import open_data
from trainers.yolov5.feed import Feed
from trainers.yolov5.loss import LossGains, detection_loss
from trainers.yolov5.model import Detector, as_input, mixed, published_anchors
from trainers.yolov5.weights import load_checkpoint, start_detector

HYP = Path(__file__).parents[1] / "hypevo" / "problem" / "presets" / "scratch-low.yaml"
STEPS, TRIALS = 5, 50
PRELOAD = ("trainers.yolov5.loop",)  # as the trainer measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["training", "steps", "memory", "ops"])
    parser.add_argument("--data", default="coco128.yaml")
    parser.add_argument("--weights", default="yolov5n.pt")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable()
    if arguments.what == "training":
        measure_training(arguments.data, arguments.weights)
    elif arguments.what == "steps":
        measure_steps(arguments.weights)
    elif arguments.what == "ops":
        measure_operations()
    else:
        measure_memory()


def measure_training(data: str, weights: str) -> None:
    hyp = yaml.safe_load(HYP.read_text(encoding="utf-8"))
    seconds: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=data, weights=weights, epochs=3, img=320)
        start = time.process_time()
        settings = prepare(settings, Path(folder))
        print(f"once per study: scan and image cache {time.process_time() - start:.1f}")
        for owner, name, phase in (
            (loop, "open_data", "open data"),
            (loop, "starting_model", "model and AutoAnchor"),
            (optimizer.Descent, "epoch", "training, 3 epochs"),
            (loop, "evaluate", "validation"),
            (loop, "draw_pictures", "pictures"),
        ):
            setattr(owner, name, timed(getattr(owner, name), seconds, phase))
        for every in (1, 0):
            seconds.clear()
            start = time.process_time()
            run = replace(settings, val_every=every)
            out = Path(folder) / "out"
            train(hyp, out=out, seed=0, device="cpu", report=ignore, settings=run)
            total = time.process_time() - start
            print(f"\nvalidated {'each epoch' if every else 'after the last'}: {total:.1f} CPU-s")
            for phase, value in seconds.items():
                print(f"  {phase:<24}{value:6.1f}")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


def measure_memory() -> None:
    """Print megabytes: each trial's peak, of the server that trials are forked from, of one process for all."""
    hyp = yaml.safe_load(HYP.read_text(encoding="utf-8"))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the server imports this module too
    backend = LocalBackend("trainer_speed:measured", ["cpu"])
    with tempfile.TemporaryDirectory() as folder:
        settings = prepare(Settings(epochs=1), Path(folder))
        print(f"{'trial':>5}{'its peak':>12}{'server':>12}{'one process':>14}")
        for number in range(TRIALS):
            job = Job(
                trainer="trainer_speed:measured",
                hyp=hyp,
                out=Path(folder) / "out",
                seed=number,
                device="cpu",
                settings=asdict(settings),
                threads=1,
            )
            told = backend.submit(job, Unheard()).result().metrics
            train(hyp, out=Path(folder) / "own", seed=number, device="cpu", report=ignore, settings=settings)
            if number + 1 in (1, 2, 5, 10, 20, 30, 40, TRIALS):
                mine = resident(os.getpid())
                print(f"{number + 1:5}{told['peak']:12.0f}{told['server']:12.0f}{mine:14.0f}", flush=True)
    backend.close()


def measured(hyp: Mapping[str, float], *, settings: Settings, **given: Any) -> dict[str, float]:
    """Train as the built-in trainer, and tell what it took."""
    train(hyp, settings=settings, **given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"peak": peak, "server": resident(os.getppid())}


def resident(pid: int) -> float:
    """Memory of a process in megabytes (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


class Unheard:
    """Takes what a backend tells, and keeps nothing."""

    def started(self, where: str) -> None: ...  # noqa: D102 - of the contract

    def report(self, step: int, metrics: dict[str, float]) -> None: ...  # noqa: D102


def ignore(metrics: Mapping[str, float], *, step: int) -> None:  # a report's signature
    pass


def timed(function: Callable[..., Any], seconds: dict[str, float], phase: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        result = function(*args, **kwargs)
        seconds[phase] += time.process_time() - start
        return result

    return wrapper


def measure_steps(weights: str) -> None:
    """Print the fastest of some steps on a batch of 16 images at 320 pixels with 240 targets."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (16, 3, 320, 320), dtype=torch.uint8, generator=generator)
    targets = torch.rand(240, 6, generator=generator) * torch.tensor([16, 80, 1, 1, 0.3, 0.3])
    targets[:, :2] = targets[:, :2].floor()
    print(f"{'':<28}{'forward':>9}{'loss':>9}{'backward':>9}{'step':>9}{'total':>9}{'first':>9}")
    for name, layout, half, compiled in (
        ("channels last", torch.channels_last, False, False),
        ("contiguous", torch.contiguous_format, False, False),
        ("channels last, bfloat16", torch.channels_last, True, False),
        ("channels last, compiled", torch.channels_last, False, True),
    ):
        checkpoint = load_checkpoint(Path(weights))
        model = start_detector(checkpoint, size="", classes=80, anchors=3)[0].to(memory_format=layout)
        rows = step_times(model, images, targets, half, compiled)
        best = torch.tensor(rows[1:]).amin(0)
        values = [*best.tolist(), best.sum().item(), sum(rows[0])]
        print(f"{name:<28}" + "".join(f"{value:9.3f}" for value in values), flush=True)


def step_times(
    model: Detector, images: torch.Tensor, targets: torch.Tensor, half: bool, compiled: bool
) -> list[list[float]]:
    forward = torch.compile(model) if compiled else model
    sgd = optimizer.make_optimizer("SGD", model.train(), lr=0.01, momentum=0.937, weight_decay=5e-4)
    average = optimizer.WeightAverage(model)
    layout = next(model.parameters())
    rows = []
    for _ in range(STEPS + 1):
        marks = [time.process_time()]
        x = as_input(images)
        if layout.is_contiguous():
            x = x.contiguous()
        with mixed(x.device, torch.bfloat16 if half else torch.float32):
            levels = forward(x)
        marks.append(time.process_time())
        loss, _ = detection_loss(levels, targets, model.anchors, LossGains())
        marks.append(time.process_time())
        torch.autograd.backward(loss)
        marks.append(time.process_time())
        torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer.MAX_GRADIENT)
        sgd.step()
        sgd.zero_grad()
        average.update()
        marks.append(time.process_time())
        rows.append([b - a for a, b in itertools.pairwise(marks)])
    return rows


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what would run on a GPU, and what would make the CPU wait: results whose size depends on the data."""

    WAITS = ("nonzero", "_local_scalar_dense", "bincount", "masked_select", "nms", "unique")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = self.waits = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        result = function(*given, **(named or {}))
        if not function.is_view and function._schema.name.split("::")[1] not in ("detach", "empty"):
            self.count += 1
            name = function._schema.name.split("::")[1]
            masked = name == "index" and any(i is not None and i.dtype == torch.bool for i in given[1])
            self.waits += name in self.WAITS or masked
        return result


def measure_operations() -> None:
    """Print the operations of rendering a batch and of finding its detections."""
    hyp = yaml.safe_load(HYP.read_text(encoding="utf-8"))
    cpu = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder:
        settings = prepare(Settings(model="p", img=96), Path(folder))
        data = open_data(settings, Path(folder))
        for batch in (16, 64):
            for mixup in (0.0, 0.5):
                made = TrainBatches(
                    data.train.split,
                    data.train.images,
                    {**hyp, "mixup": mixup},
                    img=96,
                    batch=batch,
                    seed=0,
                    device=cpu,
                    together=25,  # as many as a GPU renders at once at 640 pixels
                    threads=0,
                )
                samples = [made.sample(0, image) for image in made.order(0)[:batch]]
                packed = made._packer.pack(samples, Feed(cpu, 0), map)
                with Operations() as seen:
                    made._renderer.render(packed)
                print(
                    f"augmentation, batch {batch}, mixup {mixup}: {seen.count} operations, {seen.waits} waits"
                )
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(32, 3, 320 // s, 320 // s, 85, generator=generator) - 3 for s in (8, 16, 32)]
    for level in levels:
        level[..., 4] -= 6  # about a hundred likely objects an image, as a trained detector has
    for name, find in (("an image at a time", one_by_one), ("together", all_together)):
        with Operations() as seen:
            find(levels, published_anchors())
        print(
            f"detections, {name}: {seen.count / 32:.1f} operations, {seen.waits / 32:.2f} waits an image of 32"
        )


def one_by_one(levels: list[torch.Tensor], anchors: torch.Tensor) -> list[torch.Tensor]:
    return detect(levels, anchors)


def all_together(levels: list[torch.Tensor], anchors: torch.Tensor) -> list[torch.Tensor]:
    return detect_together(*_candidates(levels, anchors), len(levels[0]))


if __name__ == "__main__":
    main()
