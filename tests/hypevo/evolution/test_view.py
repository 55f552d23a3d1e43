from __future__ import annotations

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hypevo.evolution.view import by_importance
from hypevo.study.dashboard import write_note
from hypevo.study.importance import ENOUGH


def study(count, value):
    made = optuna.create_study(direction="maximize")
    space = dict.fromkeys(("idle", "telling"), FloatDistribution(0, 1))
    for index in range(count):
        params = {"idle": index * 0.618 % 1, "telling": index * 0.414 % 1}
        made.add_trial(create_trial(params=params, distributions=space, value=value(params)))
    return made


def test_the_gene_that_decides_is_shown_first_once_there_are_enough_trials():
    assert by_importance(study(ENOUGH, lambda p: p["telling"]), ["idle", "telling"])[0] == "telling"
    assert by_importance(study(ENOUGH - 1, lambda p: p["telling"]), ["idle", "telling"]) == []


def test_trials_of_one_fitness_or_without_a_gene_decide_nothing():
    assert by_importance(study(ENOUGH, lambda p: p["telling"]), ["unknown"]) == []
    assert isinstance(by_importance(study(ENOUGH, lambda _: 1.0), ["idle", "telling"]), list)


@pytest.mark.parametrize("body", ["short", "long " * 2000])
def test_the_dashboard_reads_the_note_as_it_was_written_and_a_user_s_stays(body):
    from optuna_dashboard import get_note, save_note

    made = study(0, None)
    assert write_note(made, body)
    assert get_note(made) == body
    assert write_note(made, "newer")
    assert get_note(made) == "newer"
    save_note(made, "mine")
    assert not write_note(made, "newest")
    assert get_note(made) == "mine"
