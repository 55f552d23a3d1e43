"""The example on COCO128: its parts never meet, its mapping covers every class, and what it makes can be trained on."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parents[1] / "examples" / "coco128"
DATA = os.environ.get("HYPEVO_TEST_DATA")


def test_the_three_parts_of_coco128_have_no_image_in_common():
    parts = {part: (EXAMPLE / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}
    assert {part: len(set(names)) for part, names in parts.items()} == {"train": 64, "val": 32, "test": 32}
    assert not any(set(one) & set(other) for one, other in combinations(parts.values(), 2))


@pytest.mark.skipif(not DATA, reason="needs COCO128: HYPEVO_TEST_DATA")
def test_both_datasets_hold_the_same_boxes_in_80_classes_and_in_12(tmp_path):
    coco128 = Path(DATA) / "coco128"
    subprocess.run([sys.executable, EXAMPLE / "make.py", coco128, tmp_path], check=True)
    whole = yaml.safe_load((Path(DATA) / "coco128.yaml").read_text())["names"]
    as_they_are, supers = (
        yaml.safe_load((tmp_path / f"coco128-{which}" / "data.yaml").read_text())
        for which in ("parts", "super")
    )
    assert as_they_are["names"] == whole
    assert len(supers["names"]) == 12
    boxes = 0
    for label in sorted(tmp_path.glob("coco128-parts/labels/*/*.txt")):
        original = (coco128 / "labels" / "train2017" / label.name).read_text().split("\n")
        mapped = (
            (tmp_path / "coco128-super" / label.relative_to(tmp_path / "coco128-parts"))
            .read_text()
            .split("\n")
        )
        assert label.read_text().split() == " ".join(original).split()
        assert [row.split()[1:] for row in mapped] == [row.split()[1:] for row in original]
        boxes += sum(bool(row) for row in original)
    assert boxes == 929
