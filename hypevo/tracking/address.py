"""Where MLflow keeps a folder's runs, by MLflow's own variables, and where pages are shown; loads no MLflow."""

from __future__ import annotations

import os
from pathlib import Path

EXPERIMENT = "hypevo"
HOST = "127.0.0.1"  # no server of ours asks for a password: this machine only
NAMES = (HOST, "localhost")  # that a browser may call this machine by


def default_address() -> str:
    """MLFLOW_TRACKING_URI, else what MLflow itself defaults to: `mlflow.db` in the working directory."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given
    path = str(Path.cwd() / "mlflow.db")
    if not set("%?") & set(path):
        return f"sqlite:///{path}"
    # The folder's name means something else in an address, as `a%2Fb`; quoted, MLflow would make a folder of that name.
    return "sqlite:///mlflow.db"
