"""Short fine-tuning: what three epochs do to a checkpoint, by preset, beside leaving it as it is.

Each entrant trains with each seed and is measured on the part that a search would select on (val) and on the part that
nothing sees (test). Printed: mean ± standard deviation of fitness over the seeds, and the untouched checkpoint.

    python examples/coco128/make.py …/coco128 data
    OMP_NUM_THREADS=1 python benchmarks/finetune.py --data data/coco128-parts/data.yaml --weights yolov5n.pt
    OMP_NUM_THREADS=1 python benchmarks/finetune.py          # the embedded digits, which have no third part
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import yaml

from hypevo.problem.hyp import load_hyp
from trainers.yolov5 import Settings, prepare, train, validate

if TYPE_CHECKING:
    from collections.abc import Mapping

# Over scratch-low: anchor_t 8 keeps the checkpoint's anchors, which at small images AutoAnchor replaces.
_KEEP = {"anchor_t": 8.0}
VARIANTS = {
    "anchor_t 8": _KEEP,
    "anchor_t 8, bias 0": {**_KEEP, "warmup_bias_lr": 0.0},
    "anchor_t 8, bias 0, lr0 .002": {**_KEEP, "warmup_bias_lr": 0.0, "lr0": 0.002},
    "anchor_t 8, bias 0, lr0 .002, mosaic 0": {**_KEEP, "warmup_bias_lr": 0.0, "lr0": 0.002, "mosaic": 0.0},
    "anchor_t 8, bias 0, mosaic 0": {**_KEEP, "warmup_bias_lr": 0.0, "mosaic": 0.0},
    "bias 0, lr0 .002": {"warmup_bias_lr": 0.0, "lr0": 0.002},
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="digits", help="data.yaml, with test: for the third part")
    parser.add_argument("--weights", default="", help="the checkpoint")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--img", type=int, default=0, help="224, or 160 for the digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hyp", nargs="*", default=["scratch-low", "finetune"], help="presets or hyp files")
    parser.add_argument(
        "--freeze-norm", action="store_true", help="keep the checkpoint's batch-norm statistics"
    )
    parser.add_argument("--variants", action="store_true", help="also changes to scratch-low, one at a time")
    asked = parser.parse_args()
    embedded = asked.data == "digits"
    entrants: dict[str, Mapping[str, float]] = {name: _numbers(name) for name in asked.hyp}
    if asked.variants:
        entrants |= {name: {**_numbers("scratch-low"), **change} for name, change in VARIANTS.items()}
    with tempfile.TemporaryDirectory() as temporary:
        cache, out = Path(temporary) / "cache", Path(temporary) / "out"
        cache.mkdir()
        settings = prepare(
            Settings(
                data=asked.data,
                weights=asked.weights,
                epochs=asked.epochs,
                img=asked.img or (160 if embedded else 224),
                pictures=False,
                freeze_norm=asked.freeze_norm,
            ),
            cache,
        )
        unseen = None if embedded else _third_part(Path(settings.data), Path(temporary) / "unseen.yaml")

        def scores(weights: str) -> tuple[float, ...]:
            places = [settings.data, *([unseen] if unseen else [])]
            return tuple(fitness(validate(_with(settings, data=data, weights=weights))) for data in places)

        print("| hyp | val | test |" if unseen else "| hyp | val |", flush=True)
        print("|---|---|---|" if unseen else "|---|---|")
        _row("untouched", [scores(settings.weights)])
        for name, hyp in entrants.items():
            found = []
            for seed in range(asked.seeds):
                train(hyp, out=out, seed=seed, device="cpu", report=_no_report, settings=settings)
                found.append(scores(str(out / "weights" / "last.pt")))
            _row(name, found)


def fitness(metrics: Mapping[str, float]) -> float:
    """YOLOv5's."""
    return 0.1 * metrics["mAP_0.5"] + 0.9 * metrics["mAP_0.5:0.95"]


def _numbers(source: str) -> dict[str, float]:
    return {name: float(value) for name, value in load_hyp(source).items()}


def _third_part(data: Path, target: Path) -> str:
    content = yaml.safe_load(data.read_text(encoding="utf-8"))
    root = (data.parent / content.get("path", ".")).resolve()
    target.write_text(
        yaml.safe_dump({**content, "path": str(root), "val": content["test"]}), encoding="utf-8"
    )
    return str(target)


def _with(settings: Settings, **changes: str) -> Settings:
    fields = {name: getattr(settings, name) for name in ("epochs", "img", "batch", "pictures")}
    return Settings(**{**fields, **changes})


def _row(name: str, found: list[tuple[float, ...]]) -> None:
    cells = [
        f"{fmean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")
        for values in zip(*found, strict=True)
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _no_report(metrics: Mapping[str, float], *, step: int) -> None:
    """Nothing is shown of an epoch."""


if __name__ == "__main__":
    main()
