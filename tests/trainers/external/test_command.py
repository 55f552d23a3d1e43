from __future__ import annotations

import sys
import textwrap

import pytest
from trainer_contract import Case, TrainerContract

from trainers.external import command

PROGRAM = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
for name in "hyp out seed device project name data weights epochs imgsz batch-size optimizer".split():
    parser.add_argument(f"--{name}")
parser.add_argument("--fail", action="store_true")
parser.add_argument("--noplots", action="store_true")
parser.add_argument("--exist-ok", action="store_true")
given = parser.parse_args()
lr0 = float(dict(line.split(": ") for line in pathlib.Path(given.hyp).read_text().splitlines())["lr0"])
out = pathlib.Path(given.out or given.project) / "train"
out.mkdir(parents=True, exist_ok=True)
with (out / "results.csv").open("w") as file:
    file.write("               epoch,  train/box_loss, metrics/precision,  metrics/recall, metrics/mAP_0.5,"
               "metrics/mAP_0.5:0.95, val/box_loss, val/obj_loss, val/cls_loss\\n")
    for epoch in range(2):
        file.write(f"{epoch}, 0.1, 0.2, 0.3, {lr0 * (epoch + 1)}, {lr0}, 0.4, 0.5, 0.6\\n")
        file.flush()
sys.exit(3 if given.fail else 0)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def line(program, *more):
    places = "--hyp {hyp} --out {out} --seed {seed} --device {device}"
    return f"{sys.executable} {program} {places} {' '.join(more)}"


class TestCommand(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, program):
        settings = command.Settings(command=line(program))
        return Case(command.train, {"lr0": 0.01}, command.METRICS, 2, {"settings": settings})


def test_metrics_are_those_of_the_last_line(program, tmp_path):
    settings = command.Settings(command=line(program))
    result = command.train(
        {"lr0": 0.02}, out=tmp_path, seed=1, device="cpu", report=lambda m, *, step: None, settings=settings
    )
    assert result["mAP_0.5"] == 0.04
    assert result["box_loss"] == 0.4
    assert result["train/box_loss"] == 0.1


def test_a_program_that_fails_is_an_error_with_its_exit_code(program, tmp_path):
    settings = command.Settings(command=line(program, "--fail"))
    with pytest.raises(RuntimeError, match="exit code 3"):
        command.train(
            {"lr0": 0.02},
            out=tmp_path,
            seed=1,
            device="cpu",
            report=lambda m, *, step: None,
            settings=settings,
        )


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "got nothing"), ("python train.py", "place for"), ("nosuchprogram {hyp}", "no program")],
)
def test_a_command_that_cannot_work_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        command.Settings(command=given)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("  metrics/mAP_0.5:0.95", "mAP_0.5:0.95"),
        ("metrics/mAP50-95(B)", "mAP_0.5:0.95"),
        ("metrics/precision(B)", "precision"),
        ("val/box_loss", "box_loss"),
        ("train/box_loss", "train/box_loss"),
        ("epoch", ""),
    ],
)
def test_columns_of_yolov5_and_ultralytics_are_understood(column, name):
    assert command.plain_name(column) == name


def test_a_line_that_is_still_being_written_waits(tmp_path):
    (tmp_path / "results.csv").write_text("epoch,metrics/recall\n0,0.5\n1,0.")
    assert command.read_results(tmp_path, "*.csv") == [{"recall": 0.5}]
