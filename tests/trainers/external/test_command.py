"""Any program as a trainer: what reaches it, what is read of it, and how its end is judged."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from trainer_contract import Case, TrainerContract

from trainers.external import command
from trainers.external.program import ProgramError

PROGRAM = """
import argparse, json, os, pathlib, sys
parser = argparse.ArgumentParser()
for name in "hyp out seed device epochs lr layers act ema how".split():
    parser.add_argument(f"--{name}")
given = parser.parse_args()
out = pathlib.Path(given.out) / "train"
out.mkdir(parents=True, exist_ok=True)
(out / "given.json").write_text(json.dumps(vars(given)))
if given.how:
    exec(pathlib.Path(given.how).read_text())
rate = float(given.lr or dict(line.split(": ") for line in pathlib.Path(given.hyp).read_text().splitlines())["lr0"])
with (out / "results.csv").open("w") as file:
    file.write("               epoch,  train/box_loss, metrics/precision,  metrics/recall, metrics/mAP_0.5,"
               "metrics/mAP_0.5:0.95, val/box_loss, val/obj_loss, val/cls_loss\\n")
    for epoch in range(int(given.epochs or 2)):
        file.write(f"{epoch}, 0.1, 0.2, 0.3, {rate * (epoch + 1)}, {rate}, 0.4, 0.5, 0.6\\n")
        file.flush()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


@pytest.fixture
def trained(program, tmp_path):
    """Trains once; returns what came back, the reports, and the folder."""

    def run(places: str, hyp=None, fitness=None, code: str = "", **settings):
        (tmp_path / "how.py").write_text(code)
        how = f" --how {tmp_path}/how.py" if code else ""
        line = f"{sys.executable} {program} --out {{out}} {places}{how}"
        reports = []
        result = command.train(
            hyp or {"lr": 0.02},
            out=tmp_path,
            seed=7,
            device="cuda:0",
            report=lambda metrics, *, step: reports.append((step, dict(metrics))),
            settings=command.Settings(command=line, **settings),
            fitness=fitness,
        )
        return result, reports, tmp_path / "run" / "train"

    return run


class TestCommand(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, program):
        places = "--hyp {hyp} --out {out} --seed {seed} --device {device}"
        settings = command.Settings(command=f"{sys.executable} {program} {places}")
        metrics = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95")
        return Case(command.train, {"lr0": 0.01}, metrics, 2, {"settings": settings})


def test_metrics_are_those_of_the_last_epoch_or_of_the_fittest(trained):
    result, reports, _ = trained("--lr {lr}")
    assert (result["mAP_0.5"], result["box_loss"], result["train/box_loss"]) == (0.04, 0.4, 0.1)
    assert [(step, metrics["mAP_0.5"]) for step, metrics in reports] == [(0, 0.02), (1, 0.04)]
    assert (
        trained("--lr {lr}", take="best", fitness=lambda metrics: -metrics["mAP_0.5"])[0]["mAP_0.5"] == 0.02
    )
    assert trained("--lr {lr}", take="best", fitness=lambda _: math.nan)[0]["mAP_0.5"] == 0.04


def test_every_place_gets_its_value_as_it_is(trained):
    hyp = {"lr": 1e-05, "layers": 32, "act": "relu", "ema": True}
    places = "--lr {lr} --layers {layers} --act={act} --ema {ema} --seed {seed} --device {device} --epochs {epochs}"
    result, reports, folder = trained(f"{places} --hyp {{hyp}}", hyp, epochs=3, hyp_format="json")
    given = json.loads((folder / "given.json").read_text())
    assert (given["lr"], given["layers"], given["act"], given["ema"]) == ("1e-05", "32", "relu", "true")
    assert (given["seed"], given["device"], given["epochs"]) == ("7", "0", "3")
    assert json.loads(Path(given["hyp"]).read_text()) == hyp
    assert len(reports) == 3
    assert result["mAP_0.5"] == pytest.approx(3e-5)


def test_a_yaml_file_of_hyperparameters_keeps_kinds(trained):
    import yaml

    hyp = {"lr": 1e-05, "layers": 32, "act": "relu", "ema": False}
    _, _, folder = trained("--lr {lr} --hyp {hyp}", hyp)
    text = Path(json.loads((folder / "given.json").read_text())["hyp"]).read_text()
    assert yaml.safe_load(text) == hyp
    assert "layers: 32\n" in text


def test_lines_of_the_output_are_results(trained):
    code = """
print('Namespace(lr=0.02, layers=2, seed=7)')
for epoch in (1, 2, 3):
    print(f'epoch={epoch}/3 loss={1 / epoch:.2f} val/top1={epoch / 10}', flush=True)
    print('99%| 9/10 [00:01, 7.1it/s, loss=0.7]', end=chr(13))
print('test_top1=0.25')
sys.exit()"""
    result, reports, _ = trained(
        "--lr {lr}", {"lr": 0.02, "layers": 2}, code=code, results="stdout", columns=("top1=val/top1",)
    )
    assert result == {"loss": 0.33, "top1": 0.3, "test_top1": 0.25}
    assert [(step, metrics["loss"], metrics["top1"]) for step, metrics in reports] == [
        (0, 1.0, 0.1),
        (1, 0.5, 0.2),
        (2, 0.33, 0.3),
    ]


