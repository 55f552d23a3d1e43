"""Where MLflow keeps a folder's runs, by MLflow's own variables, and where pages are shown; loads no MLflow."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

EXPERIMENT = "hypevo"
PORT = 5000  # of MLflow's page, as MLflow itself has it
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


def page_of(server: str) -> str:
    """The address that a browser opens an MLflow server by: without a name and a password, which it asks for."""
    parts = urlsplit(server)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
