"""A trial's folder, written by the driver and read after any crash."""

import pytest

from hypevo.protocol import Failure, Outcome
from hypevo.trainings.record import Record


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path / "0003", 3)
    record.start({"lr0": 0.01}, {"attempt": 1, "seed": 0})
    return record


def test_what_was_written_is_read(record):
    record.add_epoch(0, {"mAP_0.5": 0.1})
    record.add_epoch(1, {"mAP_0.5": float("nan")})
    assert record.result is None
    record.finish(Outcome({"mAP_0.5": 0.2}, seconds=1.5), 0.2)
    assert record.details["hyp"] == {"lr0": 0.01}
    assert [epoch.step for epoch in record.epochs] == [0, 1]
    assert (record.result.fitness, record.result.metrics, record.result.failure) == (
        0.2,
        {"mAP_0.5": 0.2},
        None,
    )


def test_metrics_without_a_fitness_are_no_result_yet(record):
    assert record.unscored is None
    record.finish(Outcome({"mAP_0.5": 0.2}, seconds=1.5), None)
    assert (record.result, record.unscored) == (None, Outcome({"mAP_0.5": 0.2}, seconds=1.5))
    record.finish(record.unscored, 0.2)
    assert (record.result.fitness, record.unscored) == (0.2, None)


def test_a_failure_is_read_as_its_kind(record):
    record.finish(Outcome(failure=Failure.DISK_FULL, reason="full"), None)
    assert record.result.failure is Failure.DISK_FULL
    assert record.result.fitness is None


def test_an_epoch_cut_off_in_mid_line_is_left_out(record):
    record.add_epoch(0, {"a": 1.0})
    with (record.folder / "epochs.jsonl").open("a") as file:
        file.write('{"step": 1, "met')
    assert [epoch.step for epoch in record.epochs] == [0]


def test_lines_that_a_power_cut_spoilt_are_left_out(record):
    record.add_epoch(0, {"a": 1.0})
    with (record.folder / "epochs.jsonl").open("ab") as file:
        file.write(b"\0\0\xff\n7\n{}\n")
    record.add_epoch(1, {"a": 2.0})
    assert [epoch.step for epoch in record.epochs] == [0, 1]


def test_another_attempt_keeps_nothing_but_the_logs(record):
    for attempt in (1, 2, 3):
        record.start({"lr0": 0.02}, {"attempt": attempt})
        (record.folder / "log.txt").write_text(f"attempt {attempt}")
        (record.folder / "weights").mkdir()
        (record.folder / "weights" / "best.pt").touch()
        (record.folder / "link").symlink_to(record.folder.parent)
        record.add_epoch(0, {"a": 1.0})
        record.finish(Outcome({"a": 1.0}), 1.0)
    record.start({"lr0": 0.02}, {"attempt": 4})
    assert sorted(path.name for path in record.folder.iterdir()) == [
        "hyp.yaml", "log.1.txt", "log.2.txt", "log.3.txt", "trial.json",
    ]  # fmt: skip
    assert (record.folder / "log.2.txt").read_text() == "attempt 2"
    assert record.epochs == []
    assert record.result is None


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_result_that_is_not_whole_is_none(record, content):
    (record.folder / "result.json").write_text(content)
    assert record.result is None


def test_a_record_that_was_never_started_is_empty(tmp_path):
    record = Record(tmp_path / "no", 0)
    assert (record.details, record.epochs, record.result) == ({}, [], None)
