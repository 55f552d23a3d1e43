"""A small dataset, written as a test wants it."""

from __future__ import annotations

import pytest
from PIL import Image


@pytest.fixture
def make(tmp_path):
    """Write images with labels under a folder, and a data.yaml."""

    def write(yaml: str, images: dict[str, str | None] = {}, root: str = "set"):  # noqa: B006
        for name, label in images.items():
            image = tmp_path / root / "images" / name
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (90, 20, 10)).save(image)
            if label is not None:
                text = tmp_path / root / "labels" / name
                text.parent.mkdir(parents=True, exist_ok=True)
                text.with_suffix(".txt").write_text(label)
        path = tmp_path / "data.yaml"
        path.write_text(yaml, encoding="utf-8")
        return path

    return write
