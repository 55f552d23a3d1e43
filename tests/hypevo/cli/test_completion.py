"""What Tab offers, asked as the shells ask it."""

from __future__ import annotations

import os
import subprocess
import sys

import optuna
import pytest

from hypevo.cli.completion import study_names
from hypevo.study.storage import open_storage


def press(line: str, folder, shell: str = "bash") -> str:
    """What the shell is told when Tab is pressed at the end of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "powershell": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1]},
    }[shell]
    variables = {**os.environ, "_HYPEVO_COMPLETE": f"complete_{shell}", **asked}
    code = "import sys; sys.argv[0] = 'hypevo'; from hypevo.cli.app import main\ntry: main()\nfinally: assert not "
    code += "{'torch', 'mlflow', 'optuna', 'sqlalchemy', 'numpy'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with studies in the usual journal, one of them deleted and one twice, and in an SQLite file."""
    folder = tmp_path_factory.mktemp("studies")
    storage = open_storage(str(folder / "mlruns" / "optuna.journal"))
    for name in ("coco128", "gone", "signs"):
        optuna.create_study(storage=storage, study_name=name)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        optuna.create_study(storage=storage, study_name="signs")
    optuna.delete_study(study_name="gone", storage=storage)
    optuna.create_study(storage=f"sqlite:///{folder / 'other.db'}", study_name="elsewhere")
    return folder


@pytest.mark.parametrize(
    ("shell", "told"),
    [("bash", "coco128\n"), ("zsh", '''_arguments '*: :(("coco128"))'\n'''), ("fish", "coco128\n"),
     ("powershell", "coco128::: \n")],
)  # fmt: skip
def test_each_shell_is_told_the_studies_of_the_usual_storage(folder, shell, told):
    assert press("hypevo status --study co", folder, shell) == told


def test_the_storage_that_is_typed_is_read(folder):
    line = f"hypevo status --storage sqlite:///{(folder / 'other.db').as_posix()} --study "
    assert press(line, folder) == "elsewhere\n"


def test_studies_are_as_optuna_has_them_and_nothing_is_made_or_asked(folder, tmp_path):
    assert study_names(str(folder / "mlruns" / "optuna.journal")) == ["coco128", "signs"]
    for storage in (
        str(tmp_path / "no.journal"),
        f"sqlite:///{tmp_path / 'no.db'}",
        "postgresql+psycopg://x/y",
    ):
        assert study_names(storage) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("evolve --freeze lr0,mo", "lr0,momentum\nlr0,mosaic\n"),
        ("evolve --only warmup_e", "warmup_epochs\n"),
        ("evolve --hyp scratch-l", "scratch-low\n"),
        ("evolve epochs=3 --pruner m", "median\n"),
        ("evolve --trainer trainers.external.u", "trainers.external.ultralytics:train\n"),
        ("evolve --trainer trainers.external.ultralytics --task se", "segment\n"),
        ("evolve --weig", "--weights\n"),
        ("plot si", "signs\n"),
        ("evolve --trainer no.such:thing --from-st", "--from-study\n"),
    ],
)
def test_values_are_offered(folder, line, told, monkeypatch, capsys):
    from hypevo.cli.app import main

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["hypevo"])
    words = ["hypevo", *line.split(" ")]
    for name, value in (("_HYPEVO_COMPLETE", "complete_bash"), ("COMP_WORDS", " ".join(words)),
                        ("COMP_CWORD", str(len(words) - 1))):  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, *capsys.readouterr()) == (0, told, "")
