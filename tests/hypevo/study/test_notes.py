from __future__ import annotations

from hypevo.study.notes import trial_note


def test_what_mutated_most_is_named_first_whether_up_or_down():
    said = trial_note(None, "14: lr0 ×1.1, momentum ×0.3, box ×1.9, obj_pw ×0.99")
    assert said == "From trial 14. Mutated most: momentum ×0.3, box ×1.9, lr0 ×1.1, and 1 more."


def test_steps_and_several_parents():
    assert (
        trial_note(None, "12, 14: lr0 +0.031, box -0.2")
        == "From trials 12, 14. Mutated most: box -0.2, lr0 +0.031."
    )


def test_a_trial_without_mutations_or_of_another_sampler():
    assert trial_note("default", None) == "The default: what the others are compared with."
    assert trial_note(None, "defaults") == "From defaults."
    assert trial_note(None, None) == ""
    assert trial_note("imported", "cma *x*") == "From cma \\*x\\*."
