"""The comparison of searches, `benchmarks/search_quality.py`: what is paired, what is run, how peers are asked."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest

pytestmark = pytest.mark.usefixtures("benchmarks")


def row(method, instance, seed, score):
    return {"method": method, "instance": instance, "seed": seed, "best_trial@25": score, "cpu_ms": 1.0}


def test_a_peer_is_compared_on_the_searches_that_both_have_run(capsys):
    from search_report import report

    rows = [row("adaptive", i, s, 0.5) for i in "ab" for s in (0, 1)]
    rows += [row("cma:0.1", "a", 0, 1.0), row("cma:0.1", "c", 0, 0.01)]  # nothing of ours on c
    rows += [row("cma:0.2", i, s, 0.75) for i in "ab" for s in (0, 1)]
    rows += [row("tpe", i, s, 0.6) for i in "ab" for s in (0, 1)]
    report(rows, (25,), ours="adaptive", geometric=False)
    printed = capsys.readouterr().out
    assert "best: tpe" in printed
    assert "tpe                      ratio   0.83 [0.83, 0.83]  difference -0.1000" in printed
    assert "cma:0.2                  ratio   0.67" in printed, "the better setting, by the searches in common"
    assert "4 pairs, 2 instances" in printed
    assert "cma:0.1  " not in printed.split("best: tpe")[1]


@pytest.mark.parametrize("suite", ["landscapes", "small", "meaningless", "training"])
def test_the_parts_of_a_suite_share_no_instance_and_start_where_the_score_says(suite):
    from search_suites import PARTS, SUITES, instance

    names = []
    for part in PARTS:
        first = instance(suite, part, 0)
        names.append(first.name)
        assert first.score(first.problem(0).start) == pytest.approx(0 if suite == "training" else 1)
    assert len(set(names)) == len(PARTS)
    assert len(SUITES[suite].places("last", 24)) == 24
    with pytest.raises(ValueError, match=r"expected at most \d+ instances in part 'fresh'.*, got 24"):
        SUITES[suite].places("fresh", 24)


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize(
    "method", ["cma:0.1", "xnes:0.1", "cma-margin:0.1", "catcma-margin:0.1", "optuna-cma:0.1", "blx"]
)
def test_a_peer_starts_at_the_default_and_learns_with_any_number_of_trials_in_flight(method, slots):
    from search_entrants import all_methods
    from search_problem import Problem

    space = {
        "x": optuna.distributions.FloatDistribution(0.0, 1.0),
        "n": optuna.distributions.IntDistribution(0, 7),
        "y": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
    }
    start, optimum = np.array([0.5, 2 / 7, 0.5]), np.array([0.3, 5 / 7, 0.8])
    problem = Problem(space, start, lambda point: -float(((point - optimum) ** 2).sum()), {})
    run = all_methods(slots, ())[method](problem, 80, 1)
    assert run.points.shape == (80, 3)
    np.testing.assert_allclose(run.points[0], start)
    distance = ((run.points - optimum) ** 2).sum(axis=1)
    assert distance[-20:].mean() < 0.6 * distance[0], "it moves towards the optimum"


@pytest.mark.slow
def test_what_has_a_line_is_not_run_again_and_a_line_that_was_cut_off_is(tmp_path, capsys):
    from search_run import Search, measure_all, read

    searches = [Search("landscapes", "development", 0, seed, "random", 10, 1, (10,)) for seed in range(3)]
    results = tmp_path / "results.jsonl"
    assert measure_all(searches[:2], results, 1) == []
    first = results.read_text().splitlines()
    results.write_text(first[0] + "\n" + first[1][:20])
    assert measure_all(searches, results, 2) == []
    printed = capsys.readouterr().out
    assert "line 2 was cut off: taken out" in printed
    assert "1 of 3 searches are in" in printed
    rows = read(results)
    assert sorted(row["seed"] for row in rows) == [0, 1, 2]
    assert rows[0] == json.loads(first[0]), "what was there stays as it was"
    again = next(row for row in rows if row["seed"] == json.loads(first[1])["seed"])
    assert again["best_trial@10"] == json.loads(first[1])["best_trial@10"], "a seed gives the same search"


@pytest.mark.slow
def test_a_search_that_fails_is_named_and_the_others_go_on(tmp_path):
    from search_run import Search, measure_all, read

    searches = [
        Search("landscapes", "development", 0, 0, method, 10, 1, (10,)) for method in ("nobody", "random")
    ]
    (failure,) = measure_all(searches, tmp_path / "results.jsonl", 1)
    assert "nobody, landscape 0, seed 0" in failure
    assert [row["method"] for row in read(tmp_path / "results.jsonl")] == ["random"]


def test_an_unknown_method_is_an_error():
    from search_entrants import chosen

    assert chosen(["cma:0.1", "cma:0.2", "tpe"], "cma") == ["cma:0.1", "cma:0.2"]
    with pytest.raises(ValueError, match=r"expected names or kinds of methods, got cme"):
        chosen(["cma:0.1", "tpe"], "cme,tpe")
