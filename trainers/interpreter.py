"""Another Python of this machine, with packages of the user's own: found, and asked in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENVIRONMENTS = (".venv", "venv", ".conda", "env")  # folders in which people keep the environment of a project
ANSWER = "hypevo-answer "  # begins the line that holds it; programs print much else
PATIENCE = 600.0  # seconds an answer may take: a first import of torch from a network disk lasts minutes


def environment_python(folder: Path) -> Path | None:
    """The Python of a virtual or conda environment; None when the folder is none."""
    names = ("bin/python", "Scripts/python.exe", "python.exe")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def python_beside(folder: Path) -> Path | None:
    """The Python of the environment that a project's folder holds, or is itself; None when there is none."""
    candidates = [*(folder / name for name in ENVIRONMENTS), folder]
    return next((found for one in candidates if (found := environment_python(one)) is not None), None)


def given_python(option: str) -> str:
    """The absolute path of an interpreter that a user named; links stay, they are what an environment is made of.

    Raises:
        ValueError: It is no file; a folder counts when it is an environment.
    """
    path = Path(option).expanduser().absolute()
    found = environment_python(path) if path.is_dir() else path
    if found is None or not found.is_file():
        raise ValueError(f"python: expected a Python interpreter or an environment's folder, got {option}")
    return str(found)


# What speaks of our own Python and must not reach another one; an empty value counts as none.
FOREIGN = dict.fromkeys(("PYTHONHOME", "PYTHONSAFEPATH", "__PYVENV_LAUNCHER__"), "")


def ask(
    python: str,
    code: str,
    question: object,
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    patience: float | None = PATIENCE,
) -> Any:
    """Run a program in another Python, and return what it answers.

    The program finds the question as `question`, and calls `answer(value)` once; both are plain data.

    Args:
        python: The interpreter.
        code: The program.
        question: What it is asked.
        cwd: Where it runs; modules there can be imported. The working directory unless given.
        variables: Set in its environment.
        patience: Seconds that it may take; None for as long as it takes, where it fetches something.

    Raises:
        ValueError: It ended without an answer; the message is the last line of its output.
    """
    command = [python, "-c", _FRAME.format(answer=ANSWER) + code, json.dumps(question)]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **FOREIGN, "PYTHONIOENCODING": "utf-8", **(variables or {})},
            timeout=patience,
            check=False,
        )
    except OSError as error:
        raise ValueError(f"{python} does not start: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{python} did not answer within {error.timeout:.0f} seconds") from error
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.startswith(ANSWER):
            return json.loads(line.removeprefix(ANSWER))
    said = [line.strip() for line in lines if line.strip()]
    last = printable(said[-1])[:500] if said else f"it ended with exit code {ended.returncode} and no word"
    raise ValueError(f"{python}: {last}")


def versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    """The versions of those packages that another Python has, by name; nothing is imported there.

    Raises:
        ValueError: As `ask`.
    """
    return {str(name): str(version) for name, version in ask(python, _VERSIONS, list(packages)).items()}


_VERSIONS = """
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
answer({name: version(name) for name in question if version(name)})
"""
_FRAME = """
import json, sys
question = json.loads(sys.argv[1])
def answer(value): print("\\n{answer}" + json.dumps(value, default=str), flush=True)
"""
