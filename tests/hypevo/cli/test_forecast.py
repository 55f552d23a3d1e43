"""How long an evolution will take: what is multiplied, and what is said where nothing is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hypevo.cli.forecast import forecast
from hypevo.cli.questions import Check
from hypevo.protocol import WorkError
from hypevo.trainings.backend import Slot


def said(answer, slots=(), **options) -> str:
    """What is said when the trainer's estimate is `answer`, or fails with it."""

    def call(*_, slot):
        if isinstance(answer, Exception):
            raise answer
        return answer

    slots = slots or [Slot("0")]
    checked = SimpleNamespace(
        inspection=SimpleNamespace(trainer="mine:train", settings={}), plan=SimpleNamespace(hyp={})
    )
    return forecast(Check(**options), checked, SimpleNamespace(slots=lambda: slots, call=call))


@pytest.mark.parametrize(
    ("options", "slots", "words"),
    [
        ({"generations": 50}, [Slot("0")], "a training 6 min to 7 min (3 batches were timed, 0); 50 generations, "
                                           "one at a time: 5 h 00 min to 5 h 50 min"),
        ({"generations": 50}, [Slot("0"), Slot("1")], "50 generations, 2 at once: 2 h 30 min to 2 h 55 min"),
        ({"generations": 50}, [Slot("0", 0), Slot("0", 1)], "50 generations, 2 at once: 2 h 30 min to 5 h 50 min"),
        ({"generations": 8, "baseline_seeds": 2}, [Slot("0")], "8 generations and 2 for the noise, one at a time: "
                                                               "1 h 00 min"),
        ({"generations": 0, "hours": 8}, [Slot("0")], "until stopped, or until --hours 8"),
    ],
)  # fmt: skip
def test_a_training_is_multiplied_by_what_is_asked_for(options, slots, words):
    assert words in said((360.0, 420.0, "3 batches"), slots, **options)


def test_nothing_is_promised_where_nothing_is_known():
    assert "mine:train offers no estimate; the first trial tells" in said(None)
    assert said(WorkError("out of memory")).endswith("some batches could not be trained: out of memory")
    assert said(None, estimate=0.0) == "time: not estimated (--estimate 0)"
