"""evolve.csv and hyp_evolved.yaml: the bytes YOLOv5's tools expect, and files that others have damaged."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hypevo.problem.hyp import load_hyp
from hypevo.problem.metrics import STANDARD_COLUMNS, column
from hypevo.protocol import InputError
from hypevo.results import evolve_csv as results
from hypevo.results.evolve_csv import EvolveCsv, Row, best_of, read_evolve_csv
from hypevo.results.hyp_file import write_hyp_evolved, yaml_value
from hypevo.results.individuals import read_individuals

METRICS = dict(
    zip(STANDARD_COLUMNS, (0.289174, 0.244685, 0.355906, 0.222441, 0.056509, 0.04, 1e-7), strict=True)
)


def row(number: int = 0, fitness: float = 0.25, **hyp: float) -> Row:
    return Row(number, METRICS, hyp or {"lr0": 0.0123456789, "anchors": 3.0}, fitness)


@pytest.fixture(scope="module")
def recorded() -> Path:
    """The folder with an evolution recorded from YOLOv5 release 7.0."""
    data = os.environ.get("HYPEVO_TEST_DATA")
    folder = Path(data or ".").parent / "fixtures" / "evolve_v7"
    if data is None or not folder.is_dir():
        pytest.skip("HYPEVO_TEST_DATA does not lead to the recorded evolution")
    return folder


def write_evolve_csv(path: Path, rows: list[Row]) -> None:
    csv = EvolveCsv(tuple(rows[0].metrics), tuple(rows[0].hyp))
    for one in rows:
        csv.add(one)
    csv.write(path)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def test_the_csv_of_a_recorded_evolution_is_yolov5s_to_the_byte(recorded: Path, tmp_path: Path) -> None:
    rows = read_evolve_csv(recorded / "evolve.csv")
    assert len(rows) == 24
    assert len(rows[0].hyp) == 29
    write_evolve_csv(tmp_path / "evolve.csv", rows)
    assert (tmp_path / "evolve.csv").read_bytes() == (recorded / "evolve.csv").read_bytes()


def test_the_yaml_of_a_recorded_evolution_is_yolov5s_but_for_the_title(
    recorded: Path, tmp_path: Path
) -> None:
    rows = read_evolve_csv(recorded / "evolve.csv")
    write_hyp_evolved(tmp_path / "hyp_evolved.yaml", rows[14], generation=14, last=23)
    ours, theirs = lines_of(tmp_path / "hyp_evolved.yaml"), lines_of(recorded / "hyp_evolve.yaml")
    assert ours[0].startswith("# ")
    assert ours[1:] == theirs[1:]
    assert load_hyp(tmp_path / "hyp_evolved.yaml") == rows[14].hyp


def test_csv_cells_are_20_wide_with_five_digits(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    write_evolve_csv(path, [row(), row(5, lr0=1e-5, anchors=2.36527)])
    header, first, second, end = lines_of(path)
    assert end == ""
    assert [len(cell) for line in (header, first, second) for cell in line.split(",")] == [20] * 27
    assert [cell.strip() for cell in header.split(",")] == [*STANDARD_COLUMNS.values(), "lr0", "anchors"]
    assert [cell.strip() for cell in first.split(",")] == (
        ["0.28917", "0.24469", "0.35591", "0.22244", "0.056509", "0.04", "1e-07", "0.012346", "3"]
    )
    assert second.endswith("               1e-05,              2.3653")


def test_metrics_beyond_yolov5s_seven_stand_behind_the_genes(tmp_path: Path) -> None:
    rows = [row(), replace(row(1), metrics={"AP_small": 0.5, **METRICS})]
    write_evolve_csv(tmp_path / "evolve.csv", rows)
    header, first, *_ = lines_of(tmp_path / "evolve.csv")
    names = [cell.strip() for cell in header.split(",")]
    assert names == [*STANDARD_COLUMNS.values(), "lr0", "anchors", "metrics/AP_small"]
    assert first.split(",")[-1].strip() == "nan"  # it came with the second one
    back = read_evolve_csv(tmp_path / "evolve.csv")
    assert back[1].metrics == {**back[0].metrics, "AP_small": 0.5}
    assert [found.hyp for found in back] == [{"lr0": 0.012346, "anchors": 3.0}] * 2


def test_a_metric_keeps_its_column_when_its_name_has_been_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    rows = [Row(0, {"score": 0.5, "top 5, odd(B)": 2.0}, {"rate": 0.1}, 0.5)]
    write_evolve_csv(path, rows)
    read = read_evolve_csv(path, lambda metrics: metrics["score"])
    write_evolve_csv(tmp_path / "again.csv", [*read, *rows])
    first, *others = lines_of(tmp_path / "again.csv")
    assert first == lines_of(path)[0]
    assert others == [lines_of(path)[1]] * 2 + [""]


def test_a_trainer_without_the_seven_metrics_gets_its_own_columns(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    rows = [
        Row(0, {"accuracy": 0.5, "recall": 0.25}, {"rate": 0.1}, 0.5),
        Row(1, {"accuracy": 0.75, "val/loss": 2.0}, {"rate": 0.2}, 0.75),
    ]
    write_evolve_csv(path, rows)
    assert [cell.strip() for cell in lines_of(path)[0].split(",")] == [
        "metrics/accuracy",
        "metrics/recall",
        "val/loss",
        "rate",
    ]
    back = read_evolve_csv(path, lambda metrics: metrics["accuracy"])
    assert [found.fitness for found in back] == [0.5, 0.75]
    assert back[0].metrics["recall"] == 0.25
    assert math.isnan(back[1].metrics["recall"])
    assert [found.hyp for found in back] == [found.hyp for found in rows]
    write_hyp_evolved(tmp_path / "hyp.yaml", rows[1], generation=1, last=1)
    assert "#     metrics/accuracy," in lines_of(tmp_path / "hyp.yaml")[3]


def test_columns_are_prefixed_once_and_safe() -> None:
    assert column("mAP_0.5") == "metrics/mAP_0.5"
    assert column("box_loss") == "val/box_loss"
    assert column("train/box_loss") == "train/box_loss"
    assert column("speed") == "metrics/speed"
    assert column("a,b\nlr0: 1") == "metrics/a_b_lr0: 1"


def test_rows_with_other_genes_are_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    write_evolve_csv(path, [row()])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="row 7 differs in anchors"):
        write_evolve_csv(path, [row(), row(7, lr0=0.1)])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["evolve.csv"]


def test_the_yaml_keeps_full_precision_and_loads_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "hyp_evolved.yaml"
    hyp = {"lr0": 1e-05, "lrf": 0.1234567890123456, "box": 5e-324, "cls": 1e22, "anchors": 3.0}
    write_hyp_evolved(path, row(4, 0.5, **hyp), generation=1, last=2)
    assert yaml.safe_load(path.read_text()) == hyp
    assert load_hyp(path) == hyp
    assert "lr0: 1.0e-05" in lines_of(path)
    assert lines_of(path)[:3] == [
        "# hypevo: evolved hyperparameters, of trial 4, generation 1 of evolve.csv, counted from 0",
        "# Best generation: 1",
        "# Last generation: 2",
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_plain_floats_come_back_from_pyyaml_as_the_same_float(value: float) -> None:
    back = yaml.safe_load(f"x: {yaml_value(value)}")["x"]
    assert type(back) is float
    assert back == value


def test_the_best_is_the_first_of_the_fittest_and_nan_never_wins() -> None:
    rows = [row(0, math.nan), row(1, 0.5), row(2, 0.5), row(3, math.inf), row(4, 0.25)]
    assert best_of(rows) is rows[1]
    assert best_of([rows[0]]) is None


def test_words_booleans_and_whole_numbers_come_back_as_what_they_are(tmp_path: Path) -> None:
    hyp = {"lr0": 0.5, "batch": 32, "act": "relu", "ema": True}
    rows = [row(0, **hyp), row(1, **{**hyp, "act": "tanh", "ema": False})]  # type: ignore[arg-type]
    write_evolve_csv(tmp_path / "evolve.csv", rows)
    assert [found.hyp for found in read_evolve_csv(tmp_path / "evolve.csv")] == [one.hyp for one in rows]
    write_hyp_evolved(tmp_path / "hyp.yaml", rows[0], generation=0, last=1)
    assert [repr(value) for value in load_hyp(tmp_path / "hyp.yaml").values()] == [
        "0.5",
        "32",
        "'relu'",
        "True",
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("evolve.txt", "0.6 0.6 0.6 0.3 0.05 0.05 0.01 0.011 0.02\n", "this is an evolve.txt"),
        (
            "results.csv",
            "epoch, train/box_loss, metrics/recall, x/lr0\n0,1,1,1\n",
            "results.csv of one training",
        ),
        ("evolve.csv", "metrics/recall,lr0\n1,0.1\n", "no column for metrics/mAP_0.5, metrics/mAP_0.5:0.95"),
        ("a.ndjson", '{"a": 1}\n', "expected a tune_results.ndjson"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_individuals(tmp_path / name, "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95")


def test_the_tables_of_ultralytics_tuner_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tune_results.csv").write_text("fitness,lr0,dfl\n0.25,0.01,1.5\n")
    (found,) = read_individuals(tmp_path / "tune_results.csv", "mAP_0.5")
    assert (found.fitness, found.hyp) == (0.25, {"lr0": 0.01, "dfl": 1.5})
    assert "taken as it stands" in caplog.text
    line = '{"fitness": 0.25, "hyperparameters": {"lr0": 0.01}, "datasets": {"d": {"metrics/mAP50(B)": 0.5}}}'
    (tmp_path / "t.ndjson").write_text(line + "\n{\n")
    (found,) = read_individuals(tmp_path / "t.ndjson", "mAP_0.5")
    assert (found.fitness, found.hyp) == (0.5, {"lr0": 0.01})


def test_reading_matches_columns_by_name(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    path.write_text("lr0, metrics/mAP_0.5:0.95 ,metrics/mAP_0.5,anchors\r\n0.5,0.25,0.75,3\r\n\r\n")
    (found,) = read_evolve_csv(path)
    assert found.hyp == {"lr0": 0.5, "anchors": 3.0}
    assert found.metrics == {"mAP_0.5": 0.75, "mAP_0.5:0.95": 0.25}
    assert found.fitness == pytest.approx(0.3)


def test_nan_metrics_stay_and_have_no_fitness(tmp_path: Path) -> None:
    write_evolve_csv(
        tmp_path / "evolve.csv", [replace(row(), metrics={**METRICS, "mAP_0.5": math.nan}), row(1)]
    )
    broken, whole = read_evolve_csv(tmp_path / "evolve.csv")
    assert math.isnan(broken.metrics["mAP_0.5"])
    assert math.isnan(broken.fitness)
    assert whole.fitness == pytest.approx(0.1 * 0.35591 + 0.9 * 0.22244)


def test_damaged_lines_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "evolve.csv"
    write_evolve_csv(path, [row()])
    header, good, _ = lines_of(path)
    damaged = [
        good[:100],
        good + good,
        good.replace("0.28917", "0.2x917"),
        good.replace("0.012346", "     nan"),
        good.replace("0.012346", "     inf"),
        ",",
    ]
    path.write_bytes("\n".join(["\ufeff" + header, good, *damaged, good, ""]).encode() + b"\xff\xfe\x00\n")
    assert [found.number for found in read_evolve_csv(path)] == [0, 1]
    assert "7 incomplete lines left out: 3, 4, 5, 6, 7, 8, 10" in caplog.text


def test_a_last_line_cut_inside_its_last_number_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    write_evolve_csv(path, [row(), row(1, lr0=0.5, anchors=2.3653)])
    whole = path.read_text()
    assert len(read_evolve_csv(path)) == 2
    path.write_text(whole[:-3])  # 2.3653 became 2.36
    assert len(read_evolve_csv(path)) == 1
    path.write_text(whole[:-1])  # only the newline is missing
    assert len(read_evolve_csv(path)) == 2


def test_a_narrow_file_without_a_last_newline_keeps_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    path.write_text("metrics/mAP_0.5,lr0\n0.5,0.25")
    assert len(read_evolve_csv(path)) == 1


def test_repeated_headers_are_skipped_and_may_change_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    path.write_text("metrics/mAP_0.5,lr0\n0.5,1\nmetrics/mAP_0.5,lr0\n0.25,2\nlr0,metrics/mAP_0.5\n3,0.125\n")
    rows = read_evolve_csv(path)
    assert [found.hyp["lr0"] for found in rows] == [1, 2, 3]
    assert [found.metrics["mAP_0.5"] for found in rows] == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    "damaged",
    [
        "metrics/mAP_0.5,metrics/rec",
        "metrics/mAP_0.5,metrics/recall,l",
        "0.5,metrics/mAP_0.5,metrics/recall,lr0",
        "lr0",
    ],
)
def test_a_damaged_header_in_between_does_not_move_the_columns(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "evolve.csv"
    path.write_text(f"metrics/mAP_0.5,metrics/recall,lr0\n0.5,0.25,1\n{damaged}\n0.75,0.25,2\n")
    assert [(found.metrics["mAP_0.5"], found.hyp) for found in read_evolve_csv(path)] == [
        (0.5, {"lr0": 1.0}),
        (0.75, {"lr0": 2.0}),
    ]


def test_a_header_with_other_genes_takes_over(tmp_path: Path) -> None:
    path = tmp_path / "evolve.csv"
    path.write_text(
        "metrics/recall,lr0,box\n0.5,1,2\nmetrics/recall,lr0,cls\n0.5,3,4\nmetrics/recall,a\n0.5,5\n"
    )
    assert [found.hyp for found in read_evolve_csv(path)] == [
        {"lr0": 1.0, "box": 2.0},
        {"lr0": 3.0, "cls": 4.0},
        {"a": 5.0},
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("0.5,0.25\n", "line 1: expected a header that names metrics and genes first"),
        ("lr0: 0.01\n", "line 1: expected a header that names metrics and genes first"),
        ("metrics/recall,val/box_loss\n", "expected columns of genes too; got 2 metrics only"),
        ("metrics/recall,lr0,lr0\n", "expected columns with distinct names; got lr0 more than once"),
        ("metrics/recall,lr0,\n", "expected columns with distinct names; got an empty one"),
    ],
)
def test_files_that_are_no_evolution_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "evolve.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem):
        read_evolve_csv(path)


def test_unreadable_and_giant_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_evolve_csv(tmp_path / "nowhere.csv")
    path = tmp_path / "evolve.csv"
    write_evolve_csv(path, [row()])
    monkeypatch.setattr(results, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="at most 100 bytes"):
        read_evolve_csv(path)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(1e-6, 1e3), st.floats(-1, 1)),
        min_size=1,
        max_size=5,
    )
)
def test_what_was_written_reads_back_to_five_digits(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float, float]]
) -> None:
    path = tmp_path_factory.mktemp("evolve") / "evolve.csv"
    rows = [
        Row(i, dict.fromkeys(STANDARD_COLUMNS, metric), {"lr0": lr0, "b": b}, metric)
        for i, (metric, lr0, b) in enumerate(values)
    ]
    write_evolve_csv(path, rows)
    for before, after in zip(rows, read_evolve_csv(path), strict=True):
        assert after.hyp == pytest.approx(before.hyp, rel=1e-4)
        assert after.metrics == pytest.approx(before.metrics, rel=1e-4)
        assert after.fitness == pytest.approx(before.fitness, rel=1e-4)
