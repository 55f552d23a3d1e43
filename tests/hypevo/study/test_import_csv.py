from __future__ import annotations

from pathlib import Path

import pytest

from hypevo.preflight import preflight
from hypevo.problem.metrics import STANDARD_COLUMNS
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import Row, write_evolve_csv
from hypevo.study.import_csv import import_csv
from hypevo.trainings.local import LocalBackend


def imported(csv: Path, **settings):
    defaults = {"trainer": "landscape:train", "study": "s", "device": "cpu"}
    chosen = EvolveSettings(**(defaults | settings))
    return import_csv(csv, chosen, preflight(chosen, LocalBackend(chosen.trainer)).plan)


@pytest.fixture
def rows(arena):
    """Five individuals, as another evolution would leave them; the third one has an lr0 out of bounds."""
    from hypevo.problem.hyp import check_hyp
    from hypevo.problem.space import load_space

    hyp = check_hyp({}, load_space())
    values = [0.3, 0.35, 0.4, 0.2, 0.1]
    lr0 = [0.01, 0.02, 5.0, 0.03, 0.04]
    return [
        Row(number, dict.fromkeys(STANDARD_COLUMNS, value), {**hyp, "lr0": lr}, value)
        for number, (value, lr) in enumerate(zip(values, lr0, strict=True))
    ]


def test_rows_become_finished_trials_and_those_outside_the_space_are_named(arena, rows, evolution):
    write_evolve_csv(arena / "old.csv", rows)
    found = imported(arena / "old.csv")
    assert found.trials == 4
    assert [sentence.partition(":")[0] for sentence in found.skipped] == ["row 2"]
    assert "lr0: 5 is outside its bounds" in found.skipped[0]
    values = [trial.value for trial in evolution.trials if trial.value is not None]
    assert values == pytest.approx([0.3, 0.35, 0.2, 0.1])


def test_an_evolution_goes_on_from_what_was_imported(arena, rows, evolution):
    write_evolve_csv(arena / "old.csv", rows)
    imported(arena / "old.csv")
    summary = evolution(6, seed=0)
    assert summary.done == 6
    assert len(evolution.watcher.starts) == 2
    assert len(evolution.csv) == 6


def test_a_study_that_has_trials_takes_no_import(arena, rows):
    write_evolve_csv(arena / "old.csv", rows)
    imported(arena / "old.csv")
    with pytest.raises(InputError, match="has finished trials already"):
        imported(arena / "old.csv")


def test_a_gene_without_a_column_is_refused(arena, rows):
    shorter = [
        Row(row.number, row.metrics, {k: v for k, v in row.hyp.items() if k != "mosaic"}, row.fitness)
        for row in rows
    ]
    write_evolve_csv(arena / "old.csv", shorter)
    with pytest.raises(InputError, match="--freeze mosaic"):
        imported(arena / "old.csv")
