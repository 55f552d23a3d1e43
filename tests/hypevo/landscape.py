"""A trainer of milliseconds with smooth metrics, which fails in every way on request."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SPACE = "yolov5"
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")


@dataclass(frozen=True)
class Settings:
    data: str | None = None
    epochs: int = 2
    sleep: float = 0.0  # seconds an epoch takes
    fail: str = ""  # how it fails
    fail_above: float = math.inf  # value of lr0 above which it does
    rough: float = 0.0  # standard deviation of what each individual's metrics are off by
    fail_seed: int = -1  # the seed with which it does
    worse_above: float = math.inf  # value of lr0 above which metrics are a tenth
    seeded: float = 0.0  # standard deviation of what each seed's metrics are off by
    weights: str = (
        ""  # what it starts from: the metrics that `validate` gives, a number, or what it fails with
    )

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs: expected 1 or more, got {self.epochs}")


def fingerprint(settings: Settings) -> str:
    data = Path(settings.data or "")
    return data.read_text() if data.is_file() else "5eed0f1a7d5ca9e"


def validate(settings: Settings, *, device: str):
    with Path("validated.txt").open("a") as file:
        file.write(f"{device}\n")
    return dict.fromkeys(METRICS, float(settings.weights))  # a ValueError for what is no number


def train(hyp, *, out: Path, seed: int, device: str, report, settings: Settings):
    print(f"training on {device} with seed {seed}", flush=True)
    began = time.time()
    quality = math.exp(-((math.log10(hyp["lr0"]) + 1.5) ** 2)) * (1 - abs(hyp["momentum"] - 0.9))
    if hyp["lr0"] > settings.worse_above:
        quality /= 10
    quality += settings.rough * random.Random(repr(sorted(hyp.items()))).gauss()
    quality += settings.seeded * random.Random(seed).gauss()
    for epoch in range(settings.epochs):
        time.sleep(settings.sleep)
        grown = quality * (epoch + 1) / settings.epochs
        metrics = dict.fromkeys(METRICS, grown) | {"train/box_loss": 1 - grown}
        report(metrics, step=epoch)
        if hyp["lr0"] > settings.fail_above or seed == settings.fail_seed:
            metrics |= fail(settings.fail, out)
    (out / "weights").mkdir(exist_ok=True)
    (out / "weights" / "best.pt").write_bytes(b"weights")
    seen = {
        name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MLFLOW_RUN_ID")
    }
    (out / "witness.json").write_text(json.dumps({"began": began, "ended": time.time(), **seen}))
    return {name: metrics[name] for name in METRICS}


def fail(how: str, out: Path) -> dict:
    first = out.parent / "failed once"
    if how == "raise":
        raise RuntimeError("broken on purpose")
    if how == "diverge":
        raise FloatingPointError("loss is nan")
    if how == "memory":
        raise MemoryError("no memory left")
    if how == "disk":
        raise OSError(errno.ENOSPC, "No space left on device")
    if how == "exit":
        sys.exit(3)
    if how == "kill" or (how == "kill once" and not first.exists()):
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "slow once" and not first.exists():
        first.touch()
        others = out.parent.glob  # it goes on when three others have ended, or never will
        deadline = time.monotonic() + 120
        while len(list(others("*/witness.json"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    if how == "hang":
        time.sleep(3600)
    if how == "hang at exit":
        threading.Thread(target=time.sleep, args=(3600,)).start()
    if how == "child":  # leaves a process behind
        subprocess.Popen(["sleep", "3600"])
    if how == "session":  # and one that no signal to the trial's group reaches
        subprocess.Popen(["sleep", "3600"], start_new_session=True)
    return {"nan": {"mAP_0.5": math.nan}, "text": {"mAP_0.5": "much"}}.get(how, {})
