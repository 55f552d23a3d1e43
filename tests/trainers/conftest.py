"""The conformance suite under the name `trainer_contract`, and the data recorded from YOLOv5 itself."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

# Tests are imported by path, so a module that they share needs a name of its own.
pytest.register_assert_rewrite("trainer_contract")
_spec = importlib.util.spec_from_file_location("trainer_contract", Path(__file__).with_name("contract.py"))
_module = importlib.util.module_from_spec(_spec)
sys.modules["trainer_contract"] = _module
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
