"""The minimal difference decided by trainings: what is put back, and what the file says was shown."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.trial import create_trial

from hypevo.problem.hyp import load_hyp
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import WorkError
from hypevo.retraining.minimal import Steps, confirm_minimal
from hypevo.study.attributes import NOISE
from hypevo.study.storage import load_plan, load_study

STEPS = Steps({"2": "two returned", "1": "one returned"}, "0", "trial 9", range(5))
BEST = {seed: 0.5 + seed / 100 for seed in range(5)}


def shifted(shift, noise=0.002):
    return {seed: value + shift + noise * (-1) ** seed for seed, value in BEST.items()}


def test_the_whole_proposal_stays_where_no_loss_is_shown():
    scores = {"0": BEST, "2": shifted(-0.001)}
    assert STEPS.standings(scores).racing == ("2",)
    (said,) = STEPS.said(scores)
    assert said == (
        "no loss against trial 9 is shown over 5 seeds: -0.0006 ± 0.0034; one of 0.0040 cannot be excluded"
    )


def test_a_gain_is_said_as_one():
    assert STEPS.said({"0": BEST, "2": shifted(0.1)}) == [
        "better than trial 9 over 5 seeds: +0.1004 ± 0.0034"
    ]


def test_after_a_loss_the_dearest_is_put_back_and_the_rest_is_trained():
    scores = {"0": BEST, "2": shifted(-0.1)}
    standings = STEPS.standings(scores)
    assert (standings.racing, list(standings.dropped), standings.complete) == (("1",), ["2"], 0)
    scores["1"] = {**shifted(0.0), 3: None}
    assert STEPS.standings(scores).racing == ()
    first, second, last = STEPS.said(scores)
    assert first.startswith("two returned: dropped after 5 seeds: 0.0996 behind trial 9, at least 0.09")
    assert second == "one returned: dropped after 5 seeds: it failed where trial 9 did not"
    assert last == "so every gene is where it was: this is trial 9 itself"


def test_a_step_is_judged_when_all_of_its_seeds_are_there():
    scores = {"0": BEST, "2": {seed: value for seed, value in shifted(-0.1).items() if seed < 4}}
    assert STEPS.standings(scores).dropped == {}


def test_a_best_that_fails_is_nothing_to_compare_with():
    with pytest.raises(WorkError, match="trial 9 failed with fresh seeds"):
        STEPS.standings({"0": dict.fromkeys(range(5)), "2": BEST})


def test_few_true_returns_are_taken_back():
    """400 returns that cost nothing, with noise: 2.5 % of both sides may be called a loss or a gain; 10 is 2.5 %."""
    rng = np.random.default_rng(0)
    lost = 0
    for table in rng.normal(0.5, 0.01, (400, 2, 5)):
        scores = {key: dict(enumerate(row)) for key, row in zip("02", table.tolist(), strict=True)}
        lost += "2" in STEPS.standings(scores).dropped
    assert lost <= 10


TOY = """
METRICS = ("score",)
def train(hyp, *, out, seed, device, report):
    loss = 1 if seed >= 10_000 and hyp["b"] > 0.55 else 0  # which the search has not seen
    return {"score": hyp["a"] - hyp["b"] / 2 - loss + seed % 7 / 1000 * hyp["c"]}
"""
SPACE = "inherit: false\n" + "".join(f"{name}: {{low: 0.0, high: 1.0}}\n" for name in "abc")


@pytest.mark.slow
def test_what_the_model_takes_for_harmless_and_is_not_goes_back(evolution, arena, monkeypatch):
    monkeypatch.syspath_prepend(str(arena))
    (arena / "small.py").write_text(TOY)
    (arena / "space.yaml").write_text(SPACE)
    (arena / "hyp.yaml").write_text("a: 0.5\nb: 0.6\nc: 0.5\n")
    evolution(1, trainer="small:train", space=arena / "space.yaml", hyp="hyp.yaml", fitness="score")
    study = load_study("mlruns/optuna.journal", "s")
    rng = np.random.default_rng(0)
    points = [*rng.uniform([0, 0.5, 0], [0.7, 1, 1], (20, 3)).tolist(), [0.8, 0.5, 0.4]]
    for a, b, c in points:
        study.add_trial(
            create_trial(
                value=a - b / 2,  # so b is dearer than c
                params={"a": a, "b": b, "c": c},
                distributions=load_plan(study).space.distributions(),
            )
        )
    study.set_user_attr(NOISE, [{"fitness": 0.2 + d} for d in (0.1, -0.1)])
    settings = ConfirmSettings(study="s", device="cpu", seeds=3, stagger=0.0)
    path, said = confirm_minimal(settings, None, evolution.watcher)
    assert said[0].startswith("trial 21 minimal: dropped after 3 seeds: 1.0")
    assert said[1].startswith("no loss against trial 21 is shown over 3 seeds: ")
    assert said[2] == "seeds 10002 to 10004"
    assert load_hyp(path) == {"a": 0.8, "b": 0.5, "c": 0.5}
    assert "b: 0.5  # default 0.6; expected cost of returning it 0." in path.read_text()
    assert "; put back after a loss\n" in path.read_text()
    assert all(f"# {line}\n" in path.read_text() for line in said)
    before, text = len(evolution.watcher.names), path.read_text()
    assert before == 10  # the default's once in the search, then three individuals with three seeds
    confirm_minimal(settings, None, evolution.watcher)
    assert (len(evolution.watcher.names), path.read_text()) == (before, text)
