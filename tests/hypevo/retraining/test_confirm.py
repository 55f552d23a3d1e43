"""Confirmations: what is trained, what is reused, and what the file with the winner stands for."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hypevo.cli.app import app
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError, WorkError
from hypevo.results.pictures.pairs import confirm_figure
from hypevo.study.plotting import plot
from hypevo.study.standing import standing
from hypevo.study.storage import load_study
from hypevo.tracking.runs import PARENT
from hypevo.tracking.titles import NOTE

# Its fitness is `a` in the search. With fresh seeds `a` may be wild, and with a high `b` it turns into a loss.
TOY = """
METRICS = ("score",)
def train(hyp, *, out, seed, device, report):
    fresh = seed >= 10_000
    wild = fresh and hyp["a"] > 0.55 and hyp["b"] < 0.45 and seed % 5 < 2
    sign = -1 if fresh and hyp["b"] > 0.55 else 1
    metrics = {"score": float("nan") if wild else sign * hyp["a"] + (seed * 7919 % 100) / 1e5 * hyp["a"]}
    report(metrics, step=0)
    return metrics
"""
SPACE = "inherit: false\na: {low: 0.0, high: 1.0}\nb: {low: 0.0, high: 1.0}\n"


@pytest.fixture
def toy(evolution, arena, monkeypatch):
    """`toy((a, b), …)`: a study with the default, .5 and .5, as trial 0 and these points after it."""
    (arena / "toy.py").write_text(TOY)
    (arena / "space.yaml").write_text(SPACE)
    (arena / "hyp.yaml").write_text("a: 0.5\nb: 0.5\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    common = {"trainer": "toy:train", "space": Path("space.yaml"), "hyp": "hyp.yaml", "fitness": "score"}

    def study(*points):
        evolution(1, **common)
        found = load_study("mlruns/optuna.journal", "s")
        for a, b in points[len(found.trials) - 1 :]:
            found.enqueue_trial({"a": a, "b": b})
        evolution(len(points) + 1, **common)

    return study


def confirmed(evolution, **settings):
    """The confirmation, and the names of the trainings that were done for it."""
    from hypevo.retraining.confirm import confirm

    before = len(evolution.watcher.names)
    confirmation = confirm(ConfirmSettings(study="s", device="cpu", **settings), evolution.watcher)
    return confirmation, evolution.watcher.names[before:]


def dashboard_note(study):
    found = load_study("mlruns/optuna.journal", study)
    known = found._storage.get_study_system_attrs(found._study_id)
    return "".join(text for key, text in sorted(known.items()) if key.startswith("dashboard:note_str:"))


@pytest.mark.slow
def test_the_winner_is_trained_with_fresh_seeds_beside_the_default(evolution, arena):
    evolution(4, seed=0)
    best = evolution.summary.best
    confirmation, names = confirmed(evolution, seeds=2)
    (verdict,) = confirmation.verdicts
    assert verdict.candidate == f"trial {best.number}"
    assert verdict.pairs == 2
    assert verdict.search_fitness == best.value
    assert len(names) == 4
    starts = [json.loads(path.read_text()) for path in arena.glob("runs/evolve/s/confirm-*/*/trial.json")]
    assert sorted(start["seed"] for start in starts) == [10_000, 10_000, 10_001, 10_001]
    assert {start["tags"]["hypevo.candidate"] for start in starts} == {"default", verdict.candidate}
    runs = {run.info.run_name: run for run in evolution.runs("s confirmed")}
    own = runs.pop(f"confirm · {verdict.word}")
    assert runs.keys() == {name.partition(" (")[0] for name in names}
    assert sorted(names) == [
        *("default · seed 10000 (1 of 2)", "default · seed 10001 (2 of 2)"),
        *(f"{verdict.candidate} · seed 10000 (1 of 2)", f"{verdict.candidate} · seed 10001 (2 of 2)"),
    ]
    assert {run.data.tags[PARENT] for run in runs.values()} == {own.info.run_id}
    assert own.data.tags[PARENT] == evolution.parent.info.run_id
    assert own.info.experiment_id == evolution.parent.info.experiment_id


@pytest.mark.slow
def test_more_seeds_repeat_nothing_and_are_another_look(evolution, arena):
    evolution(4)
    assert confirmed(evolution, seeds=2)[0].look == 1
    confirmation, names = confirmed(evolution, seeds=3)
    assert len(names) == 2
    (verdict,) = confirmation.verdicts
    assert (confirmation.look, verdict.pairs) == (2, 3)
    (run,) = [run for run in evolution.runs("s confirmed") if run.info.run_name.startswith("confirm")]
    metrics = run.data.metrics
    assert (metrics["gain"], metrics["seeds"]) == (verdict.gain, 3)
    assert metrics["gain_high"] - metrics["gain_low"] == pytest.approx(2 * verdict.half_width)
    assert [point.value for point in evolution.client.get_metric_history(run.info.run_id, "seeds")] == [2, 3]
    assert run.data.tags["hypevo.verdict"] == evolution.parent.data.tags["hypevo.verdict"] == verdict.word
    kept = {
        path.parent.parent.name.partition("-seed")[0]
        for path in arena.glob("runs/**/confirm-*/*/weights/best.pt")
    }
    assert (
        len(kept) == len(list(arena.glob("runs/**/confirm-*/*/weights"))) == 2
    )  # the default's and the candidate's
    again, names = confirmed(evolution, seeds=3)
    assert (again.look, names) == (2, [])  # looking at the same again is no new chance to be fooled
    assert (arena / "runs/evolve/s/hyp_confirmed.yaml").exists() == confirmation.verdicts[0].wins

    # What MLflow has lost is said, and delivered again.
    lost, before = evolution.parent.info.run_id, evolution.runs("s confirmed")
    for run_id in (lost, *(run.info.run_id for run in before)):
        evolution.client.delete_run(run_id)
    again, names = confirmed(evolution, seeds=3)
    assert (again.undelivered, names) == (0, [])
    assert any(line.startswith(f"the study's run {lost} is not in") for line in evolution.watcher.messages)
    runs = {run.info.run_name: run for run in evolution.runs("s confirmed")}
    assert len(runs) == len(before)
    assert PARENT not in runs[f"confirm s · {verdict.word}"].data.tags


@pytest.mark.slow
def test_a_winner_s_file_says_what_it_stands_for_and_stays_while_its_candidate_is_not_judged(
    toy, evolution, arena, monkeypatch
):
    with (arena / "toy.py").open("a") as file:
        file.write('def validate(settings, *, device):\n    return {"score": 0.65}\n')
    toy((0.7, 0.5))
    confirmation, _ = confirmed(evolution, seeds=4)
    assert [verdict.word for verdict in confirmation.verdicts] == ["better"]
    said = evolution.watcher.messages
    assert "not training at all: fitness 0.6500, of the starting weights" in said
    assert any(line.startswith("how large a gain 4 seeds can show is not known yet") for line in said)
    stored = standing(load_study("mlruns/optuna.journal", "s")).verdict
    assert stored == json.loads((confirmation.folder / "verdict.json").read_text())
    assert (stored["untouched"], stored["selected_here"], stored["look"]) == (0.65, True, 1)
    assert stored["verdicts"][0]["over_untouched"] == "better than not training at all"
    assert stored["sentences"][-1].startswith("next: hypevo train --trainer toy:train --hyp ")
    (run,) = [run for run in evolution.runs("s confirmed") if run.info.run_name == "confirm · better"]
    for said in (
        "trial 1: better than the default: +0.2",
        "Default: 0.5",
        "Untouched weights: 0.6500",
        "seeds 10002",
    ):
        assert said in run.data.tags[NOTE]
    assert {file.path for file in evolution.client.list_artifacts(run.info.run_id)} == {
        "confirm.png",
        "verdict.json",
    }
    assert [len(axes.collections) for axes in confirm_figure(stored).axes] == [
        2,
        2,
    ]  # the dots, the interval's bar
    monkeypatch.setattr("hypevo.study.plotting.save", lambda *_: None)
    drawn = plot("s", "mlruns/optuna.journal", None, None, None)
    assert confirmation.folder.resolve() / "confirm.png" in drawn
    assert Path("here/confirm.png") in plot("s", "mlruns/optuna.journal", Path("here"), None, None)
    for note in (evolution.parent.data.tags[NOTE], dashboard_note("s")):
        assert "\n- Verdict: trial 1: better." in note
        assert "To go on" in note
    path = arena / "runs/evolve/s/hyp_confirmed.yaml"
    text = path.read_text()
    assert "a: 0.7\n" in text
    assert "# trial 1: better than the default: +0.2" in text
    assert "better than not training at all: +0.05" in text
    assert "# seeds 10002 to 10005; the search selected on the same validation data\n" in text

    again, names = confirmed(evolution, seeds=2)
    assert (again.seeds, again.look, again.verdicts, names) == (4, 1, confirmation.verdicts, [])
    assert "4 seeds are there and 2 are asked for: all 4 are used" in evolution.watcher.messages
    assert path.read_text() == text

    toy((0.7, 0.5), (0.8, 0.6))  # a better trial of the search, which is a loss with fresh seeds
    confirmation, _ = confirmed(evolution, seeds=4)
    assert [verdict.word for verdict in confirmation.verdicts] == ["worse"]
    assert any(" 4 seeds detect a gain of 0.0" in f" {line}" for line in evolution.watcher.messages)
    assert confirmation.sentences[-1].startswith("next: these trainings make the weights worse; train with ")
    assert f"{path} (trial 1, confirmed earlier)" in confirmation.sentences[-1]
    assert "train with trial 1, confirmed:" in said_by("status")
    assert path.read_text() == text
    assert any(line.startswith("stays: ") for line in evolution.watcher.messages)


def said_by(*words):
    """What a command prints, or what is on the page that it writes."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return Path("runs/evolve/s/report.html").read_text() if words[0] == "report" else result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("b", "word", "said", "file"),
    [
        (0.5, "better", "trial 1, confirmed", "hyp_confirmed.yaml"),
        (0.6, "worse", "the default; a confirmation says of trial 1: worse", "trials/0000/hyp.yaml"),
    ],
)
def test_status_report_and_note_name_the_file_that_the_verdict_leaves(
    toy, evolution, arena, b, word, said, file
):
    toy((0.7, b))
    for command in ("status", "report"):
        before = said_by(command)
        assert "train with trial 1, not confirmed yet:" in before
        assert "hyp_evolved.yaml" in before
    confirmation, _ = confirmed(evolution, seeds=4)
    assert [one.word for one in confirmation.verdicts] == [word]
    for command in ("status", "report"):
        after = said_by(command)
        assert f"train with {said}:" in after
        assert after.count(f"{file} --fitness score") == 1
        assert "hyp_evolved.yaml" not in after
        assert "not confirmed" not in after
    assert (file in confirmation.sentences[-1]) == (word == "better")
    notes = (evolution.parent.data.tags[NOTE], dashboard_note("s"))
    assert ["Train with `hyp_confirmed.yaml`." in note for note in notes] == [word == "better"] * 2


