"""A YOLOv5 checkout of the user's own: where it is, which Python runs it, and questions to its modules.

Its code is started in processes of its own, never imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from .interpreter import PATIENCE, ask, given_python, python_beside

# No installs, and no fetch from its origin: git refuses every protocol, and all that needs no network still works.
QUIET = {
    "YOLOv5_AUTOINSTALL": "false",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "WANDB_MODE": "disabled",
    "COMET_MODE": "disabled",
    "MPLBACKEND": "agg",
}


def checkout(repo: str) -> Path:
    """The folder of a checkout, absolute.

    Raises:
        ValueError: There is no `train.py` in it.
    """
    folder = Path(repo).expanduser().absolute()
    if not (folder / "train.py").is_file():
        raise ValueError(
            f"repo: expected a YOLOv5 checkout; there is no train.py in {repo or 'an empty name'}"
        )
    return folder


def python_for(folder: Path, given: str) -> str:
    """The Python that runs a checkout: as given, else that of the environment in its folder, else our own.

    Raises:
        ValueError: The given one is no interpreter.
    """
    return given_python(given) if given else str(python_beside(folder) or sys.executable)


def ask_checkout(
    folder: Path, python: str, code: str, question: object, *, patience: float | None = PATIENCE
) -> Any:
    """Run a few lines inside a checkout by its own Python; `trainers.interpreter.ask` says how they answer.

    Raises:
        ValueError: They ended without an answer; the message names the checkout and their last word.
    """
    try:
        return ask(python, code, question, cwd=folder, variables=QUIET, patience=patience)
    except ValueError as error:
        raise ValueError(f"repo: {folder}: {error}") from None


def commit(folder: Path) -> str:
    """The commit of a checkout, with «, changed» where files differ from it; empty where git knows none."""
    found = _git(folder, "rev-parse", "HEAD")
    return found + (", changed" if found and _git(folder, "status", "--porcelain", "-uno") else "")


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
