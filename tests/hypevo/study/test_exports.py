from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import create_trial

from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.problem.hyp import load_hyp
from hypevo.problem.metrics import STANDARD_COLUMNS
from hypevo.problem.space import yolov5_space
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import EvolveCsv
from hypevo.study.attributes import SEED_NOISE, UNTOUCHED
from hypevo.study.exports import Exports, export_study
from hypevo.study.pictures import marks_of
from hypevo.study.plotting import plot
from hypevo.study.storage import load_study


def test_a_study_is_exported_again_to_the_same_bytes(evolution, arena):
    evolution(3)
    paths = export_study("mlruns/optuna.journal", "s", arena / "again")
    for path in paths[:2]:
        assert path.read_bytes() == (arena / "runs/evolve/s" / path.name).read_bytes()


def test_a_metric_that_the_trainer_did_not_announce_moves_no_column(evolution, arena):
    (arena / "chatty.py").write_text(
        "SPACE = 'yolov5'\nMETRICS = ('mAP_0.5', 'mAP_0.5:0.95', 'inference_seconds')\n\n\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    return {**dict.fromkeys(METRICS, hyp['lr0']), 'more': 1.0}\n"
    )
    evolution(2, trainer="chatty:train")
    again, *_ = export_study("mlruns/optuna.journal", "s", arena / "again")
    assert "inference_seconds" in again.read_text()
    assert again.read_bytes() == (arena / "runs/evolve/s/evolve.csv").read_bytes()


def test_a_trainer_that_announces_nothing_is_exported_as_it_evolved(evolution, arena):
    (arena / "silent.py").write_text(
        "SPACE = 'yolov5'\n\n\n"
        "def train(hyp, *, out, seed, device, report):\n    return {'mAP_0.5': hyp['lr0'], 'score': 1.0}\n"
    )
    evolution(2, trainer="silent:train", fitness="`mAP_0.5`")
    again, *_ = export_study("mlruns/optuna.journal", "s", arena / "again")
    assert again.read_bytes() == (arena / "runs/evolve/s/evolve.csv").read_bytes()


@pytest.mark.parametrize("name", ["evolve.csv", "hyp_evolved.yaml", "evolve.png"])
def test_a_file_that_a_spreadsheet_holds_open_is_written_beside_it_until_it_is_closed(
    evolution, arena, monkeypatch, caplog, name
):
    folder = arena / "runs/evolve/s"
    beside = folder / name.replace(".", ".new.")
    evolution(1)
    old = (folder / name).read_bytes()
    holding = {name}
    really = Path.replace

    def replace(self, target):
        if Path(target).name in holding:
            raise PermissionError(13, "Access is denied")
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr("hypevo.files._HELD", (2, 0.0))
    summary = evolution(3)
    assert summary.done == 3
    assert (folder / name).read_bytes() == old
    assert beside.exists()
    assert caplog.text.count(f"{name} is open in another program") == 1
    if name == "evolve.csv":
        assert len(beside.read_text().splitlines()) == 4
    holding.add(beside.name)
    assert evolution(4).done == 4  # not even beside it
    holding.clear()
    export_study("mlruns/optuna.journal", "s", folder)
    if name == "evolve.csv":
        assert len(evolution.csv) == 4


def test_what_is_recommended_is_a_whole_hyp_file_within_the_space(evolution, arena):
    evolution(3)
    *_, path = export_study("mlruns/optuna.journal", "s", arena / "again")
    hyp, space = load_hyp(path), yolov5_space()
    assert list(hyp) == list(space)
    assert all(space[name].misfit(value) is None for name, value in hyp.items())


def test_a_study_that_is_not_there_is_said(arena):
    with pytest.raises(InputError, match="no such file"):
        export_study("mlruns/optuna.journal", "s", None)


@pytest.fixture
def plan():
    from hypevo.problem.hyp import check_hyp
    from hypevo.problem.plan import Plan

    space = yolov5_space().only(["lr0"])
    return Plan("landscape:train", {}, space, check_hyp({}, space), DEFAULT_FITNESS, "fixed", 0)


