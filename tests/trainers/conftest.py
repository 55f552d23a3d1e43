"""The conformance suite and the stand-ins of external programs under names of their own; data recorded from YOLOv5."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

# Tests are imported by path, so modules that they share need names of their own.
SHARED = {
    "trainer_contract": "contract.py",
    "stand_in_ultralytics": "external/stand_in_ultralytics.py",
    "stand_in_yolov5": "external/stand_in_yolov5.py",
}
for _name, _file in SHARED.items():
    pytest.register_assert_rewrite(_name)
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).parent / _file)
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_name] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder with coco128 and the official yolov5n.pt."""
    folder = os.environ.get("HYPEVO_TEST_DATA")
    if not folder or not (Path(folder) / "yolov5n.pt").exists():
        pytest.skip("HYPEVO_TEST_DATA names no folder with yolov5n.pt and coco128")
    return Path(folder)


@pytest.fixture(scope="session")
def recorded(data_folder) -> Path:
    """Folder with the numbers recorded from YOLOv5 release 7.0."""
    folder = data_folder.parent / "fixtures"
    if not folder.is_dir():
        pytest.skip(f"no recorded numbers at {folder}")
    return folder
