from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from hypevo.preflight import preflight
from hypevo.problem.hyp import load_hyp
from hypevo.problem.metrics import STANDARD_COLUMNS
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import EvolveCsv, Row, read_evolve_csv
from hypevo.results.individuals import read_individuals
from hypevo.study.exports import export_study
from hypevo.study.import_csv import import_csv
from hypevo.trainings.local import LocalBackend


def write_evolve_csv(path: Path, rows: list[Row]) -> None:
    csv = EvolveCsv(tuple(rows[0].metrics), tuple(rows[0].hyp))
    for row in rows:
        csv.add(row)
    csv.write(path)


def imported(csv: Path, **settings):
    defaults = {"trainer": "landscape:train", "study": "s", "device": "cpu"}
    chosen = EvolveSettings(**(defaults | settings))
    return import_csv(csv, chosen, preflight(chosen, LocalBackend(chosen.trainer, ["cpu"])).plan)


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


def exported(arena) -> list[Row]:
    return read_evolve_csv(export_study("mlruns/optuna.journal", "s", arena / "again")[0])


def test_rows_become_parents_within_the_bounds_and_are_exported_as_trained(arena, rows, evolution, caplog):
    write_evolve_csv(arena / "old.csv", rows)
    assert (imported(arena / "old.csv").trials, imported(arena / "old.csv").skipped) == (5, ())
    assert "1 rows lie outside the search space (lr0 in 1)" in caplog.text
    finished = [trial for trial in evolution.trials if trial.value is not None]
    assert [trial.value for trial in finished] == pytest.approx([0.3, 0.35, 0.4, 0.2, 0.1])
    assert finished[2].params["lr0"] == 0.1
    assert [row.hyp["lr0"] for row in exported(arena)] == [0.01, 0.02, 5.0, 0.03, 0.04]


def test_values_of_frozen_genes_are_taken_over_or_stay_with_their_rows(arena, rows, evolution, caplog):
    held = [replace(row, hyp={**row.hyp, "fliplr": 0.0, "anchors": 2.0 + row.number}) for row in rows]
    write_evolve_csv(arena / "old.csv", held)
    imported(arena / "old.csv")
    assert "fliplr: 0 in every row, taken over in place of 0.5" in caplog.text
    assert "anchors: held at 3 here, and not in the rows" in caplog.text
    assert [(row.hyp["fliplr"], row.hyp["anchors"]) for row in exported(arena)] == [
        (0.0, 2.0 + number) for number in range(5)
    ]
    summary = evolution(6, seed=0, hyp="runs/evolve/s/hyp_imported.yaml")
    assert summary.done == 6


def test_an_import_that_was_killed_is_finished_by_the_same_call(arena, rows, evolution, monkeypatch):
    write_evolve_csv(arena / "old.csv", rows)
    add = optuna.Study.add_trial
    left = [3]

    def dying(study, trial):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        add(study, trial)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", dying)
        with pytest.raises(KeyboardInterrupt):
            imported(arena / "old.csv")
    assert imported(arena / "old.csv").trials == 5
    assert [trial.value for trial in evolution.trials if trial.value is not None] == pytest.approx(
        [0.3, 0.35, 0.4, 0.2, 0.1]
    )


def test_an_evolution_goes_on_from_what_was_imported(arena, rows, evolution):
    write_evolve_csv(arena / "old.csv", rows)
    imported(arena / "old.csv")
    summary = evolution(7, seed=0)
    assert summary.done == 7
    assert len(evolution.watcher.starts) == 2
    assert len(evolution.csv) == 7


def test_a_study_that_has_trials_takes_no_import(arena, rows):
    write_evolve_csv(arena / "old.csv", rows)
    imported(arena / "old.csv")
    for name in ("new.csv", "old.csv"):
        write_evolve_csv(
            arena / name, [replace(row, metrics=dict.fromkeys(row.metrics, 0.5)) for row in rows]
        )
        with pytest.raises(InputError, match="has finished trials already"):
            imported(arena / name)


def test_a_gene_without_a_column_is_refused(arena, rows):
    shorter = [
        Row(row.number, row.metrics, {k: v for k, v in row.hyp.items() if k != "mosaic"}, row.fitness)
        for row in rows
    ]
    write_evolve_csv(arena / "old.csv", shorter)
    with pytest.raises(InputError, match="--freeze mosaic"):
        imported(arena / "old.csv")


@pytest.fixture
def evolve_txt(arena, rows):
    """An evolve.txt as release 5 wrote it, and the hyp file that its evolution began with, in another order."""
    hyp = {name: value for name, value in rows[0].hyp.items() if name not in ("copy_paste", "anchors")}
    hyp = dict(sorted(hyp.items(), reverse=True)) | {"lr0": 0.01234}
    Path("hyp.old.yaml").write_text("".join(f"{name}: {value}\n" for name, value in hyp.items()))
    lines = []
    for number, lr0 in enumerate((0.02, 0.01234, 0.03)):
        values = [0.3 - number / 10] * 7 + [*(hyp | {"lr0": lr0}).values(), 3]
        lines.append("".join(f"{value:10.3g}" for value in values) + "\n")
    Path("evolve.txt").write_text("".join(lines))
    return Path("evolve.txt")


def test_an_evolve_txt_is_read_in_the_order_of_the_hyp_file_that_it_began_with(evolve_txt, evolution):
    assert imported(evolve_txt, hyp="hyp.old.yaml", freeze=("copy_paste",)).trials == 3
    found = [trial for trial in evolution.trials if trial.value is not None]
    assert [round(trial.params["lr0"], 5) for trial in found] == [0.02, 0.0123, 0.03]
    assert {trial.params["momentum"] for trial in found} == {0.937}
    assert [trial.value for trial in found] == pytest.approx([0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("change", "hyp", "said"),
    [
        (None, None, "this is an evolve.txt of 28 genes.*give --hyp FILE"),
        (("lr0: 0.01234", "lr0: 0.01234\ncopy_paste: 0.0\nobj_gain: 1"), "hyp.old.yaml", "expected 29 genes"),
        (("momentum: 0.937", "momentum: 0.8"), "hyp.old.yaml", "no row has the values of the hyp file"),
    ],
)
def test_an_evolve_txt_whose_columns_may_be_others_is_refused(evolve_txt, change, hyp, said):
    path = Path("hyp.old.yaml")
    if change:
        path.write_text(path.read_text().replace(*change))
    begun_with = None if hyp is None else load_hyp(path)
    with pytest.raises(InputError, match=said):
        read_individuals(evolve_txt, "mAP_0.5", begun_with)
