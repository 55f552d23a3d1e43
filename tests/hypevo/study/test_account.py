"""How far a study is from its end, what it cost, and which genes its best moved."""

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from hypevo.cli.tables import standing_lines
from hypevo.problem.gene import Gene
from hypevo.problem.plan import Plan
from hypevo.problem.settings import BUILT_IN
from hypevo.problem.space import Space
from hypevo.results.evolve_csv import Row
from hypevo.results.hyp_file import write_hyp_confirmed
from hypevo.retraining.verdict import Verdict
from hypevo.study.account import account, changes, remember_goal
from hypevo.study.attributes import NOISE, UNTOUCHED, VERDICT
from hypevo.study.chosen import chosen
from hypevo.study.notes import study_note
from hypevo.study.onward import onward, option_words
from hypevo.study.storage import PLAN
from hypevo.study.tally import Tally


@pytest.fixture
def plan():
    genes = [
        Gene("lr0", 1e-5, 1e-1, log=True),
        Gene("mosaic", 0.0, 1.0),
        Gene("kind", 0, 1, type="categorical", choices=("a", "b")),
    ]
    hyp = {"lr0": 1e-2, "mosaic": 1.0, "kind": "a"}
    settings = {"data": "coco128.yaml", "weights": "yolov5n.pt", "img": 320, "epochs": 3, "amp": True}
    return Plan("trainers.yolov5:train", settings, Space(genes), hyp, "mAP_0.5", "fixed", 0)


def _trial(value, lr0=1e-2, mosaic=1.0, kind="a", **attributes):
    return create_trial(
        state=TrialState.COMPLETE, value=value, params={"lr0": lr0, "mosaic": mosaic, "kind": kind},
        distributions={"lr0": FloatDistribution(1e-5, 1e-1, log=True), "mosaic": FloatDistribution(0, 1),
                       "kind": CategoricalDistribution(["a", "b"])},
        user_attrs={"seconds": 60.0, "device_seconds": 30.0, **attributes},
    )  # fmt: skip


@pytest.fixture
def study(plan):
    found = optuna.create_study(direction="maximize", study_name="s")
    found.set_user_attr(PLAN, plan.to_json())
    found.add_trial(_trial(0.2, origin="default"))
    found.add_trial(_trial(0.3, lr0=1e-3, mosaic=0.9))
    return found


def _account(study, plan):
    return account(study, plan, Tally(study.get_trials()))


def test_genes_are_measured_on_the_scale_of_the_search(plan):
    found = changes(plan, _trial(0.3, lr0=1e-3, mosaic=0.9))
    assert [(one["gene"], one["default"], one["best"]) for one in found] == [
        ("lr0", 1e-2, 1e-3),
        ("mosaic", 1.0, 0.9),
    ]
    assert [one["moved"] for one in found] == pytest.approx([0.25, 0.1])
    assert changes(plan, _trial(0.3, kind="b"))[0]["moved"] == 1.0


def test_what_is_left_follows_from_what_the_driver_was_asked_for(study, plan):
    remember_goal(study, generations=5, gpu_hours=None, slots=2)
    found = _account(study, plan)
    assert (found["total"], found["seconds_left"]) == (5, 120.0)  # three trials in two slots, 60 s each
    assert found["device_hours"] == pytest.approx(60 / 3600)
    assert found["device_hours_left"] == pytest.approx(90 / 3600)
    assert (found["default_fitness"], found["gain"], found["noise"]) == (0.2, pytest.approx(0.1), None)
    remember_goal(study, generations=5, gpu_hours=0.02, slots=2)
    assert _account(study, plan)["device_hours_left"] == pytest.approx(0.02 - 60 / 3600)
    study.set_user_attr(NOISE, [{"metrics": {}, "fitness": None, "device_seconds": 6.0}])  # costs as well
    assert _account(study, plan)["device_hours"] == pytest.approx(66 / 3600)


def test_a_study_of_an_older_version_has_no_goal(study, plan):
    found = _account(study, plan)
    assert (found["total"], found["seconds_left"], found["device_hours_left"]) == (None, None, None)