@pytest.mark.slow
def test_a_candidate_that_fails_on_seeds_where_the_default_does_not_is_no_winner(toy, evolution, arena):
    toy((0.9, 0.4))
    confirmation, _ = confirmed(evolution, seeds=5)
    (verdict,) = confirmation.verdicts
    assert (verdict.pairs, verdict.failures, verdict.wins) == (3, 2, False)
    assert not (arena / "runs/evolve/s/hyp_confirmed.yaml").exists()


@pytest.mark.slow
def test_a_recommended_point_that_has_moved_is_trained_anew(toy, evolution, arena):
    toy((0.7, 0.5))
    confirmed(evolution, seeds=2, recommended=True)
    toy((0.7, 0.5), (0.9, 0.5), (0.95, 0.5))
    confirmation, names = confirmed(evolution, seeds=2, recommended=True)
    assert sorted(name for name in names if name.startswith("recommended")) == [
        "recommended · seed 10002 (1 of 2)",
        "recommended · seed 10003 (2 of 2)",
    ]
    for path in arena.glob("runs/evolve/s/confirm-*/*/trial.json"):
        start = json.loads(path.read_text())
        assert start["hyp"]["a"] == pytest.approx(
            json.loads((path.parent / "result.json").read_text())["fitness"], abs=0.01
        )
    assert [verdict.candidate for verdict in confirmation.verdicts] == ["trial 3", "recommended"]


