"""Metrics that a fitness reads and that do not come."""

from __future__ import annotations

import pytest

from hypevo.problem.fitness import parse_fitness
from hypevo.trainings.awaited import Awaited


def awaited(text="accuracy - loss", declared=(), known=()):
    return Awaited(parse_fitness(text, ()), declared, known)


def test_the_first_report_says_what_it_lacks_and_what_it_has():
    said = awaited().lacking({"loss": 0.5, "acuracy": 0.1}, final=False)
    assert (
        "«accuracy - loss» reads accuracy; the first report has loss, acuracy; did you mean «acuracy»?"
        in said
    )
    assert "METRICS = ('accuracy',)" in said


@pytest.mark.parametrize(
    ("one", "metrics", "final"),
    [
        (
            awaited(),
            {"loss": 0.5, "accuracy": float("nan")},
            False,
        ),  # it is there; that it is no number is another matter
        (awaited(declared=("accuracy",)), {"loss": 0.5}, False),  # it may come with the result
        (awaited(known=("accuracy", "loss")), {}, True),  # others had it: this training has failed alone
        (awaited(), {}, False),
        (awaited("mAP_0.5"), {"mAP50": 0.5}, True),  # by its other name
        (
            Awaited(parse_fitness("math:prod", ()), (), ()),
            {"loss": 0.5},
            True,
        ),  # a function judges for itself
    ],
)
def test_nothing_is_said_of_what_may_still_be_right(one, metrics, final):
    assert one.lacking(metrics, final=final) == ""


def test_a_result_that_lacks_what_was_declared_is_said():
    said = awaited(declared=("accuracy", "loss")).lacking({"loss": 0.5}, final=True)
    assert said == "the fitness «accuracy - loss» reads accuracy; the trainer returned loss"
    assert awaited("score").lacking({}, final=True).endswith("the trainer returned nothing")
