"""A study in sentences."""

import pytest

from hypevo.cli.tables import standing_lines

FOUND = {
    "best_trial": 7, "best_fitness": 0.3, "default_fitness": 0.2, "gain": 0.1, "untouched_fitness": 0.25,
    "trial_seed": "fixed", "best_seed": 0,
    "noise": 0.02, "beyond_noise": True, "luck": 0.59, "luck_said": "60 trainings …", "verdict": None,
    "device_hours": 2.0, "device_hours_left": 1.0,
    "seconds_left": 3600.0, "driver": "here", "next": {"train with it": ["hypevo", "train"]},
    "changed": [{"gene": "lr0", "default": 0.01, "best": 0.001, "moved": 0.25}],
}  # fmt: skip


def test_what_the_best_is_worth_and_what_to_do_with_it():
    assert standing_lines(FOUND) == [
        "best 0.30000 · default 0.20000 · gain +0.10000",
        "untouched weights 0.25000, below the best",
        "noise ± 0.04000, two standard deviations: the best is beyond it",
        "60 trainings …",
        "device time 2 h 00 min, some 1 h 00 min left · 1 h 00 min to go",
        "genes that moved the farthest, default → best, as a share of their range:",
        "  lr0                    0.01 → 0.001       25%",
        "train with it:",
        "  hypevo train",
    ]


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            {"sentences": ["trial 7: better than the default"]},
            "confirmation: trial 7: better than the default",
        ),
        ({"verdicts": [{"candidate": "trial 7", "verdict": "worse"}]}, "confirmation: trial 7: worse"),
        ({"other": 1}, "confirmation: see verdict.json in the study's folder"),
    ],
)
def test_a_verdict_of_any_version_is_shown(verdict, line):
    assert line in standing_lines({**FOUND, "verdict": verdict})


def test_a_study_that_was_moved_names_no_file_where_it_used_to_be(tmp_path):
    folder = tmp_path / "s" / "confirm-1"
    onward = f"next: see why trainings failed, in {folder / '*' / 'log.txt'}"
    found = {
        **FOUND,
        "verdict": {"folder": str(folder), "sentences": ["trial 7: better", "seeds 1 to 5", onward]},
    }
    said = standing_lines(found)
    assert said[4:6] == ["confirmation: trial 7: better", "  seeds 1 to 5"]
    assert f"  {onward}" not in said
    folder.mkdir(parents=True)
    assert f"  {onward}" in standing_lines(found)


def test_the_command_to_train_with_is_said_once():
    verdict = {"sentences": ["trial 7: better", "next: hypevo train --hyp hyp_confirmed.yaml"]}
    assert [line for line in standing_lines({**FOUND, "verdict": verdict}) if "hypevo train" in line] == [
        "  hypevo train"
    ]


@pytest.mark.parametrize(
    "onward", ["next: no candidate gained; train with the default", "next: hypevo confirm …"]
)
def test_what_a_confirmation_said_to_do_next_goes_when_another_trial_is_the_best(onward):
    for compared, shown in (("trial 7", True), ("trial 5", False)):
        verdict = {
            "sentences": [f"{compared}: worse", onward],
            "verdicts": [{"candidate": compared, "verdict": "worse"}],
        }
        said = standing_lines({**FOUND, "verdict": verdict})
        assert f"confirmation: {compared}: worse" in said
        assert (f"  {onward}" in said) == shown