@pytest.mark.slow
def test_of_several_candidates_those_that_cannot_win_are_trained_no_further(toy, evolution, arena):
    toy((0.7, 0.5))
    (arena / "mine.yaml").write_text("a: 0.8\nb: 0.5\n")
    (arena / "wild.yaml").write_text("a: 0.9\nb: 0.4\n")  # the best until it fails on the fourth seed
    asked = {"seeds": 5, "top": 2, "hyp": ("mine.yaml", "wild.yaml")}
    confirmation, names = confirmed(evolution, **asked)
    assert {one.candidate: one.word for one in confirmation.verdicts} == {
        "trial 1": "dropped", "trial 0": "the default itself", "mine.yaml": "better", "wild.yaml": "dropped",
    }  # fmt: skip
    assert sum(name.startswith("trial 1") for name in names) == 3
    said = next(line for line in evolution.watcher.messages if line.startswith("trial 1: dropped after 3"))
    assert "behind wild.yaml" in said
    assert "mine.yaml is back: it was behind one that has failed since" in evolution.watcher.messages
    written = json.loads((confirmation.folder / "verdict.json").read_text())
    assert (written["verdicts"][0]["dropped"]["behind"], len(written["scores"]["trial 1"])) == (
        "mine.yaml",
        3,
    )
    assert " ".join(confirmation.again) == "--device cpu --top 2 --hyp mine.yaml,wild.yaml"
    assert "a: 0.8\n" in (arena / "runs/evolve/s/hyp_confirmed.yaml").read_text()

    for path in confirmation.folder.glob("hyp-*-seed-10003"):  # as if it had been killed there
        shutil.rmtree(path)
    again, names = confirmed(evolution, slots_per_device=3, **asked)
    assert {name.partition(" · ")[0] for name in names} == {"default", "trial 1", "mine.yaml", "wild.yaml"}
    assert len(names) == 4
    assert again.verdicts == confirmation.verdicts
    (arena / "wrong.yaml").write_text("a: 0.7\nc: 0.5\n")
    with pytest.raises(InputError, match=r"wrong.yaml: c: not in the search space"):
        confirmed(evolution, top=0, hyp=("wrong.yaml",))


