"""Results of programs: csv, json lines, lines of output."""

from __future__ import annotations

import math

import pytest

from trainers.external.results import Row, merged, plain_name, read_line, read_results


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("  metrics/mAP_0.5:0.95", "mAP_0.5:0.95"),
        ("metrics/mAP50-95(B)", "mAP_0.5:0.95"),
        ("metrics/precision(B)", "precision"),
        ("val/box_loss", "box_loss"),
        ("val/loss", "val/loss"),
        ("train/box_loss", "train/box_loss"),
        ("val/top1\x1b[31m", "val/top1\\x1b[31m"),
    ],
)
def test_columns_of_yolov5_and_ultralytics_are_understood_and_others_stay(column, name):
    assert plain_name(column) == name


def test_a_line_that_is_still_being_written_waits(tmp_path):
    (tmp_path / "results.csv").write_text("epoch,metrics/recall\n0,0.5\n1,0.")
    assert read_results(tmp_path, "*.csv", {}, ended=False) == [Row(0.0, {"recall": 0.5}, whole=True)]
    assert len(read_results(tmp_path, "*.csv", {}, ended=True)) == 2


def test_a_column_of_words_hides_no_other_column(tmp_path):
    (tmp_path / "log.csv").write_text("epoch;when;acc\n1;noon;0.5\n2;;nan\n")
    rows = read_results(tmp_path, "*.csv", {}, ended=True)
    assert [row.metrics.keys() for row in rows] == [{"acc"}, {"acc"}]
    assert math.isnan(rows[1].metrics["acc"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "epoch,acc\n",
        "\x00\xff,,\n,,\n",
        '{"epoch": 1, "acc": ',
        '{"a": ' * 5000,
        "[1]\n",
        '{"acc": true}\n',
    ],
)
def test_what_holds_no_results_gives_none(tmp_path, text):
    (tmp_path / "results").write_text(text)
    assert merged(read_results(tmp_path, "results", {}, ended=True)) == []
    assert read_results(tmp_path, "nowhere*", {}, ended=True) == []


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("accuracy=0.9", Row(None, {"accuracy": 0.9})),
        ("epoch=3/10 loss=1e-05, val/top1 = 0.5", Row(3.0, {"loss": 1e-05, "val/top1": 0.5})),
        ("[train] loss=nan", Row(None, {"loss": math.nan})),
        ("acc=91.5% (best)", Row(None, {"acc": 91.5})),
        ("loading https://x.org/a?size=3", None),
        ("x=3.0GiB", None),
        ("lr=0.1", None),
        ("epoch=3", None),
        (" 50%|#### | 5/10 [00:01, 3.2it/s, loss=0.3]", None),
    ],
)
def test_lines_of_output(line, row):
    found = read_line(line, {}, apart_from=("lr",))
    assert repr(found) == repr(row)


def test_columns_map_names():
    assert read_line("top1=0.5 step=3", {"top1": "accuracy", "step": "steps"}) == Row(
        3.0, {"accuracy": 0.5, "steps": 3.0}
    )


def test_rows_of_one_epoch_are_put_together():
    rows = [
        Row(None, {"batch": 16.0}),
        Row(1, {"loss": 0.5}),
        Row(1, {"acc": 0.6}),
        Row(2, {"loss": 0.4}),
        Row(None, {"test": 1.0}),
    ]
    assert [row.metrics for row in merged(rows)] == [
        {"batch": 16.0, "loss": 0.5, "acc": 0.6},
        {"loss": 0.4, "test": 1.0},
    ]


def test_without_numbers_a_name_that_comes_again_begins_an_epoch():
    rows = [
        Row(None, {"loss": 0.5}),
        Row(None, {"acc": 0.6}),
        Row(None, {"loss": 0.4}),
        Row(None, {"acc": 0.7}),
    ]
    assert [row.metrics for row in merged(rows)] == [{"loss": 0.5, "acc": 0.6}, {"loss": 0.4, "acc": 0.7}]
