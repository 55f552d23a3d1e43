"""COCO128 in three parts that never meet: 64 images to train on, 32 to search with, 32 to judge the winner on.

    python examples/coco128/make.py coco128 data

makes `data/coco128-parts` with COCO's 80 classes, and `data/coco128-super` with its twelve super-categories, each with
a `data.yaml` that says train, val and test. Which image is where is fixed by the lists beside this file.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
PARTS = ("train", "val", "test")
SUPER = HERE / "super-categories.yaml"


def main() -> None:
    """Make both datasets, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("coco128", type=Path, help="the folder with images/train2017 and labels/train2017")
    parser.add_argument(
        "out", type=Path, nargs="?", default=Path("data"), help="where both go; data by default"
    )
    asked = parser.parse_args()
    for source in ("images", "labels"):
        if not (asked.coco128 / source / "train2017").is_dir():
            parser.error(f"expected a folder with {source}/train2017 in it, got {asked.coco128}")
    supers = yaml.safe_load(SUPER.read_text(encoding="utf-8"))
    classes = [name for names in supers.values() for name in names]
    to_super = [index for index, names in enumerate(supers.values()) for _ in names]
    for folder, names, mapping in (
        ("coco128-parts", classes, list(range(len(classes)))),
        ("coco128-super", list(supers), to_super),
    ):
        made = make(asked.coco128, asked.out / folder, names, mapping)
        print(f"{made / 'data.yaml'}  {len(names)} classes")


def make(coco128: Path, out: Path, names: list[str], mapping: list[int]) -> Path:
    """Write a dataset in which COCO's class `c` is `mapping[c]`; images are copied, so that any program reads it."""
    for part in PARTS:
        images, labels = out / "images" / part, out / "labels" / part
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for name in (HERE / f"{part}.txt").read_text(encoding="utf-8").split():
            shutil.copyfile(coco128 / "images" / "train2017" / name, images / name)
            label = Path(name).with_suffix(".txt")
            source = coco128 / "labels" / "train2017" / label
            if source.exists():  # two of the images have none: nothing is on them
                (labels / label).write_text(
                    mapped(source.read_text(encoding="utf-8"), mapping), encoding="utf-8"
                )
    content = {**{part: f"images/{part}" for part in PARTS}, "names": dict(enumerate(names))}
    (out / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return out


def mapped(labels: str, mapping: list[int]) -> str:
    """A label file's text with other class numbers."""
    rows = [line.split(maxsplit=1) for line in labels.splitlines() if line.strip()]
    return "".join(f"{mapping[int(number)]} {rest}\n" for number, rest in rows)


if __name__ == "__main__":
    main()
