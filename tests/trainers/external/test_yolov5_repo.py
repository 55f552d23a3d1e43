from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import stand_in_yolov5
import yaml
from trainer_contract import Case, TrainerContract

from trainers.external import yolov5_repo
from trainers.external.program import ProgramError
from trainers.external.yolov5_repo import Settings
from trainers.external.yolov5_repo.training import device_option
from trainers.yolov5.model import Detector
from trainers.yolov5.weights import save_checkpoint

HYP = {"lr0": 0.02, "copy_paste": 0.0, "anchors": 3.0}


def ignore(metrics, *, step):
    pass


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    return str(stand_in_yolov5.install(tmp_path_factory.mktemp("place") / "yolov5"))


@pytest.fixture
def settings(repo):
    return Settings(repo=repo, data="mine.yaml", model="yolov5n.yaml", epochs=3)


class TestContract(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, repo, tmp_path_factory):
        given = Settings(repo=repo, data="digits", model="yolov5n.yaml", epochs=3)
        prepared = yolov5_repo.prepare(given, tmp_path_factory.mktemp("prepared"))
        return Case(yolov5_repo.train, HYP, yolov5_repo.METRICS, epochs=3, keywords={"settings": prepared})


@pytest.fixture
def train(settings, tmp_path):
    def run(hyp=HYP, device="cpu", report=ignore, **changes):
        prepared = yolov5_repo.prepare(replace(settings, **changes), tmp_path / "cache")
        out = tmp_path / "out"
        result = yolov5_repo.train(
            hyp,
            out=out,
            seed=7,
            device=device,
            report=report,
            settings=prepared,
            fitness=lambda m: m["mAP_0.5"],
        )
        return result, out, yaml.safe_load((out / "opt.yaml").read_text())

    return run


def test_a_training_is_started_in_the_trials_folder(train):
    _, out, given = train(extra="--label-smoothing 0.1", cache="disk", workers=2)
    assert (given["project"], given["name"], given["seed"], given["device"]) == (str(out), ".", 7, "cpu")
    assert (given["label_smoothing"], given["cache"], given["workers"]) == (0.1, "disk", 2)
    assert {path.name for path in (out / "weights").iterdir()} == {"best.pt", "last.pt"}


def test_installs_and_the_look_for_newer_commits_are_off(train):
    *_, given = train()
    assert (given["YOLOv5_AUTOINSTALL"], given["GIT_ALLOW_PROTOCOL"]) == (False, "none")


def test_the_look_for_newer_commits_fails_at_once_and_the_commit_is_still_told(tmp_path):
    from trainers.checkout import QUIET, commit

    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "remote", "add", "origin", f"file://{tmp_path}"], check=True)
    ended = subprocess.run(
        [*git, "fetch"], env=os.environ | QUIET, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "not allowed" in ended.stderr
    assert len(commit(tmp_path)) == 40
    assert commit(tmp_path / "..") == ""


def test_on_cuda_no_index_is_given_because_it_would_undo_cuda_visible_devices():
    assert [device_option(device) for device in ("cuda:0", "cpu", "mps")] == ["", "cpu", "mps"]


@pytest.mark.parametrize(("anchors", "written"), [(3, False), (3.2, False), (4.6, True)])
def test_three_anchors_leave_those_of_the_weights_in_place(train, anchors, written):
    *_, given = train({**HYP, "anchors": anchors})
    assert ("anchors" in yaml.safe_load(Path(given["hyp"]).read_text())) == written


@pytest.mark.parametrize(("take", "expected"), [("last", 0.9), ("best", 1.0)])
def test_the_metrics_are_those_of_the_last_or_the_best_epoch(train, take, expected):
    result, *_ = train(take=take)
    assert result["mAP_0.5"] == expected
    assert (result["box_loss"], result["train/box_loss"], result["x/lr0"]) == (0.4, 0.1, 0.02)


@pytest.mark.parametrize(
    ("behaviour", "failure", "reason"),
    [("memory", "out of memory", "CUDA out of memory"), ("killed", "killed", "SIGKILL")],
)
def test_how_a_training_ended_is_told(train, monkeypatch, behaviour, failure, reason):
    monkeypatch.setenv("STAND_IN", behaviour)
    with pytest.raises(ProgramError, match=reason) as caught:
        train()
    assert caught.value.failure == failure


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repo": "/nowhere"}, r"no train\.py in /nowhere"),
        ({"img": 100}, "expected a multiple of 32"),
        ({"epochs": 0}, "epochs: expected 1 or more"),
        ({"optimizer": "LION"}, "optimizer: expected SGD or Adam or AdamW"),
        ({"python": "/no/such"}, "expected a Python interpreter"),
    ],
)
def test_options_that_no_training_can_run_with_are_refused(settings, options, said):
    with pytest.raises(ValueError, match=said):
        replace(settings, **options)


