"""A new study goes on from the trials of another, scored anew by its own fitness."""

import pytest

from hypevo.cli.beforehand import look
from hypevo.cli.questions import Check
from hypevo.cli.terminal import messages
from hypevo.protocol import InputError
from hypevo.study.attributes import DEFAULT, ORIGIN, UNTOUCHED, metrics_of
from hypevo.study.storage import load_study


def test_the_trials_of_a_study_are_the_first_of_the_next(evolution, arena):
    evolution(3)
    load_study("mlruns/optuna.journal", "s").set_user_attr(
        UNTOUCHED, {"metrics": {"recall": 0.4}, "fitness": 0.7}
    )
    with pytest.raises(InputError, match=r"Only the fitness differs.*--study NEWNAME --rescore s"):
        evolution(4, fitness="-1*recall")
    summary = evolution(4, fitness="-1*recall", study="t", rescore="s")
    old, new = evolution.trials, evolution.stored("t")
    assert [one.params for one in new[:3]] == [one.params for one in old]
    assert [one.value for one in new] == [pytest.approx(-metrics_of(one)["recall"]) for one in new]
    assert [one.user_attrs[ORIGIN] for one in new[:3]] == [DEFAULT, "study «s» trial 1", "study «s» trial 2"]
    assert load_study("mlruns/optuna.journal", "t").user_attrs[UNTOUCHED]["fitness"] == -0.4
    assert summary.done == 4
    assert evolution.watcher.starts == [(3, 1)]  # one training, and the default is not measured again
    assert any("3 trials of study «s», scored anew" in text for text in evolution.watcher.messages)
    assert len((arena / "runs/evolve/t/evolve.csv").read_text().splitlines()) == 5

    evolution(5, fitness="-1*recall", study="t", rescore="s")  # the same command goes on
    assert evolution.watcher.starts == [(4, 1)]
    assert len(evolution.stored("t")) == 5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"study": "t", "options": {"epochs": 3}}, "alone.*epochs was 2 and is now 3.*--from-study s"),
        ({"study": "t", "seed": 5}, "seed was 2 and is now 5"),
        ({"study": "s"}, "the same name"),
        ({"study": "t", "rescore": "u"}, "no study «u»"),
        ({"study": "t", "fitness": None}, "has this fitness already"),
    ],
)
def test_another_study_is_refused_with_the_reason(evolution, settings, says):
    evolution(1)
    asked = {"rescore": "s", "fitness": "recall"} | settings
    with pytest.raises(InputError, match=f"(?s){says}"):
        evolution(2, **asked)
    assert {one.study_name for one in all_of()} == {"s"}  # before anything is made
    rest = {
        "trainer": "landscape:train", "device": "cpu", "sampler": "classic", "seed": 2, "generations": 2,
    }  # fmt: skip
    with pytest.raises(InputError, match=f"(?s){says}"):
        look(Check(**(rest | {"options": {}} | asked)), messages())


def test_other_data_are_refused(evolution, arena):
    (arena / "data.yaml").write_text("one")
    evolution(1, options={"data": "data.yaml"})
    (arena / "data.yaml").write_text("another")
    with pytest.raises(InputError, match="--rescore s: the dataset is not what it was"):
        evolution(2, options={"data": "data.yaml"}, study="t", fitness="recall", rescore="s")


def test_a_study_with_trials_of_its_own_is_refused(evolution):
    evolution(1)
    evolution(1, study="t", fitness="recall")
    with pytest.raises(InputError, match="«t» has trials of its own"):
        evolution(2, study="t", fitness="recall", rescore="s")


def all_of():
    import optuna

    from hypevo.study.storage import open_storage

    return optuna.get_all_study_summaries(open_storage("mlruns/optuna.journal"))