def a_trial(plan, value):
    return create_trial(
        value=value,
        params={"lr0": value / 10},
        distributions=plan.space.distributions(),
        user_attrs=dict.fromkeys(STANDARD_COLUMNS, value),
    )


def test_any_evolve_csv_is_drawn_beside_itself(tmp_path, plan):
    Exports(tmp_path, plan, tuple(STANDARD_COLUMNS)).write([a_trial(plan, 0.5), a_trial(plan, 0.6)])
    (tmp_path / "evolve.png").unlink()
    pictures = plot(str(tmp_path / "evolve.csv"), "", None, None, DEFAULT_FITNESS)
    assert {path.parent for path in pictures} == {tmp_path}
    assert {"evolve.png", "history.png"} <= {path.name for path in pictures}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_a_study_is_plotted_by_its_name_into_its_folder(evolution, arena):
    evolution(3)
    for path in (arena / "runs/evolve/s").glob("*.png"):
        path.unlink()
    pictures = plot("s", "mlruns/optuna.journal", None, None, None)
    assert {path.parent.resolve() for path in pictures} == {arena / "runs/evolve/s"}
    assert {"evolve.png", "history.png"} <= {path.name for path in pictures}
    (alone,) = plot(None, "mlruns/optuna.journal", arena / "one.svg", None, None)
    assert b"<svg" in alone.read_bytes()
    with pytest.raises(InputError, match="--space: expected a csv"):
        plot("s", "mlruns/optuna.journal", None, arena / "space.yaml", None)


def test_what_a_study_knows_is_in_the_marks_of_its_pictures(evolution):
    evolution(4)
    study = load_study("mlruns/optuna.journal", "s")
    study.set_user_attr(UNTOUCHED, {"metrics": {}, "fitness": 0.25})
    study.set_user_attr(SEED_NOISE, 0.01)
    marks, first = marks_of(study), study.trials[0]
    assert (marks.default, marks.untouched, marks.title) == (first.value, 0.25, "s")
    assert marks.band == pytest.approx((first.value - 0.02, first.value + 0.02))
    assert marks.parents[3] != ()
    assert set(marks.parents[3]) <= {0, 1, 2}
    assert marks.hyp["lr0"] == first.params["lr0"]


def test_a_trial_is_formatted_once_and_the_file_is_always_written_as_a_whole(tmp_path, plan, monkeypatch):
    formatted = []
    add = EvolveCsv.add
    monkeypatch.setattr(EvolveCsv, "add", lambda csv, row: formatted.append(row.fitness) or add(csv, row))
    exports = Exports(tmp_path, plan, tuple(STANDARD_COLUMNS))
    trials = [a_trial(plan, 0.5), a_trial(plan, 0.75), a_trial(plan, 0.625)]
    exports.write(trials[:1])
    (tmp_path / "evolve.csv").write_text("edited by hand\n")
    exports.write(trials[:2])
    (tmp_path / "evolve.csv").unlink()
    exports.write(trials)
    assert formatted == [0.5, 0.75, 0.625]
    _, *lines = (tmp_path / "evolve.csv").read_text().splitlines()
    assert [float(line.split(",")[0]) for line in lines] == formatted
    assert (tmp_path / "hyp_evolved.yaml").read_text().splitlines()[1:3] == [
        "# Best generation: 1",
        "# Last generation: 2",
    ]


def test_short_trials_do_not_wait_for_the_picture_but_the_last_one_has_it(tmp_path, plan):
    exports = Exports(tmp_path, plan, tuple(STANDARD_COLUMNS))
    trials = [a_trial(plan, 0.5), a_trial(plan, 0.6), a_trial(plan, 0.7)]
    exports.write(trials[:1])
    first = (tmp_path / "evolve.png").read_bytes()
    exports.write(trials[:2])
    assert (tmp_path / "evolve.png").read_bytes() == first
    assert exports.undrawn == {}  # what is for the end was not tried
    assert len((tmp_path / "evolve.csv").read_text().splitlines()) == 3
    exports.write(trials, last=True)
    assert (tmp_path / "evolve.png").read_bytes() != first
    assert exports.undrawn.keys() == {"importance.png", "lineage.png"}
