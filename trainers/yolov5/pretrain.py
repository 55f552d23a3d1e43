"""How the checkpoint of the embedded dataset was made, which a search on it fine-tunes.

python -m trainers.yolov5.pretrain --out trainers/digits.pt
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.digits import SIDE, write_digits

from . import Settings, train

if TYPE_CHECKING:
    from collections.abc import Mapping

_HYP = {
    **{"lr0": 0.006, "lrf": 0.1, "momentum": 0.9, "weight_decay": 0.0005},
    **{"warmup_epochs": 0.5, "warmup_momentum": 0.9, "warmup_bias_lr": 0.006},
    **{"box": 0.1, "cls": 4.0, "cls_pw": 1.0, "obj": 4.0, "obj_pw": 1.0, "fl_gamma": 0.0, "anchor_t": 4.0},
    **{"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4},
    **{"degrees": 0.0, "translate": 0.1, "scale": 0.3, "shear": 0.0, "perspective": 0.0},
    **{"flipud": 0.0, "fliplr": 0.0, "mosaic": 0.1, "mixup": 0.0, "copy_paste": 0.0},
}


def pretrain(out: Path, *, images: int = 3000, epochs: int = 12) -> None:
    """Train a detector on the pretraining digits, seconds per epoch and thousand images, and keep its weights."""
    with tempfile.TemporaryDirectory() as temporary:
        data = write_digits(Path(temporary), part="pretrain", train=images)
        settings = Settings(
            data=str(data),
            model="p",
            img=SIDE,
            epochs=epochs,
            batch=16,
            optimizer="AdamW",
            warmup_floor=0,
        )
        run = Path(temporary) / "run"
        train(_HYP, out=run, seed=0, device="cpu", report=_show, settings=settings)
        shutil.copyfile(run / "weights" / "last.pt", out)


def _show(metrics: Mapping[str, float], *, step: int) -> None:
    print(f"epoch {step}: mAP_0.5 {metrics['mAP_0.5']:.3f}", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="train the checkpoint of the embedded dataset")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    pretrain(parser.parse_args().out)


if __name__ == "__main__":
    main()