def test_the_python_is_that_of_the_environment_in_the_checkout(tmp_path):
    repo = stand_in_yolov5.install(tmp_path / "yolov5")
    assert Settings(repo=str(repo)).python == sys.executable
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repo / "venv"], check=True)
    assert Path(Settings(repo=str(repo)).python).parent.parent == repo / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repo / ".venv"], check=True)
    assert Path(Settings(repo=str(repo)).python).parent.parent == repo / ".venv"
    assert Settings(repo=str(repo), python=sys.executable).python == sys.executable


def errors(settings, cache):
    return [text for level, text in yolov5_repo.check(settings, HYP, {}, cache) if level == "error"]


def test_what_is_wrong_is_found_before_a_training(settings, tmp_path):
    assert errors(settings, tmp_path) == []
    assert errors(replace(settings, data="nosuch.yaml"), tmp_path) == ["data: File not found: nosuch.yaml"]
    (said,) = errors(replace(settings, data="elsewhere.yaml"), tmp_path)
    assert "nowhere/images does not exist (relative paths start at the checkout)" in said.replace("\\", "/")
    assert errors(replace(settings, model="yolov9.yaml"), tmp_path) == ["model: File not found: yolov9.yaml"]
    (said,) = errors(replace(settings, model="", weights=str(tmp_path / "gone.pt")), tmp_path)
    assert "gone.pt does not exist" in said


def test_weights_of_ours_are_told_from_those_of_a_checkout(settings, tmp_path):
    save_checkpoint(tmp_path / "ours.pt", Detector("p", 2), ("a", "b"))
    (said,) = errors(replace(settings, model="", weights=str(tmp_path / "ours.pt")), tmp_path)
    assert "`hypevo export --format yolov5 --weights` makes one of hypevo's" in said


def test_what_the_checkout_would_fetch_is_a_warning(settings, tmp_path):
    wanted = replace(settings, data="published.yaml", model="", weights="yolov5s.pt")
    said = [text for level, text in yolov5_repo.check(wanted, HYP, {}, tmp_path) if level == "warning"]
    assert len(said) == 2
    assert all("a study would begin by having the checkout fetch" in text for text in said)
    with pytest.raises(ValueError, match=r"yolov5s\.pt: no network"):
        yolov5_repo.prepare(wanted, tmp_path)


def test_a_checkout_that_cannot_start_is_said_with_its_last_words(tmp_path):
    repo = stand_in_yolov5.install(tmp_path / "yolov5")
    (repo / "train.py").write_text("import a_package_that_is_missing\n")
    (said,) = errors(Settings(repo=str(repo), data="mine.yaml", model="yolov5n.yaml"), tmp_path)
    assert "No module named 'a_package_that_is_missing'" in said


def test_names_of_data_mean_what_they_mean_to_the_checkout(settings, repo, tmp_path, monkeypatch):
    prepared = yolov5_repo.prepare(settings, tmp_path / "cache")
    written = yaml.safe_load(Path(prepared.source).read_text())
    assert Path(written["val"]).resolve() == Path(repo).parent / "images_of_the_checkout" / "images"
    shutil.copy(Path(repo) / "data" / "elsewhere.yaml", tmp_path / "mine.yaml")  # here: this one is meant
    monkeypatch.chdir(tmp_path)
    assert "does not exist" in errors(settings, tmp_path)[0]


def test_validation_is_that_of_val_py(settings, tmp_path):
    from trainers.yolov5 import export_weights

    save_checkpoint(tmp_path / "ours.pt", Detector("p", 1), ("thing",))
    export_weights(tmp_path / "ours.pt", tmp_path / "theirs.pt", repo=settings.repo)
    found = yolov5_repo.validate(replace(settings, model="", weights=str(tmp_path / "theirs.pt")))
    assert found == {"precision": 0.25, "recall": 0.75, "mAP_0.5": 0.5, "mAP_0.5:0.95": 0.125}


def test_versions_are_told(settings):
    assert {"torch", "numpy"} <= set(yolov5_repo.versions(settings))
