"""Which weights a confirmation keeps."""

from __future__ import annotations

import pytest

from hypevo.protocol import Failure, Outcome
from hypevo.retraining.keeping import Keeping
from hypevo.trainings.record import Record
from hypevo.trainings.work import Training

FITNESS = {("a", 1): 0.2, ("a", 2): 0.3, ("a", 3): 0.1, ("default", 1): 0.5, ("default", 2): None}


@pytest.fixture
def trainings(tmp_path):
    found = {}
    for number, (key, seed) in enumerate(FITNESS):
        record = Record(tmp_path / f"{key}-{seed}", number)
        found[key, seed] = Training(number, f"{key} {seed}", record, {}, seed)
    return found


def ended(training, fitness):
    training.record.start({}, {})
    (training.record.folder / "weights").mkdir()
    failure = Failure.DIVERGED if fitness is None else None
    training.record.end(Outcome({"m": 0.0}, failure=failure), fitness)


def kept(trainings):
    return [name for name, one in trainings.items() if (one.record.folder / "weights").exists()]


@pytest.mark.parametrize(
    ("policy", "left"),
    [("best", [("a", 2), ("default", 1)]), ("all", list(FITNESS)), ("none", [])],
)
def test_the_policy_holds_as_trainings_end(trainings, policy, left):
    settled = []
    keeping = Keeping(policy, trainings, lambda folder, *, keep: settled.append((folder.name, keep)))
    for name, fitness in FITNESS.items():
        ended(trainings[name], fitness)
        keeping.ended(trainings[name])
    assert kept(trainings) == left
    first = {"best": [True, True, False, True, False], "none": [False] * 5, "all": []}[policy]
    assert [keep for _, keep in settled] == first


def test_what_earlier_calls_left_is_swept_and_what_has_not_ended_stays(trainings):
    for name, fitness in FITNESS.items():
        ended(trainings[name], fitness)
    running = trainings["a", 3].record
    (running.folder / "result.json").unlink()
    assert Keeping("best", trainings, lambda folder, *, keep: None).sweep() == 2
    assert kept(trainings) == [("a", 2), ("a", 3), ("default", 1)]
