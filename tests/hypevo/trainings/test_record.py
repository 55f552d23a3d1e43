"""A trial's folder, written by the driver and read after any crash."""

import shutil

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
    record.end(Outcome({"mAP_0.5": 0.2}, seconds=1.5), 0.2)
    assert record.details["hyp"] == {"lr0": 0.01}
    assert [epoch.step for epoch in record.epochs] == [0, 1]
    assert (record.result.fitness, record.result.metrics, record.result.failure) == (
        0.2,
        {"mAP_0.5": 0.2},
        None,
    )


def test_metrics_without_a_fitness_are_no_result_yet(record):
    assert record.unscored is None
    record.end(Outcome({"mAP_0.5": 0.2}, seconds=1.5), None)
    assert (record.result, record.unscored) == (None, Outcome({"mAP_0.5": 0.2}, seconds=1.5))
    record.end(record.unscored, 0.2)
    assert (record.result.fitness, record.unscored) == (0.2, None)


def test_a_failure_is_read_as_its_kind(record):
    record.end(Outcome(failure=Failure.DISK_FULL, reason="full"), None)
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
        record.end(Outcome({"a": 1.0}), 1.0)
    record.start({"lr0": 0.02}, {"attempt": 4})
    assert sorted(path.name for path in record.folder.iterdir()) == [
        "hyp.yaml", "log.1.txt", "log.2.txt", "log.3.txt", "trial.json",
    ]  # fmt: skip
    assert (record.folder / "log.2.txt").read_text() == "attempt 2"
    assert record.epochs == []
    assert record.result is None


WHOLE = '"metrics": {"a": 1.0}, "failure": null, "reason": "", "seconds": 1.0, "time_ms": 1'


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[1]", "null", "{}", '{"fitness": 1}', "{" + WHOLE + "}", '{"fitness": "x", ' + WHOLE + "}",
        '{"fitness": 1.0, "more": 1, ' + WHOLE + "}", '{"fitness": NaN, ' + WHOLE + "}",
        '{"fitness": 1.0, ' + WHOLE.replace("null", '"tired"') + "}",
        '{"fitness": 1.0, ' + WHOLE.replace("1.0}", '"much"}') + "}",
        '{"fitness": 1.0, ' + WHOLE.replace('{"a": 1.0}', "7") + "}",
        '{"fitness": 1.0, ' + WHOLE.replace('""', "null") + "}", "\udcff{}", "0" * 9000, "[" * 9000,
    ],
)  # fmt: skip
def test_a_result_that_is_not_whole_is_none(record, content):
    (record.folder / "result.json").write_text(content, errors="surrogateescape")
    assert record.result is None
    assert record.unscored is None
    (record.folder / "trial.json").write_text(content, errors="surrogateescape")
    assert isinstance(record.details, dict)


def test_a_record_that_was_never_started_is_empty(tmp_path):
    record = Record(tmp_path / "no", 0)
    assert (record.details, record.epochs, record.result) == ({}, [], None)


def test_what_a_training_deletes_of_the_drivers_is_written_again(record):
    record.add_epoch(0, {"a": 1.0})
    shutil.rmtree(record.folder)
    record.add_epoch(1, {"a": 2.0})
    assert [epoch.step for epoch in record.epochs] == [0, 1]
    shutil.rmtree(record.folder)
    record.end(Outcome({"a": 2.0}), 2.0)
    assert record.details["hyp"] == {"lr0": 0.01}
    assert [epoch.step for epoch in record.epochs] == [0, 1]
    assert (record.folder / "hyp.yaml").read_text() == "lr0: 0.01\n"
    assert record.result.fitness == 2.0


@pytest.mark.parametrize("name", ["result.json", "trial.json", "hyp.yaml", "epochs.jsonl"])
def test_a_folder_with_the_name_of_a_file_is_moved_aside(record, name):
    record.add_epoch(0, {"a": 1.0})
    (record.folder / name).unlink(missing_ok=True)
    (record.folder / name).mkdir()
    (record.folder / name / "theirs").touch()
    record.end(Outcome({"a": 2.0}), 2.0)
    assert (record.result.fitness, record.details["hyp"], len(record.epochs)) == (2.0, {"lr0": 0.01}, 1)
    assert (record.folder / f"{name}.of-the-training/theirs").exists()


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/photo.jpg").touch()
    (tmp_path / "0003").symlink_to(tmp_path / "elsewhere")
    Record(tmp_path / "0003", 3).start({"lr0": 0.01}, {"attempt": 1})
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["photo.jpg"]
    assert (tmp_path / "0003/hyp.yaml").exists()
    assert not (tmp_path / "0003").is_symlink()
