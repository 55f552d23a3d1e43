"""Where a study stands, from its storage alone."""

import json

import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from hypevo.cli.app import app
from hypevo.protocol import InputError
from hypevo.study.status import study_status
from hypevo.study.storage import load_study


def test_a_study_in_its_numbers(evolution):
    summary = evolution(3, options={"fail": "memory", "fail_above": 0.01}, max_failures=99)
    found = study_status("mlruns/optuna.journal", None)
    failed = len(evolution.trials) - 3
    assert failed
    assert found["study"] == "s"
    assert found["generations"] == 3
    assert found["failures"] == {"out of memory": failed}
    assert "no memory left" in found["last_failure"]
    assert (found["best_trial"], found["best_fitness"]) == (summary.best.number, summary.best.value)
    assert (found["driver"], found["running"], found["interrupted"]) == (None, [], [])
    assert found["total"] == 3
    assert found["next"]["does the winner win"][:4] == ["hypevo", "confirm", "--study", "s"]
    assert found["mlflow_run"] == evolution.parent.info.run_id


def test_a_journal_cut_off_in_mid_line_can_still_be_looked_at(evolution, arena):
    evolution(1)
    with (arena / "mlruns/optuna.journal").open("ab") as file:
        file.write(b'{"op_code":4,')
    assert study_status("mlruns/optuna.journal", "s")["generations"] == 1


def test_the_table_says_what_was_interrupted_and_any_reason(evolution):
    evolution(1)
    study = load_study("mlruns/optuna.journal", "s")
    failed = study.ask()
    failed.set_user_attr("reason", "[/data/x] is gone")  # what rich would take for markup
    study.tell(failed, state=TrialState.FAIL)
    study.ask()
    answer = CliRunner().invoke(app, ["status"])
    assert answer.exit_code == 0
    rows = {line[:14].strip(): line[14:].strip() for line in answer.stdout.splitlines()}
    assert rows["interrupted"] == "trial 2"
    assert rows["driver"] == rows["running"] == "–"
    assert rows["last failure"] == "[/data/x] is gone"
    assert rows["best fitness"] == f"{study.best_value:.5f}"
    assert "the command that began the study continues it" in answer.stdout
    assert rows["generations"] == "1 of 1"
    assert "the best is the default: no other trial beat it" in answer.stdout
    assert "hypevo confirm" not in answer.stdout
    watched = CliRunner().invoke(app, ["status", "--watch", "1"])  # ends by itself: nobody drives the study
    assert (watched.exit_code, watched.stdout.count("no driver is running")) == (0, 1)


def test_no_study_is_an_input_error(bare_arena):
    with pytest.raises(InputError, match="no such file"):
        study_status("mlruns/optuna.journal", None)
    assert not (bare_arena / "mlruns").exists()


def test_several_studies_are_listed_with_who_drives_them(evolution):
    evolution(2)
    evolution(1, study="t")
    listed = CliRunner().invoke(app, ["status", "--json"])
    assert listed.exit_code == 0, listed.output
    found = json.loads(listed.stdout)
    assert [(study["study"], study["generations"], study["driver"]) for study in found] == [
        ("s", 2, None),
        ("t", 1, None),
    ]
    table = CliRunner().invoke(app, ["status"])
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["study", "s", "t"]