def test_the_commands_have_the_study_s_own_values(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco128.yaml").touch()
    found = {
        what.partition(" (")[0]: words
        for what, words in onward(study, "sqlite:///s.db", chosen(study)).items()
    }
    assert found["does the winner win"] == [
        "hypevo",
        "confirm",
        "--study",
        "s",
        "--storage",
        "sqlite:///s.db",
    ]
    hyp = "runs/evolve/s/hyp_evolved.yaml"
    assert found["train with trial 1, not confirmed yet"] == [
        *("hypevo", "train", "--hyp", hyp, "--data", "coco128.yaml", "--weights", "yolov5n.pt"),
        *("--img", "320", "--epochs", "3", "--fitness", "mAP_0.5"),
    ]
    assert found["in YOLOv5"] == [
        *("python", "train.py", "--hyp", str(tmp_path / hyp), "--data", str(tmp_path / "coco128.yaml")),
        *("--weights", "yolov5n.pt", "--img", "320", "--epochs", "3"),
    ]


def test_a_best_that_has_its_verdict_is_not_asked_for_another(study):
    for candidate, word, asked in (
        ("trial 0", "better", True),
        ("trial 1", "better", False),
        ("trial 1", "cannot be judged", True),
    ):
        study.set_user_attr(VERDICT, {"verdicts": [{"candidate": candidate, "verdict": word}]})
        assert ("does the winner win" in onward(study, "sqlite:///s.db", chosen(study))) == asked


@pytest.mark.parametrize(
    ("verdict", "file", "said"),
    [
        (None, "hyp_evolved.yaml", "trial 1, not confirmed yet"),
        ({"verdict": "better"}, "hyp_evolved.yaml", "trial 1, confirmed"),
        ({"verdict": "worse"}, "trials/0000/hyp.yaml", "the default; a confirmation says of trial 1: worse"),
        ({"verdict": "no difference shown"}, "trials/0000/hyp.yaml",
         "the default; a confirmation says of trial 1: no difference shown"),
        ({"verdict": "better", "over_untouched": "worse than not training at all"}, None,
         "none: trial 1 is worse than not training at all"),
    ],
)  # fmt: skip
def test_what_to_train_with_follows_from_what_a_confirmation_said(
    study, tmp_path, monkeypatch, verdict, file, said
):
    monkeypatch.chdir(tmp_path)
    default = Path("runs/evolve/s/trials/0000/hyp.yaml")
    default.parent.mkdir(parents=True)
    default.touch()
    if verdict is not None:
        study.set_user_attr(VERDICT, {"verdicts": [{"candidate": "trial 1", **verdict}]})
    found = chosen(study)
    assert (found.file, found.said) == (file and Path("runs/evolve/s") / file, said)
    trained = [words for words in onward(study, "sqlite:///s.db", chosen(study)).values() if "--hyp" in words]
    assert {words[words.index("--hyp") + 1].endswith(str(file)) for words in trained} <= {True}
    assert bool(trained) == (file is not None)


def test_a_best_below_the_untouched_weights_is_called_so(study):
    for untouched, said in ((0.3, "trial 1, not confirmed yet"), (0.31, "trial 1, not confirmed yet, below")):
        study.set_user_attr(UNTOUCHED, {"metrics": {}, "fitness": untouched})
        assert chosen(study).said.removesuffix(" the untouched weights") == said


def test_a_confirmed_winner_goes_before_a_newer_best_that_is_not_confirmed(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("runs/evolve/s/hyp_confirmed.yaml")
    path.parent.mkdir(parents=True)
    mine = Verdict("my: own.yaml", 0.1, 0.05, 5)
    write_hyp_confirmed(path, Row(0, {"score": 0.5}, {"lr0": 0.1}, 0.5), verdict=str(mine), conditions="once")
    confirmed = {"candidate": "my: own.yaml", "verdict": "better"}
    settings = {"data": "d.yaml", "weights": "w.pt", "epochs": 100}
    study.set_user_attr(VERDICT, {"verdicts": [confirmed], "settings": settings})
    found = chosen(study)
    assert (found.file, found.said, found.asks) == (path, "my: own.yaml, confirmed", True)
    assert onward(study, "sqlite:///s.db", chosen(study))["train with my: own.yaml, confirmed"] == [
        *("hypevo", "train", "--hyp", str(path), "--data", "d.yaml", "--weights", "w.pt"),
        *("--epochs", "100", "--fitness", "mAP_0.5"),
    ]
    path.write_text("lr0: 0.1\n")  # somebody has taken the comments out
    assert chosen(study).said == "confirmed"


def test_where_the_best_is_the_default_there_is_nothing_to_confirm(plan):
    study = optuna.create_study(direction="maximize", study_name="s")
    study.set_user_attr(PLAN, plan.to_json())
    study.add_trial(_trial(0.2, origin="default"))
    study.add_trial(_trial(0.1, lr0=1e-3))
    found = {
        **_account(study, plan),
        "next": onward(study, "sqlite:///s.db", chosen(study)),
        "best_trial": 0,
        "best_fitness": 0.2,
    }
    said = "\n".join(standing_lines(found))
    assert "hypevo confirm" not in said
    assert "more --generations" in said
    assert "hypevo train" in said
    note = study_note(study, plan, "hypevo evolve", Path("s"))
    assert note.startswith("- Best: trial 0")  # MLflow folds a description after four lines
    assert "Verdict: none; the best is the default." in note


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data": "digits", "epochs": 6, "img": 160, "batch": 16}, []),
        ({"data": "digits", "epochs": 1}, ["--epochs", "1"]),
        (
            {
                "data": "d.yaml",
                "weights": "w.pt",
                "epochs": 10,
                "freeze_norm": True,
                "val_every": 1,
                "optimizer": "AdamW",
            },
            ["--data", "d.yaml", "--weights", "w.pt", "--freeze-norm", "true", "--optimizer", "AdamW"],
        ),
    ],
)
def test_what_changes_a_training_is_typed_and_what_it_has_anyway_is_not(settings, words):
    assert option_words(BUILT_IN, settings) == words


def test_all_options_of_a_users_own_trainer_are_typed():
    assert option_words("toy:train", {"sleep": 0.5, "rough": False, "name": ""}) == [
        "--sleep",
        "0.5",
        "--rough",
        "false",
    ]
