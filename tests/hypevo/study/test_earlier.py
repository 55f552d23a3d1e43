"""A study that begins where an earlier one ended: what is taken over, what is said, and what a resume does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial

from hypevo.problem.plan import Plan, Start
from hypevo.problem.settings import EvolveSettings
from hypevo.problem.space import read_space
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import EvolveCsv, Row
from hypevo.study.attributes import DEFAULT, ORIGIN
from hypevo.study.better_start import BetterStart
from hypevo.study.earlier import begin_from_earlier, enqueue_start
from hypevo.study.search import make_sampler
from hypevo.study.storage import begin_study, create_study, enqueue_default, open_storage
from samplers import recommend

LR = {"low": 0.001, "high": 0.1, "log": True}


def a_plan(genes: dict, **hyp) -> Plan:
    return Plan("t:train", {}, read_space(genes, source="test"), hyp, "score", "fixed", 0)


@pytest.fixture
def settings(tmp_path):
    return EvolveSettings(storage=str(tmp_path / "optuna.journal"), study="new", from_study="old")


def earlier(settings, plan, **values) -> dict:
    """An earlier study of one trial at these values; what it recommends."""
    study = create_study(open_storage(settings.storage), "old", optuna.pruners.NopPruner())
    begin_study(study, plan)
    study.enqueue_trial(values)
    trial = study.ask(plan.space.distributions())
    study.tell(trial, 0.5)
    return recommend(study)


def test_the_recommendation_is_the_start(settings):
    plan = a_plan({"lr": LR, "mix": {"low": 0, "high": 1}}, lr=0.01, mix=0.0)
    found = earlier(settings, plan, lr=0.05, mix=0.3)
    said = []
    begun = begin_from_earlier(settings, plan, said.append)
    assert begun.start == Start("study old", found)
    assert found == pytest.approx({"lr": 0.05, "mix": 0.3})
    assert len(said) == 1
    assert said[0].startswith("begins with what study old recommends after 1 trials")


def test_what_differs_is_said_and_fitted(settings):
    theirs = a_plan(
        {"lr": LR, "depth": {"low": 1, "high": 9}, "act": {"choices": ["relu", "tanh"]}, "mix": {"low": 0, "high": 1},
         "gone": {"low": 0, "high": 1}, "held": {"low": 0, "high": 1, "gain": 0}, "iou": {"low": 0, "high": 1}},
        lr=0.01, depth=2.0, act="relu", mix=0.1, gone=0.5, held=0.7, iou=0.2,
    )  # fmt: skip
    earlier(settings, theirs, lr=0.05, depth=3.4, act="tanh", mix=0.3, gone=0.2, iou=0.6)
    ours = a_plan(
        {"lr": {**LR, "high": 0.02}, "depth": {"low": 1, "high": 9, "type": "int"}, "act": {"low": 0, "high": 1},
         "mix": {"low": 0, "high": 1, "gain": 0}, "held": {"low": 0, "high": 1}, "new": {"low": 0, "high": 1},
         "iou": {"low": 0, "high": 1}},
        lr=0.01, depth=2, act=0.5, mix=0.0, held=0.1, new=0.4, iou=0.2,
    )  # fmt: skip
    said = []
    begun = begin_from_earlier(settings, replace(ours, fitness="other"), said.append)
    assert begun.start.hyp == {"lr": 0.02, "depth": 3, "act": 0.5, "held": 0.7, "new": 0.4, "iou": 0.6}
    assert "maximised «score», and its recommendation is by that; here it is «other»" in said[0]
    text = "\n".join(said)
    for words in (
        "act is of another kind there, and begins with the default here: expected a number",
        "nearest value that this study allows: lr 0.05 to 0.02, depth 3.4 to 3",
        "study old has no new: here they begin with the default",
        "left out, as the search space has no such gene: gone",
        "frozen genes stay as this study has them: mix 0 (there 0.3)",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("new", "expected another study than the one to evolve"),
        ("other", "no study «other»; there is old"),
        ("old", "expected a study with finished trials; it has none"),
    ],
)
def test_an_earlier_study_that_cannot_be_used_is_refused(settings, name, says):
    plan = a_plan({"lr": LR}, lr=0.01)
    begin_study(create_study(open_storage(settings.storage), "old", optuna.pruners.NopPruner()), plan)
    with pytest.raises(InputError, match=says):
        begin_from_earlier(replace(settings, from_study=name), plan)


def test_without_a_gene_in_common_there_is_nothing_to_begin_with(settings):
    earlier(settings, a_plan({"lr": LR}, lr=0.01), lr=0.05)
    with pytest.raises(InputError, match="expected some of the genes that move here, mix; it has none"):
        begin_from_earlier(settings, a_plan({"mix": {"low": 0, "high": 1}}, mix=0.0))


def test_a_plan_keeps_its_start_and_an_old_plan_has_none():
    plan = a_plan({"lr": LR}, lr=0.01)
    warm = replace(plan, start=Start("study old", {"lr": 0.05}))
    assert Plan.from_json(warm.to_json()) == warm
    assert "start" not in plan.to_json()
    assert Plan.from_json(plan.to_json()) == plan
    assert warm.difference(plan) == []  # who asks for none goes on from it
    assert warm.difference(replace(plan, start=Start("study b", {}))) == [
        "the start was study old and is now study b"
    ]
    assert plan.difference(warm) == ["the start was the default alone and is now study old"]


def search_with(earlier_value: float | None) -> list[dict]:
    """Six trials of a study with a start, the default worth .5; their parameters."""
    plan = replace(
        a_plan({f"g{i}": {"low": 0, "high": 1} for i in range(8)}, **{f"g{i}": 0.25 for i in range(8)}),
        start=Start("study old", {f"g{i}": 0.75 for i in range(8)}),
    )
    study = optuna.create_study(direction="maximize")
    study.sampler = make_sampler("adaptive", plan, 0)
    enqueue_default(study, plan)
    for _ in range(2):
        enqueue_start(study, plan)
    for number in range(6):
        trial = study.ask(plan.space.distributions())
        if number == 1 and earlier_value is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, {0: 0.5, 1: earlier_value}.get(number, 0.0))
    assert [one.user_attrs.get(ORIGIN) for one in study.trials[:3]] == [DEFAULT, "earlier study old", None]
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize(("value", "around"), [(0.6, 0.75), (0.4, 0.25), (0.5, 0.25), (None, 0.25)])
def test_the_search_goes_on_around_the_better_start(value, around):
    default, first, *others = search_with(value)
    assert set(default.values()) == {0.25}
    assert set(first.values()) == {0.75}
    near = [abs(v - around) < abs(v - (1 - around)) for params in others for v in params.values()]
    assert sum(near) > 0.8 * len(near)
    assert any(v == around for params in others for v in params.values())  # a gene at its start is dormant


@pytest.mark.parametrize("value", [0.6, 0.4, None])
def test_once_both_starts_are_measured_no_trial_is_looked_at_again(value, monkeypatch):
    study = optuna.create_study(direction="maximize")
    for origin, result in ((DEFAULT, 0.5), ("earlier study old", value)):
        state = TrialState.FAIL if result is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, value=result, user_attrs={ORIGIN: origin}))
    sampler = BetterStart(RandomSampler(), RandomSampler(), "earlier study old")
    chosen = sampler._chosen(study)
    assert chosen is (sampler._earlier if value == 0.6 else sampler._default)
    monkeypatch.setattr(study, "get_trials", lambda *_, **__: pytest.fail("the trials were read again"))
    assert sampler._chosen(study) is chosen


def test_a_recommendation_that_is_the_default_is_not_measured_twice():
    plan = replace(a_plan({"lr": LR}, lr=0.01), start=Start("study old", {"lr": 0.01}))
    study = optuna.create_study(direction="maximize")
    enqueue_start(study, plan)
    assert study.trials == []


def test_an_evolution_begins_where_another_ended_and_resumes_without_reading_it_again(evolution, arena):
    address = "mlruns/optuna.journal"
    genes = a_plan({"lr0": LR, "mosaic": {"low": 0, "high": 1}}, lr0=0.01, mosaic=1.0)
    found = earlier(EvolveSettings(storage=address), genes, lr0=0.03, mosaic=0.5)
    evolution(2, from_study="old")
    default, first = evolution.trials
    assert [trial.user_attrs["origin"] for trial in (default, first)] == ["default", "earlier study old"]
    assert first.params == pytest.approx({**default.params, **found})
    optuna.delete_study(study_name="old", storage=open_storage(address))
    with pytest.raises(InputError, match="the start was study old and is now study other"):
        evolution(3, from_study="other")
    evolution(3, from_study="old")  # is not looked for
    stored = Plan.from_json(Path("runs/evolve/s/plan.json").read_text(encoding="utf-8"))
    evolution(3)
    assert stored.start.hyp == first.params
    assert Plan.from_json(Path("runs/evolve/s/plan.json").read_text(encoding="utf-8")) == stored
    assert len(evolution.trials) == 3


def test_a_csv_is_a_start_too(tmp_path):
    rows = [
        Row(i, {"score": score}, {"lr": lr, "depth": 3.0, "gone": 1.0}, score)
        for i, (score, lr) in enumerate([(0.1, 0.01), (0.9, 0.5), (0.8, 0.05)])
    ]
    table = EvolveCsv(tuple(rows[0].metrics), tuple(rows[0].hyp))
    for row in rows:
        table.add(row)
    table.write(tmp_path / "evolve.csv")
    chosen = EvolveSettings(storage=str(tmp_path / "optuna.journal"), from_csv=tmp_path / "evolve.csv")
    held = {"low": 1, "high": 9, "type": "int", "gain": 0}
    plan = a_plan({"lr": LR, "depth": held, "mix": {"low": 0, "high": 1}}, lr=0.01, depth=2, mix=0.2)
    said = []
    start = begin_from_earlier(chosen, plan, said.append).start
    assert start.origin == f"earlier file {(tmp_path / 'evolve.csv').as_posix()}"
    assert 0.05 < start.hyp["lr"] < 0.1  # of 0.1, where 0.5 was taken to, and 0.05 more than of 0.01
    assert start.hyp["mix"] == 0.2
    text = "\n".join(said)
    for words in (
        "rows outside this study's bounds were taken at the nearest one: lr in 1",
        "after 3 trials",
        "has no mix: here they begin with the default",
        "no such gene: gone",
        "frozen genes stay as this study has them: depth 2 (there 3)",
    ):
        assert words in text
    with pytest.raises(InputError, match="no column for a gene that moves here"):
        begin_from_earlier(chosen, a_plan({"mix": {"low": 0, "high": 1}}, mix=0.2))


def test_a_study_begins_in_one_way():
    with pytest.raises(InputError, match="--from-study and --from and --rescore exclude each other"):
        EvolveSettings(from_study="a", from_csv=Path("evolve.csv"), rescore="b")
