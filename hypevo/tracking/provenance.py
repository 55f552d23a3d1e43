"""Where a result comes from: the command, the code's revision, the versions, the machine, the data."""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from mlflow.entities import Dataset, DatasetInput, InputTag

from hypevo.messages import hidden
from hypevo.tracking.names import text

PACKAGES = ("hypevo", "torch", "torchvision", "optuna", "mlflow", "numpy")


def provenance(dataset: str = "", versions: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Tags that say how to get this result again.

    Args:
        dataset: The fingerprint of the data, if there is one.
        versions: Of the programs that the trainer runs, by name.
    """
    tags = {
        "hypevo.command": shlex.join([Path(sys.argv[0]).name, *map(hidden, sys.argv[1:])])[:5000],
        "hypevo.python": platform.python_version(),
        "hypevo.machine": f"{platform.node()} {platform.machine()} {platform.system()}",
    }
    for package in PACKAGES:
        try:
            tags[f"hypevo.version.{package}"] = version(package)
        except PackageNotFoundError:
            continue
    revision = _git("rev-parse", "HEAD")
    if revision:
        tags["mlflow.source.git.commit"] = revision
        if dirty := _is_dirty():
            tags["hypevo.git.dirty"] = dirty
    if dataset:
        tags["hypevo.dataset"] = dataset
    tags |= {f"hypevo.trainer.{name}": value for name, value in versions.items()}
    return tags


def origin() -> dict[str, str]:
    """Tags that MLflow's page shows in columns of its own: who, and with what."""
    user = "unknown"
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    return {"mlflow.user": user, "mlflow.source.name": "hypevo"}


def dataset_inputs(source: str | None, fingerprint: str) -> list[DatasetInput]:
    """What MLflow shows as the dataset of a run; without a fingerprint of its content, that of the data.yaml."""
    if source is None:
        return []
    path = Path(source)
    if not fingerprint:
        fingerprint = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "embedded"
    dataset = Dataset(name=text(path.stem), digest=fingerprint[:8], source_type="local", source=text(source))
    return [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]


def _is_dirty() -> str:
    """Whether tracked files differ from the revision; empty where to find out could run a program of the folder.

    A stranger's folder may be a repository, and `git status` runs what its configuration says of `core.fsmonitor`, of
    filters and of hooks.
    """
    named = _git("config", "--includes", "--show-scope", "--get-regexp", r"^(filter\..*|include.*)$")
    if any(line.split()[:1] in (["local"], ["worktree"]) for line in named.splitlines()):
        return ""
    harmless = ("--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    status = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    return str(bool(_git(*harmless, *status))).lower()


def _git(*arguments: str) -> str:
    """What git says of the working directory; empty where there is no git or no repository."""
    git = shutil.which("git")
    if (
        git is None or Path(git).resolve().parent == Path.cwd()
    ):  # Windows looks into the working directory first
        return ""
    try:
        answer = subprocess.run([git, *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