def test_json_lines_are_results(trained):
    code = """
with (out / 'log.jsonl').open('w') as file:
    for epoch in (1, 2):
        print(json.dumps({'epoch': epoch, 'train': {'loss': 0.5}, 'note': 'half'}), file=file)
        print(json.dumps({'epoch': epoch, 'accuracy': epoch / 4}), end=chr(10) if epoch == 1 else '', file=file)
sys.exit()"""
    result, reports, _ = trained("--lr {lr}", code=code, results="**/*.jsonl")
    assert result == {"train/loss": 0.5, "accuracy": 0.5}
    assert reports == [(0, {"train/loss": 0.5, "accuracy": 0.25}), (1, {"train/loss": 0.5, "accuracy": 0.5})]


def test_a_csv_that_writes_an_epoch_in_parts_has_one_report_for_each(trained):
    code = """
lines = 'epoch,step,loss,acc,when', '0,9,0.5,,noon', '0,9,,0.7,noon', '1,19,0.4,,noon', '1,19,,0.8,one', ''
(out / 'metrics.csv').write_text(chr(10).join(lines))
sys.exit()"""
    result, reports, _ = trained("--lr {lr}", code=code, results="**/metrics.csv")
    assert result == {"loss": 0.4, "acc": 0.8}
    assert reports == [(0, {"loss": 0.5, "acc": 0.7}), (1, {"loss": 0.4, "acc": 0.8})]


@pytest.mark.parametrize(
    ("code", "failure", "said"),
    [
        ("raise ValueError('bad rate')", "crashed", "ValueError: bad rate (train.py ended with exit code 1)"),
        (
            "print('step 1'); print('fatal: no data', file=sys.stderr); print('bye'); sys.exit(3)",
            "crashed",
            "fatal: no data",
        ),
        ("sys.exit(4)", "crashed", "train.py ended with exit code 4, and had printed nothing"),
        (
            "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
            "out of memory",
            "CUDA out of memory",
        ),
        ("raise MemoryError", "out of memory", "MemoryError"),
        ("raise OSError(28, 'No space left on device')", "disk full", "No space left on device"),
        ("raise FloatingPointError('loss is nan')", "diverged", "loss is nan"),
        ("os.kill(os.getpid(), 9)", "killed", "signal SIGKILL"),
        ("os.kill(os.getpid(), 11)", "killed", "signal SIGSEGV"),
        ("sys.exit(137)", "killed", "signal SIGKILL"),
        ("print(chr(27) + '[31mErr' + chr(27) + '[0mor: red'); sys.exit(1)", "crashed", "Error: red"),
    ],
)
def test_the_end_of_a_program_is_judged(trained, code, failure, said):
    with pytest.raises(ProgramError) as raised:
        trained("--lr {lr}", code=code)
    assert raised.value.failure == failure
    assert said in str(raised.value)


def test_a_program_without_results_is_told_what_was_looked_for(trained):
    with pytest.raises(
        ProgramError, match=r"expected lines of numbers in \*\*/results.csv .*; .*--results stdout"
    ):
        trained("--lr {lr}", code="print('accuracy=0.5'); sys.exit()")
    with pytest.raises(ProgramError, match=r"expected a line such as «accuracy=0.9» in its output"):
        trained("--lr {lr}", code="print('done'); sys.exit()", results="stdout")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX processes")
def test_what_a_report_raises_ends_the_program_and_what_it_started(program, tmp_path):
    (tmp_path / "how.py").write_text("""
import subprocess, time
child = subprocess.Popen(['sleep', '600'])
print(f'pid={child.pid}', flush=True)
print('pid=0', flush=True)
time.sleep(600)
""")
    line = f"{sys.executable} {program} --out {{out}} --lr {{lr}} --how {tmp_path}/how.py"
    settings = command.Settings(command=line, results="stdout")
    pids = []

    def stop(metrics, *, step):
        pids.append(int(metrics["pid"]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        command.train({"lr": 1.0}, out=tmp_path, seed=0, device="cpu", report=stop, settings=settings)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    assert [one.status() for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"command": ""}, "got nothing"),
        ({"command": "nosuchprogram {hyp}"}, "no program"),
        ({"command": "python 'train.py {hyp}"}, "quotes in pairs"),
        ({"command": "python train.py {hyp"}, "braces in pairs"),
        ({"command": "python train.py {hyp}", "epochs": 100}, "no place {epochs}"),
        ({"command": "python train.py {hyp} {epochs}"}, "expected --epochs"),
        ({"command": "python train.py {hyp}", "columns": ("accuracy",)}, "expected name=column"),
        ({"command": "python train.py {hyp}", "results": "/tmp/results.csv"}, "pattern of files under"),
        ({"command": "python train.py {hyp}", "weights_files": ("../*.pt",)}, "pattern of files under"),
    ],
)
def test_a_command_that_cannot_work_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        command.Settings(**given)


HYP = {"lr": 0.1, "act": "relu", "layers": 2}
SPACE = {
    "lr": {"low": 0.0, "high": 1.0},
    "act": {"low": 0, "high": 1},
    "layers": {"low": 1, "high": 6, "gain": 0},
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -V {hyp} {seed}", []),
        ("python -V --lr {lr} --act {act} {layers} {seed}", []),
        (
            "python -V --lr {lr} --act {acts} {seed}",
            [("error", "{acts} is neither"), ("error", "searched, and without a place: act"), ("note", "layers")],
        ),
        ("python -V --json '{{\"lr\": {lr}}}' {act} {layers} {seed}", []),
        ("python -V {hyp}", [("warning", "no place {seed}")]),
        ("python nowhere.py {hyp} {seed}", [("error", "no file nowhere.py")]),
    ],
)  # fmt: skip
def test_places_are_checked_beforehand(line, expected):
    found = command.check(command.Settings(command=line), HYP, SPACE)
    assert [level for level, _ in found] == [level for level, _ in expected]
    for (_, message), (_, words) in zip(found, expected, strict=True):
        assert words in message
