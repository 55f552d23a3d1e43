from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import stand_in_ultralytics
import yaml
from trainer_contract import Case, TrainerContract

from trainers.external import ultralytics
from trainers.external.ultralytics import Settings
from trainers.external.ultralytics.genes import BOUNDS, genes
from trainers.external.ultralytics.training import device_option

HYP = {"lr0": 0.005, "mosaic": 1.0, "copy_paste": 0.0, "close_mosaic": 1}


def ignore(metrics, *, step):
    pass


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return str(stand_in_ultralytics.install(tmp_path_factory.mktemp("environment") / "venv"))


@pytest.fixture(autouse=True)
def settings_of_the_user(tmp_path_factory, monkeypatch):
    """The user's own settings file of Ultralytics is nobody's here."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("user")))


@pytest.fixture
def data(tmp_path):
    for part in ("train", "val"):
        (tmp_path / "set" / "images" / part).mkdir(parents=True)
        (tmp_path / "set" / "labels" / part).mkdir(parents=True)
        (tmp_path / "set" / "images" / part / "a.jpg").write_bytes(b"picture")
        (tmp_path / "set" / "labels" / part / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    path = tmp_path / "set" / "data.yaml"
    path.write_text(f"path: {tmp_path / 'set'}\ntrain: images/train\nval: images/val\nnames: [thing]\n")
    return path


@pytest.fixture
def settings(python, data):
    return Settings(data=str(data), model="yolo11n.yaml", epochs=3, python=python)


class TestContract(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, python, tmp_path_factory):
        folder = tmp_path_factory.mktemp("prepared")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("YOLO_CONFIG_DIR", str(folder / "user"))
            given = Settings(data="digits", model="yolo11n.yaml", epochs=3, python=python)
            prepared = ultralytics.prepare(given, folder)
        names = ultralytics.METRICS(given)
        return Case(ultralytics.train, HYP, names, epochs=3, keywords={"settings": prepared})


@pytest.fixture
def train(settings, tmp_path):
    def run(hyp=HYP, device="cpu", report=ignore, **changes):
        prepared = ultralytics.prepare(replace(settings, **changes), tmp_path / "cache")
        out = tmp_path / "out"
        result = ultralytics.train(
            hyp,
            out=out,
            seed=7,
            device=device,
            report=report,
            settings=prepared,
            fitness=lambda m: m["mAP_0.5"],
        )
        return result, out, yaml.safe_load((out / "args.yaml").read_text())

    return run


def test_a_training_is_started_in_the_trials_folder_with_the_hyperparameters_as_they_are(train):
    _, out, given = train(weights="", extra="cos_lr=True", amp=False, cache="ram")
    assert given["model"] == "yolo11n.yaml"
    assert (given["lr0"], given["close_mosaic"], given["cos_lr"]) == (0.005, 1, True)
    assert (given["project"], given["name"], given["exist_ok"], given["seed"]) == (str(out), ".", True, 7)
    assert (given["device"], given["plots"], given["amp"], given["cache"]) == ("cpu", False, False, "ram")
    assert {path.name for path in (out / "weights").iterdir()} == {"best.pt", "last.pt"}


def test_trackers_installs_and_downloads_are_off_in_a_settings_file_of_the_trials_own(train):
    _, out, _ = train()
    assert not (out / "stray_tracker").exists()
    told = json.loads((out / "told.json").read_text())
    assert told == {
        "YOLO_CONFIG_DIR": str(out / "ultralytics"),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
    }


def test_the_settings_file_of_the_user_is_left_alone(train):
    home = Path(os.environ["YOLO_CONFIG_DIR"])
    train()
    assert not list(home.iterdir())


def test_on_cuda_no_device_is_named_because_it_would_undo_cuda_visible_devices():
    assert device_option("cuda:0") == {}
    assert device_option("cpu") == {"device": "cpu"}
    assert device_option("mps") == {"device": "mps"}


@pytest.mark.parametrize(("take", "expected"), [("last", 0.9), ("best", 1.0)])
def test_the_metrics_are_those_of_the_last_or_the_best_epoch(train, take, expected):
    steps = []
    result, *_ = train(take=take, report=lambda metrics, *, step: steps.append((step, metrics["mAP_0.5"])))
    assert result["mAP_0.5:0.95"] == expected
    assert result["box_loss"] == 1.5
    assert result["train/cls_loss"] == 2
    assert steps == [(0, 1.0), (1, 1.0), (2, 0.9)]


@pytest.mark.parametrize(("task", "second"), [("segment", "_mask"), ("pose", "_pose")])
def test_masks_and_poses_have_metrics_and_count_in_the_fitness(train, settings, task, second):
    result, *_ = train(task=task)
    chosen = replace(settings, task=task)
    assert set(ultralytics.METRICS(chosen)) <= set(result)
    assert f"0.9*mAP_0.5:0.95{second}" in ultralytics.FITNESS(chosen)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "yolo11n.pt"}, "expected it as --weights"),
        ({"optimizer": "auto"}, "ignores lr0 and momentum"),
        ({"img": 100}, "expected a multiple of 32, got 100; use 96 or 128"),
        ({"batch": 0}, "batch: expected 1 or more"),
        ({"fraction": 0.0}, "fraction: expected more than 0"),
        ({"task": "detection"}, "task: expected detect or"),
        ({"take": "first"}, "take: expected last or best"),
        ({"extra": "cos_lr"}, "expected name=value"),
        ({"extra": "device=1"}, "device is not given there; it is --device"),
        ({"python": "/no/such/python"}, "expected a Python interpreter"),
    ],
)
def test_options_that_no_training_can_run_with_are_refused(settings, options, said):
    with pytest.raises(ValueError, match=said):
        replace(settings, **options)


def test_the_python_is_that_of_yolo_on_the_path(python, data, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(python).parent))
    found = Settings(data=str(data), model="yolo11n.yaml").interpreter
    assert Path(found).parent.samefile(Path(python).parent)


def test_without_yolo_on_the_path_the_remedy_is_said(data, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = ultralytics.check(Settings(data=str(data), model="yolo11n.yaml"), HYP, {}, tmp_path)
    assert said == [("error", said[0][1])]
    assert "no `yolo` on the PATH; expected --python" in said[0][1]


def errors(settings, cache, hyp=HYP):
    return [text for level, text in ultralytics.check(settings, hyp, {}, cache) if level == "error"]


def test_what_is_wrong_is_found_before_a_training(settings, tmp_path, data):
    assert errors(settings, tmp_path) == []
    assert errors(replace(settings, data="nosuch.yaml"), tmp_path) == ["data: 'nosuch.yaml' does not exist"]
    (tmp_path / "bad.yaml").write_text("path: nowhere\ntrain: a\nval: b\n")
    (said,) = errors(replace(settings, data=str(tmp_path / "bad.yaml")), tmp_path)
    assert "images not found" in said
    assert errors(replace(settings, model="yolo99.yaml"), tmp_path) == ["model: 'yolo99.yaml' does not exist"]
    gone = replace(settings, weights=str(tmp_path / "gone.pt"))
    assert errors(gone, tmp_path) == [f"weights: {gone.weights} does not exist"]
    (said,) = errors(settings, tmp_path, {**HYP, "obj": 1.0})
    assert "has no option obj" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [({"data": ""}, "data: expected a data.yaml"), ({"model": ""}, "expected a checkpoint to fine-tune")],
)
def test_what_a_training_needs_is_asked_for_and_genes_are_told_without(settings, tmp_path, options, said):
    lacking = replace(settings, **options)
    assert [text for text in errors(lacking, tmp_path) if said in text]
    with pytest.raises(ValueError, match=said):
        ultralytics.prepare(lacking, tmp_path)
    assert ultralytics.SPACE(lacking, tmp_path)["lr0"]["default"] == 0.01


def test_a_network_for_another_task_is_found(settings, tmp_path):
    (tmp_path / "masks.pt").write_text(json.dumps({"task": "segment", "mAP": 1}))
    (said,) = errors(replace(settings, weights=str(tmp_path / "masks.pt")), tmp_path)
    assert "is a network for the task segment" in said


def test_an_environment_without_ultralytics_is_said_with_its_last_words(settings, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    (said,) = errors(replace(settings, python=str(tmp_path / "bare")), tmp_path)
    assert "No module named 'ultralytics'" in said


def test_published_weights_are_fetched_once_beforehand_and_never_by_a_check(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = replace(settings, model="", weights="yolo11n.pt")
    said = dict(ultralytics.check(wanted, HYP, {}, tmp_path))
    assert "a study would begin by having Ultralytics fetch it" in said["warning"]
    assert not (tmp_path / "weights").exists()
    prepared = ultralytics.prepare(wanted, tmp_path / "cache")
    assert Path(prepared.start) == tmp_path / "weights" / "yolo11n.pt"
    assert Path(prepared.start).is_file()


def test_weights_that_cannot_be_fetched_are_said(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"yolo99n\.pt"):
        ultralytics.prepare(replace(settings, model="", weights="yolo99n.pt"), tmp_path / "cache")


def test_genes_are_those_of_its_tuner_with_its_own_defaults(settings, tmp_path):
    space = ultralytics.SPACE(settings, tmp_path)
    assert "cutmix" not in space  # the stand-in's version has no such option
    assert set(space) < set(BOUNDS)
    assert space["box"] == {"low": 1.0, "high": 20.0, "gain": 1.0, "default": 7.5}
    assert space["momentum"]["gain"] == 0.3
    assert space["close_mosaic"] == {"low": 0, "high": 10, "gain": 1.0, "default": 10, "type": "int"}
    said = [text for _, text in ultralytics.check(settings, HYP, space, tmp_path)]
    assert any("has no such option: cls_pw, cutmix" in text for text in said)


def test_copy_paste_is_searched_where_labels_have_outlines(settings, tmp_path):
    assert ultralytics.SPACE(settings, tmp_path)["copy_paste"]["gain"] == 0
    said = [text for _, text in ultralytics.check(settings, HYP, {"copy_paste": {"gain": 0}}, tmp_path)]
    assert any(text.startswith("copy_paste: not searched") for text in said)
    (tmp_path / "set" / "labels" / "train" / "a.txt").write_text("0 0.1 0.1 0.2 0.1 0.2 0.2\n")
    assert ultralytics.SPACE(settings, tmp_path)["copy_paste"]["gain"] == 1


def test_a_default_outside_the_bounds_widens_them():
    space = genes({"lr0": 0.02, "box": 7.5}, masks=False)
    assert (space["lr0"]["low"], space["lr0"]["high"]) == (1e-5, 0.02)


def test_what_each_split_holds_is_said(settings, data, tmp_path):
    (data.parent / "images" / "train" / "b.jpg").write_bytes(b"background")
    said = "\n".join(text for _, text in ultralytics.check(settings, HYP, {}, tmp_path))
    assert "train: 2 images, 1 of them background (no box); 1 boxes of 1 of" in said
    assert "val: 1 images, all with boxes; 1 boxes of 1 of" in said


def test_mosaic_that_never_acts_is_said(settings, tmp_path):
    said = [text for level, text in ultralytics.check(settings, {**HYP, "close_mosaic": 3}, {}, tmp_path)]
    assert any("none of the 3 epochs trains with mosaic, copy_paste" in text for text in said)


def test_the_fingerprint_follows_content_and_not_place(settings, tmp_path, data):
    def identity():
        return ultralytics.fingerprint(ultralytics.prepare(settings, tmp_path / "cache"))

    before = identity()
    assert before == identity()
    (tmp_path / "set" / "labels" / "val" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert identity() != before


def test_trainings_get_absolute_paths_and_nothing_to_fetch(settings, tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    data.write_text(data.read_text() + "download: https://example.org/set.zip\n")
    prepared = ultralytics.prepare(replace(settings, data="set/data.yaml"), tmp_path / "cache")
    written = yaml.safe_load(Path(prepared.source).read_text())
    assert written["val"] == str(tmp_path / "set" / "images" / "val")
    assert "download" not in written


def test_validation_measures_the_weights(settings, tmp_path):
    (tmp_path / "mine.pt").write_text(json.dumps({"task": "detect", "mAP": 0.5}))
    found = ultralytics.validate(replace(settings, model="", weights=str(tmp_path / "mine.pt")))
    assert found == {"precision": 0.25, "recall": 0.75, "mAP_0.5": 0.5, "mAP_0.5:0.95": 0.25}


def test_versions_are_told(settings):
    assert ultralytics.versions(settings) == {}  # the stand-in is not installed as a package
