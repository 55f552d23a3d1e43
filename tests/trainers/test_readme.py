"""The trainers of trainers/README.md do what it says, as they stand there."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from trainer_contract import Case, TrainerContract

README = Path(__file__).parents[2] / "trainers" / "README.md"
PYTHON = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
BASH = re.findall(r"```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
POINTS = "".join(f"{x / 10} {x / 5}\n" for x in range(12))
TRAIN_PY = """
import argparse
parser = argparse.ArgumentParser()
for name in ("lr", "act", "epochs", "seed", "out"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
for epoch in range(int(given.epochs)):
    print(f"epoch={epoch + 1} accuracy={float(given.lr) + (given.act == 'tanh')}")
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """The trainers as modules."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "points.txt").write_text(POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for number, text in enumerate(PYTHON):
            (folder / f"of_the_readme_{number}.py").write_text(text)
        yield [importlib.import_module(f"of_the_readme_{number}") for number in range(len(PYTHON))]


class TestFirst(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, modules):
        hyp = {"lr": 0.001, "hidden": 16, "act": "tanh"}
        return Case(modules[0].train, hyp, ["accuracy", "loss"], epochs=5)


class TestSecond(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, modules):
        settings = modules[1].Settings(data=str(Path(modules[1].__file__).with_name("points.txt")), epochs=3)
        return Case(modules[1].train, {"lr": 0.1, "momentum": 0.0}, ["error"], 3, {"settings": settings})


def test_the_first_has_twenty_lines():
    assert len([line for line in PYTHON[0].splitlines() if line]) <= 20


@pytest.mark.slow
def test_the_commands_work_as_they_stand(tmp_path):
    program = f"{sys.executable} -m hypevo"
    (tmp_path / "mine.py").write_text(PYTHON[0])
    (tmp_path / "train.py").write_text(TRAIN_PY)
    (tmp_path / "my_space.yaml").write_text(
        "lr: {low: 0, high: 1, default: 0.5}\nact: {choices: [relu, tanh], default: relu}\n"
    )
    first = BASH[0].replace("hypevo", program)
    last = BASH[1].replace("hypevo", program).replace("evolve", "evolve --generations 2 --study program", 1)
    for script in (first, last.replace("python train.py", f"{sys.executable} train.py")):
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    header = (tmp_path / "runs/evolve/digits/evolve.csv").read_text().split("\n")[0]
    assert [name.strip() for name in header.split(",")] == [
        "metrics/accuracy",
        "metrics/loss",
        "lr",
        "hidden",
        "act",
    ]
    assert len(list(tmp_path.glob("runs/evolve/digits/trials/*/weights/model.joblib"))) == 1  # of the best


@pytest.mark.slow
def test_the_second_finds_beforehand_what_is_wrong(tmp_path):
    (tmp_path / "mine.py").write_text(PYTHON[1])

    def run(*words):
        command = [sys.executable, "-m", "hypevo", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    evolve = ("evolve", "--trainer", "mine:train", "--generations", "2", "--study", "s")
    assert run(*evolve)[0] == 2
    assert "data: no file points.txt" in run(*evolve)[1]
    assert "epochs: expected 1 or more; got 0" in run(*evolve, "--epochs", "0")[1]
    (tmp_path / "points.txt").write_text(POINTS)
    assert run(*evolve)[0] == 0
    _, printed = run("trainer", "mine:train")
    for words in (
        "metrics: error",
        "fitness: - `error`",
        "momentum",
        "on a logarithmic scale",
        "steps of gradient",
    ):
        assert words in printed
