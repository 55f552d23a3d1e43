"""A trainer of milliseconds whose metrics are a smooth function of its hyperparameters; it can fail in every way on request."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")


@dataclass(frozen=True)
class Settings:
    epochs: int = 2
    sleep: float = 0.0  # seconds an epoch takes
    fail: str = ""  # how it fails
    fail_above: float = math.inf  # value of lr0 above which it does

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs: expected 1 or more, got {self.epochs}")


def train(hyp, *, out: Path, seed: int, device: str, report, settings: Settings):
    print(f"training on {device} with seed {seed}", flush=True)
    quality = math.exp(-((math.log10(hyp["lr0"]) + 1.5) ** 2)) * (1 - abs(hyp["momentum"] - 0.9))
    for epoch in range(settings.epochs):
        time.sleep(settings.sleep)
        grown = quality * (epoch + 1) / settings.epochs
        metrics = dict.fromkeys(METRICS, grown) | {"train/box_loss": 1 - grown}
        report(metrics, step=epoch)
        if hyp["lr0"] > settings.fail_above:
            fail(settings.fail, out)
    (out / "weights").mkdir(exist_ok=True)
    (out / "weights" / "best.pt").write_bytes(b"weights")
    return {name: metrics[name] for name in METRICS}


def fail(how: str, out: Path) -> None:
    if how == "raise":
        raise RuntimeError("broken on purpose")
    if how == "diverge":
        raise FloatingPointError("loss is nan")
    if how == "memory":
        raise MemoryError("no memory left")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "kill once" and not (out.parent / "killed").exists():
        (out.parent / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(3600)