@pytest.mark.slow
def test_a_best_trial_that_is_the_default_is_not_trained_twice(toy, evolution):
    toy((0.1, 0.5))
    confirmation, names = confirmed(evolution, seeds=2)
    assert len(names) == 2
    assert str(confirmation.verdicts[0]).startswith("trial 0: the same hyperparameters as the default")
    assert not confirmation.verdicts[0].wins


@pytest.mark.slow
def test_a_fitness_of_zero_is_a_fitness(toy, evolution, arena):
    (arena / "toy.py").write_text(TOY.replace('sign * hyp["a"]', 'sign * (hyp["a"] - 0.7)'))
    toy((0.7, 0.5), (0.6, 0.5))
    evolution_best = evolution.summary.best
    assert (evolution_best.number, abs(evolution_best.value) < 0.01) == (1, True)
    confirmation, _ = confirmed(evolution, seeds=2)
    assert confirmation.verdicts[0].candidate == "trial 1"


@pytest.mark.slow
def test_patience_counts_no_gain_that_fresh_seeds_could_give(toy, evolution, arena):
    toy((0.50003, 0.5), (0.50006, 0.5))
    assert confirmed(evolution, seeds=5)[0].seed_noise > 0.0001
    summary = evolution(
        50, trainer="toy:train", space=Path("space.yaml"), hyp="hyp.yaml", fitness="score", patience=2
    )
    assert "the scatter of the default over fresh seeds, in 2 generations" in summary.stopped
    assert summary.done == 3


