from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from hypevo.preflight import preflight
from hypevo.problem.settings import ConfirmSettings, StudySettings
from hypevo.protocol import InputError
from hypevo.retraining.confirm import confirm
from hypevo.study.import_csv import import_csv
from hypevo.study.interchange import export_ultralytics, export_yolov5
from hypevo.trainings import make_backend

JOURNAL = "mlruns/optuna.journal"
TRAINERS = Path(__file__).parents[2] / "trainers" / "external"
# As the tuner of release 8.4.190 writes it, but for its scores.
TUNED = {
    **{"lr0": 0.00898, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.00074, "warmup_epochs": 3.0},
    **{"warmup_momentum": 0.70587, "box": 7.5, "cls": 0.5, "cls_pw": 0.15551, "dfl": 0.4, "hsv_h": 0.015},
    **{"hsv_s": 0.58835, "hsv_v": 0.44285, "degrees": 0.0, "translate": 0.1, "scale": 0.5, "shear": 0.0},
    **{
        "perspective": 0.0,
        "flipud": 0.03865,
        "fliplr": 0.5,
        "bgr": 0.0,
        "mosaic": 1.0,
        "mixup": 0.0,
        "cutmix": 0.0,
    },
    **{"copy_paste": 0.0, "close_mosaic": 10},
}


def stand_in(program):
    """A stand-in of the trainers' tests."""
    path = TRAINERS / f"stand_in_{program}.py"
    spec = importlib.util.spec_from_file_location(f"of_{program}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has a stand-in for the package ultralytics."""
    return str(stand_in("ultralytics").install(tmp_path_factory.mktemp("environment") / "venv"))


@pytest.fixture
def ultralytics(python, arena, monkeypatch):
    """What makes a study with Ultralytics."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(arena / "user"))
    options = {"data": "digits", "model": "yolo11n.yaml", "epochs": "2", "python": python}
    return {"trainer": "trainers.external.ultralytics:train", "options": options, "study": "s"}


def test_the_winner_leaves_as_the_tuner_of_ultralytics_writes_its_own(evolution, ultralytics):
    summary = evolution(3, fitness=None, **ultralytics)
    path = export_ultralytics(JOURNAL, "s", None)
    assert path == Path("runs/evolve/s/best_hyperparameters.yaml").resolve()
    written = yaml.safe_load(path.read_text())
    best = evolution.trials[summary.best.number]
    assert written["lr0"] == best.params["lr0"]
    assert (written["copy_paste"], type(written["close_mosaic"])) == (0.0, int)
    assert "metrics/" not in path.read_text()
    own, said = path.read_bytes(), []
    other = export_ultralytics(JOURNAL, "s", None, "-1*recall", said.append)
    assert (path.read_bytes(), other.parent.parent) == (own, path.parent)
    assert "Ranked by another fitness: -1*recall" in other.read_text()
    assert said
    with pytest.raises(InputError, match="expected one of the built-in trainer"):
        export_yolov5(JOURNAL, "s", None, lambda *_: "", repo="x")
    said.clear()
    export_ultralytics(JOURNAL, "s", None, tell=said.append)
    assert said == []
    path.with_name("hyp_confirmed.yaml").write_text(
        "# \n# recommended: better than the default: +0.1\nlr0: 0.1\n"
    )
    export_ultralytics(JOURNAL, "s", None, tell=said.append)
    assert said == [
        f"this is trial {best.number}, the best of the search; "
        "`hypevo status` says to train with recommended, confirmed"
    ]
    assert yaml.safe_load(path.read_text()) == written


def test_a_confirmation_has_the_python_of_the_study_and_the_epochs_that_are_asked_for(evolution, ultralytics):
    evolution(2, **ultralytics)
    asked = ConfirmSettings(study="s", seeds=2, device="cpu", stagger=0.0, options={"epochs": "1"})
    confirmation = confirm(asked, evolution.watcher)
    assert [verdict.judged for verdict in confirmation.verdicts] == [True]
    (folder,) = Path("runs/evolve/s").glob("confirm-*")
    epochs = [len(path.read_text().splitlines()) for path in folder.glob("*/epochs.jsonl")]
    assert len(epochs) >= 2
    assert set(epochs) == {1}


def test_a_study_of_another_trainer_has_nothing_for_ultralytics(evolution):
    evolution(1)
    with pytest.raises(
        InputError, match=r"trained by landscape:train, whose hyperparameters mean other things"
    ):
        export_ultralytics(JOURNAL, "s", None)


def test_results_of_its_tuner_are_parents(evolution, ultralytics, arena):
    scores = {
        "metrics/precision(B)": 0.5,
        "metrics/recall(B)": 0.25,
        "metrics/mAP50(B)": 0.5,
        "val/box_loss": 1.5,
    }
    lines = [
        {"iteration": 1, "fitness": score, "hyperparameters": TUNED | {"lr0": lr0},
         "datasets": {"set": {**scores, "metrics/mAP50-95(B)": score, "fitness": score}}}
        for lr0, score in ((0.005, 0.25), (0.00898, 0.125))
    ]  # fmt: skip
    (arena / "tune_results.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = StudySettings(**ultralytics, device="cpu", seed=2)
    backend = make_backend(settings.trainer, device="cpu")
    checked = preflight(settings, backend)
    backend.close()
    told = []
    found = import_csv(arena / "tune_results.ndjson", settings, checked.plan, tell=told.append)
    assert (found.trials, found.skipped) == (2, ())
    assert any("no such gene: cls_pw, cutmix" in text for text in told)
    evolution(4, **ultralytics)
    values = [
        trial.value for trial in evolution.trials if trial.user_attrs.get("origin", "").startswith("tune")
    ]
    assert values == pytest.approx([0.1 * 0.5 + 0.9 * 0.25, 0.1 * 0.5 + 0.9 * 0.125])


@pytest.mark.slow
def test_the_winners_weights_leave_through_a_checkout(evolution, arena):
    options = {"data": "digits", "model": "p", "epochs": "1", "img": "64", "pictures": "false"}
    evolution(1, trainer="trainers.yolov5:train", options=options)
    checkout = stand_in("yolov5").install(arena / "yolov5")
    backend = make_backend("trainers.yolov5:train", device="cpu")
    path, said = export_yolov5(JOURNAL, "s", None, backend.call, repo=str(checkout))
    assert path == Path("runs/evolve/s/s-yolov5.pt").resolve()
    assert path.is_file()
    assert "YOLOv5p of 10 classes" in said
    (arena / "runs/evolve/s/trials/0000/weights/last.pt").unlink()
    with pytest.raises(InputError, match=r"trial 0, has no weights any more .*hypevo train --from-trial 0"):
        export_yolov5(JOURNAL, "s", None, backend.call, repo=str(checkout))
    backend.close()
