"""A finished study ranked by another fitness, from the metrics that its trials recorded."""

import json

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from hypevo.cli.app import app
from hypevo.problem.hyp import check_hyp, load_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.space import yolov5_space
from hypevo.protocol import InputError
from hypevo.study.attributes import (
    DEFAULT,
    ENDED_AS,
    NOISE,
    ORIGIN,
    SEED_NOISE,
    UNTOUCHED,
    VERDICT,
    metric_attributes,
)
from hypevo.study.rescore import rescored, slug
from hypevo.study.standing import standing
from hypevo.study.storage import PLAN, finished, load_plan
from samplers import recommend

JOURNAL = "mlruns/optuna.journal"


def a_study(*fitness: float, settings: dict | None = None) -> optuna.Study:
    """The first trial is the default; «recall» is 1 minus the «precision» that was maximised."""
    space = yolov5_space().only(["lr0"])
    plan = Plan("landscape:train", settings or {}, space, check_hyp({}, space), "precision", "fixed", 0)
    study = optuna.create_study(study_name="s", direction="maximize")
    study.set_user_attr(PLAN, plan.to_json())
    for number, value in enumerate(fitness):
        attributes = {**metric_attributes({"precision": value, "recall": 1 - value}), ENDED_AS: number}
        study.add_trial(
            create_trial(
                value=value,
                params={"lr0": value / 10},
                distributions=space.distributions(),
                user_attrs=attributes | ({ORIGIN: DEFAULT} if number == 0 else {}),
            )
        )
    return study


def measured(value: float) -> dict:
    return {"fitness": value, "metrics": {"precision": value, "recall": 1 - value}}


def test_everything_that_reads_a_study_reads_it_by_the_other_fitness():
    study = a_study(0.5, 0.9, 0.2)
    study.set_user_attr(NOISE, [measured(0.4), measured(0.6), {"seed": 3, "fitness": None}])
    study.set_user_attr(UNTOUCHED, measured(0.7))
    view = rescored(study, "2*recall").study
    assert [trial.value for trial in finished(view)] == pytest.approx([1.0, 0.2, 1.6])
    found = standing(view)
    assert found.best is not None
    assert (found.best.number, found.best_fitness) == (2, pytest.approx(1.6))
    assert (found.default, found.noise) == (pytest.approx(1.0), pytest.approx(0.2))
    assert found.untouched == pytest.approx(0.6)
    assert recommend(view, n_best=1) == {"lr0": 0.02}
    assert load_plan(view).fitness == "2*recall"
    assert [trial.value for trial in finished(study)] == [0.5, 0.9, 0.2]  # the study itself is as it was


def test_what_is_known_of_the_old_fitness_only_is_left_out_and_said():
    study = a_study(0.5, 0.9, settings={"report_epoch": "best"})
    study.set_user_attr(SEED_NOISE, 0.1)
    study.set_user_attr(VERDICT, {"verdict": "better"})
    study.add_trial(create_trial(state=TrialState.PRUNED))
    ranked = rescored(study, "recall")
    found = standing(ranked.study)
    assert (found.noise, found.verdict) == (None, None)
    said = "\n".join(ranked.notes)
    assert "the search was for «precision»" in said
    assert "metrics are those of its best epoch" in said
    assert "1 trials were stopped early" in said
    assert "verdict" in said
    assert "best epoch" not in "\n".join(rescored(a_study(0.5), "recall").notes)


def test_a_trial_without_a_metric_stays_out_under_its_number():
    study = a_study(0.5, 0.9)
    study.add_trial(create_trial(value=0.95, user_attrs=metric_attributes({"precision": 0.95})))
    study.add_trial(create_trial(value=0.1, user_attrs=metric_attributes({"precision": 0.1, "recall": 0.7})))
    ranked = rescored(study, "recall")
    assert sorted(trial.number for trial in finished(ranked.study)) == [0, 1, 3]
    assert any("1 finished trials lack" in note for note in ranked.notes)
    with pytest.raises(InputError, match="no trial of study «s» has a finite value"):
        rescored(study, "recall / (precision - precision)")


@pytest.mark.parametrize("text", ["F1", "`F1`", "recall +"])
def test_what_was_not_recorded_is_an_error_that_lists_what_there_is(text):
    with pytest.raises(InputError, match="has recorded precision, recall"):
        rescored(a_study(0.5), text)


def test_a_study_without_metrics_cannot_be_ranked():
    study = a_study()
    study.add_trial(create_trial(value=0.5))
    with pytest.raises(InputError, match="no metrics"):
        rescored(study, "recall")


def test_distinct_expressions_have_distinct_folders():
    names = [
        slug(text) for text in ("a+b", "a-b", "a/b", "A+b", "…", "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95", "x" * 2000)
    ]
    assert len({name.lower() for name in names}) == len(names)
    assert all(len(name) < 80 and not set(name) & set('/\\:*?"<>| ') for name in names)
    assert names[5].startswith("0.1-mAP_0.5-0.9-mAP_0.5-0.95-")


def invoke(*words: str):
    answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer


def test_a_finished_study_is_shown_and_exported_by_another_fitness(evolution, arena):
    evolution(4)
    worst = min(evolution.trials, key=lambda trial: trial.value)
    answer = invoke("status", "--fitness", "-1*recall", "--json")
    found = json.loads(answer.stdout)
    assert (found["best_trial"], found["fitness"]) == (worst.number, "-1*recall")
    assert found["best_fitness"] == pytest.approx(-found["best_metrics"]["recall"])
    assert "the search was for" in answer.stderr
    assert list(found["next"].values()) == [["hypevo", "export", "--study", "s", "--fitness", "-1*recall"]]

    own = arena / "runs/evolve/s"
    before = {path: path.read_bytes() for path in own.glob("*.*")}
    paths = invoke("export", "--fitness", "-1*recall").stdout.split()
    folder = own / f"fitness-{slug('-1*recall')}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "evolve.csv", "evolve.png", "history.png", "hyp_evolved.yaml", "hyp_recommended.yaml", "importance.png",
        "lineage.png",
    ]  # fmt: skip
    assert all(folder.name in path for path in paths)
    assert {path: path.read_bytes() for path in own.glob("*.*")} == before
    assert (folder / "evolve.csv").read_bytes() == before[own / "evolve.csv"]  # in the same order
    assert load_hyp(folder / "hyp_evolved.yaml")["lr0"] == worst.params["lr0"]
    for name in ("hyp_evolved.yaml", "hyp_recommended.yaml"):
        assert "nked by another fitness than the study's: -1*recall" in (folder / name).read_text()
    invoke("export", "--fitness", "-1*recall", "--out", str(own))  # not even when asked for by its path
    assert {path: path.read_bytes() for path in own.glob("*.*")} == before


def test_the_studys_own_fitness_is_no_other_one(evolution, arena):
    evolution(2, fitness="recall")
    answer = invoke("export", "--fitness", " recall")
    assert "fitness-" not in answer.stdout
    assert "the search was for" not in answer.stderr
    assert "anked by" not in (arena / "runs/evolve/s/hyp_evolved.yaml").read_text()
