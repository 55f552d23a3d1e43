"""What lies in the folder where a command is typed is not run: modules, packages, settings, a repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hypevo.tracking.provenance import provenance

RUNS = "import pathlib\npathlib.Path({place!r}).write_text(__name__)\n"
SCRIPT = [str(Path(sys.executable).with_name("hypevo"))]
MODULE = [sys.executable, "-m", "hypevo"]
MODULES = (
    "yaml",
    "numpy",
    "typer",
    "random",
    "torch/__init__",
    "optuna/__init__",
    "trainers/__init__",
    "samplers",
)
MODULES += (
    "multiprocessing/__init__",
    "psutil",
    "PIL/__init__",
    "runpy",
    "signal",
    "sitecustomize",
    "usercustomize",
)
KEYS = ("core.fsmonitor", "filter.x.clean", "filter.x.process", "core.hooksPath", "include.path")
CSV = "metrics/recall,lr0,momentum\n0.5,0.01,0.9\n0.6,0.02,0.8\n"


def hostile(folder: Path) -> Path:
    """Fill a folder with modules that leave a mark when they are run; returns the mark."""
    mark = folder / "ran"
    for name in MODULES:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RUNS.format(place=str(mark)))
    (folder / "evolve.csv").write_text(CSV)
    return mark


COMMANDS = pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["hypevo", "python -m hypevo"])


def runs_nothing(folder: Path, command: list[str], **variables: str) -> None:
    mark = hostile(folder)
    environ = os.environ | variables
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert not mark.exists(), mark.read_text()
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@COMMANDS
def test_no_module_of_the_working_folder_is_run_by_a_training_s_process(bare_arena, command, method):
    runs_nothing(
        bare_arena, [*command, "check", "--data", "digits", "--device", "cpu"], HYPEVO_START_METHOD=method
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["plot", "evolve.csv", "--fitness", "recall"]], ids=["help", "plot"]
)
@COMMANDS
def test_no_module_of_the_working_folder_is_run_by_a_command(bare_arena, command, words):
    runs_nothing(bare_arena, [*command, *words])


def test_a_trainer_of_the_working_folder_is_found_behind_the_packages(tmp_path):
    (tmp_path / "mine.py").write_text("def train(hyp, *, out, seed, device, report):\n    return {}\n")
    done = subprocess.run(
        [*SCRIPT, "trainer", "mine:train"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_settings_of_matplotlib_in_the_working_folder_start_nothing(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: module://evil\n")
    (tmp_path / "evil.py").write_text(RUNS.format(place=str(mark)))
    (tmp_path / "evolve.csv").write_text(CSV)
    (tmp_path / "latex").write_text(f"#!/bin/sh\necho latex >{mark}\n")
    (tmp_path / "latex").chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*SCRIPT, "plot", "evolve.csv", "--fitness", "recall"], cwd=tmp_path, env=environ, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    assert (tmp_path / "evolve.png").stat().st_size > 1000


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
@pytest.mark.parametrize(
    "key", ["core.fsmonitor", "filter.x.clean", "filter.x.process", "core.hooksPath", "include.path"]
)
def test_a_repository_starts_no_program(tmp_path, monkeypatch, key):
    def git(*words):
        environ = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, env=environ, check=True, capture_output=True)

    mark = tmp_path / "ran"
    git("init")
    (tmp_path / "a.txt").write_text("a")
    git("add", "a.txt")
    git("commit", "-m", "a")
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\necho ran >{mark}\ncat\n")
    program.chmod(0o755)
    (tmp_path / ".gitattributes").write_text("*.txt filter=x\n")
    if key == "core.hooksPath":
        (tmp_path / "hooks").mkdir()
        shutil.copy(program, tmp_path / "hooks" / "post-index-change")
        git("config", key, str(tmp_path / "hooks"))
    elif key == "include.path":
        (tmp_path / "more").write_text(f'[filter "x"]\n clean = {program}\n')
        git("config", key, str(tmp_path / "more"))
    else:
        git("config", key, str(program))
    (tmp_path / "a.txt").write_text("b")
    os.utime(tmp_path / "a.txt", (1, 1))
    monkeypatch.chdir(tmp_path)
    tags = provenance()
    assert not mark.exists()
    assert len(tags["mlflow.source.git.commit"]) == 40
    if "hooks" in key or "fsmonitor" in key:
        assert tags["hypevo.git.dirty"] == "true"
    else:
        assert "hypevo.git.dirty" not in tags