@pytest.mark.slow
def test_data_that_has_changed_is_another_confirmation(evolution, arena):
    data = arena / "data.yaml"
    data.write_text("first")
    evolution(2, seed=0, options={"data": str(data)})
    first, names = confirmed(evolution, seeds=2)
    assert len(names) == 4 - 2 * first.verdicts[0].same
    data.write_text("second")
    second, again = confirmed(evolution, seeds=2)
    assert len(again) == len(names)
    assert second.folder != first.folder


@pytest.mark.slow
def test_the_place_of_the_cache_is_no_part_of_it(evolution, arena):
    evolution(2, seed=0)
    first, _ = confirmed(evolution, seeds=2)
    second, names = confirmed(evolution, seeds=2, cache=arena / "elsewhere")
    assert (second.folder, names) == (first.folder, [])


@pytest.mark.slow
def test_a_fitness_function_that_fails_costs_no_training(evolution, arena, monkeypatch):
    (arena / "rules_to_confirm.py").write_text(
        "from pathlib import Path\n\n\ndef fitness(metrics):\n"
        "    assert not Path('broken').exists()\n    return metrics['recall']\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    evolution(4, seed=0, fitness="rules_to_confirm:fitness")
    (arena / "broken").touch()
    with pytest.raises(WorkError, match="rules_to_confirm:fitness: AssertionError"):
        confirmed(evolution, seeds=2)
    (arena / "broken").unlink()
    confirmation, names = confirmed(evolution, seeds=2)
    assert (confirmation.verdicts[0].pairs, len(names)) == (2, 4)  # the one that was trained is scored now
    attempts = [
        json.loads(path.read_text())["attempt"] for path in arena.glob("runs/evolve/s/confirm-*/*/trial.json")
    ]
    assert attempts == [1] * 4


def test_a_study_without_a_finished_trial_cannot_be_confirmed(arena, evolution):
    with pytest.raises(InputError, match="no such file"):
        confirmed(evolution, seeds=2)


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("seeds", 1)])
def test_settings_that_cannot_decide_are_refused(name, value):
    with pytest.raises(InputError, match=f"--{name}"):
        ConfirmSettings(**{name: value})


@pytest.mark.slow
def test_the_recommended_individual_is_a_candidate_on_request(evolution, arena):
    evolution(4)
    confirmation, names = confirmed(evolution, seeds=2, recommended=True)
    assert [verdict.candidate for verdict in confirmation.verdicts] == [
        f"trial {evolution.summary.best.number}",
        "recommended",
    ]
    assert len(names) == 6
    written = json.loads(next(arena.glob("runs/evolve/s/confirm-*/verdict.json")).read_text())
    assert written["verdicts"][1]["search_fitness"] is None


@pytest.mark.slow
def test_a_lost_training_is_run_again(evolution):
    evolution(4, seed=0)
    options = {"fail": "kill once", "fail_above": 0.0}
    confirmation, names = confirmed(evolution, seeds=2, options=options)
    assert len(names) == 5
    assert confirmation.verdicts[0].pairs == 2


@pytest.mark.slow
def test_two_confirmations_at_once_are_one_too_many(evolution, arena):
    from hypevo.study.lease import lock

    evolution(2, seed=0)
    with lock(arena / "runs/evolve/s/confirm", "s"), pytest.raises(InputError, match="already running on"):
        confirmed(evolution, seeds=2)
