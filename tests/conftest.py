"""What tests of several folders share."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of `benchmarks/`, which are scripts and no package, to import during a test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    for name in [
        n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(BENCHMARKS))
    ]:
        del sys.modules[name]
