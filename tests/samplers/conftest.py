"""Fixtures of the sampler tests; to test another mode or setting, add it to ``SETTINGS``."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest

pytest.register_assert_rewrite("optuna.testing.pytest_samplers")
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def evolve_v7() -> Path:
    """Folder with a recorded evolution of YOLOv5 release 7.0."""
    data = os.environ.get("HYPEVO_TEST_DATA")
    if not data or not (folder := Path(data).parent / "fixtures" / "evolve_v7").is_dir():
        pytest.skip("HYPEVO_TEST_DATA names no folder with recorded evolutions beside it")
    return folder
