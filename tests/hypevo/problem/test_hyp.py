"""Hyp files: presets by name, strict yaml, complete individuals."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hypevo.problem.hyp import PRESETS, check_hyp, load_hyp
from hypevo.problem.space import Gene, Space, yolov5_space
from hypevo.protocol import InputError


@pytest.fixture(scope="module")
def space() -> Space:
    return yolov5_space()


def hyp_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_preset_is_a_complete_individual_within_the_default_space(space: Space) -> None:
    assert set(PRESETS) == {"finetune", "scratch-low", "scratch-med", "scratch-high", "voc"}
    for preset in PRESETS:
        hyp = load_hyp(preset)
        assert list(hyp) == list(space)
        assert check_hyp(hyp, space) == hyp


def test_presets_differ_as_published() -> None:
    low, med, high, voc = (load_hyp(name) for name in ("scratch-low", "scratch-med", "scratch-high", "voc"))
    changes = {"lrf": 0.1, "cls": 0.3, "obj": 0.7, "scale": 0.9, "mixup": 0.1}
    assert med == {**low, **changes}
    assert high == {**med, "copy_paste": 0.1}
    assert low["lr0"] == 0.01
    assert low["anchors"] == 3.0
    assert (voc["lr0"], voc["box"], voc["anchor_t"], voc["anchors"]) == (0.00334, 0.02, 3.3744, 3.412)


@pytest.mark.parametrize(
    "name", ["scratch-low", "hyp.scratch-low.yaml", "hyp.scratch-low", "SCRATCH-LOW.yaml"]
)
def test_presets_answer_to_their_file_names_too(name: str) -> None:
    assert load_hyp(name) == load_hyp("scratch-low")


def test_voc_answers_in_any_case() -> None:
    assert load_hyp("VOC") == load_hyp("hyp.VOC.yaml") == load_hyp("voc")


def test_a_file_that_exists_goes_before_the_preset_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hyp.scratch-low.yaml").write_text("lr0: 0.02\n")
    Path("voc").mkdir()
    assert load_hyp("hyp.scratch-low.yaml") == {"lr0": 0.02}
    assert len(load_hyp("scratch-low")) == 29
    assert len(load_hyp("voc")) == 29


def test_a_missing_file_names_the_nearest_preset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scratch-lo: expected a hyp file or a preset.*«scratch-low»"):
        load_hyp("scratch-lo")
    with pytest.raises(
        InputError, match="the presets are finetune, scratch-high, scratch-low, scratch-med, voc"
    ):
        load_hyp(tmp_path / "q.yaml")


def test_a_missing_winner_is_one_that_nobody_confirmed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`hypevo confirm` writes it where its verdict is «better»"):
        load_hyp(tmp_path / "hyp_confirmed.yaml")


def test_files_keep_their_order_and_give_what_is_written(tmp_path: Path) -> None:
    hyp = load_hyp(hyp_file(tmp_path, "\ufeffbox: 1\nlr0: 0.5\n'cls': .25\nact: relu\nema: yes\n"))
    assert list(hyp.items()) == [("box", 1), ("lr0", 0.5), ("cls", 0.25), ("act", "relu"), ("ema", True)]
    assert hyp["ema"] is True


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.e-5", "+1e-5", "1.0e-05", "'1e-5'", "0.00001", ".1e-4"])
def test_every_way_to_write_a_number_is_one(tmp_path: Path, text: str) -> None:
    assert load_hyp(hyp_file(tmp_path, f"lr0: {text}\n")) == {"lr0": pytest.approx(1e-5, rel=1e-12)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr0: yes", "lr0: expected a number; got the boolean true (so yaml reads yes, no, on and off)"),
        ("lr0: .nan", "lr0: expected a finite number; got nan"),
        ("lr0: nan", "lr0: expected a number; got the text «nan»"),
        ("lr0: -.inf", "lr0: expected a finite number; got -inf"),
        ("lr0: 1e999", "lr0: expected a finite number; got inf"),
        ("lr0: 0x" + "f" * 400, "lr0: expected a finite number; got inf"),
        ("lr0: " + "9" * 5000, "not readable as yaml"),
        ("lr0: 2024-01-01", "lr0: expected a number, a word, or true or false; got a date"),
        ("lr0: 2024-99-99", "not readable as yaml"),
        ("lr0:", "lr0: expected a number, a word, or true or false; got nothing"),
        ("lr0: 0,01", "lr0: expected a number; got the text «0,01»"),
        ("lr0: [0.1]", "lr0: expected a number, a word, or true or false; got a list"),
        ("lr0: {low: 1}", "lr0: expected a number, a word, or true or false; got a mapping"),
        ("lr0: " + "a" * 50, "lr0: expected a number; got a text of 50 characters"),
        ("", "expected lines such as «lr0: 0.01»; got nothing"),
        ("- 1\n- 2", "expected lines such as «lr0: 0.01»; got a list"),
        ("lr0=0.01", "expected lines such as «lr0: 0.01»; got the text «lr0=0.01»"),
        ("on: 1", "expected names as keys; got the boolean true; put it in quotes"),
        ("0.5: 1", "expected names as keys; got the number 0.5"),
    ],
)
def test_what_is_no_number_by_name_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = hyp_file(tmp_path, text)
    with pytest.raises(InputError) as refused:
        check_hyp(load_hyp(path), yolov5_space(), source=str(path))
    assert str(refused.value).startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lr0: 1\nbox: 1\nlr0: 2", "line 3, column 1: «lr0» is already on line 1"),
        ("lr0: !!python/object/apply:os.getcwd []", "line 1, column 6: tags (!x) are not accepted"),
        ("lr0: !!float 1", "line 1, column 6: tags (!x) are not accepted"),
        ("lr0: &a 1\nbox: *a", "line 1, column 6: references (&x, *x) are not accepted"),
        ("lr0: *a", "line 1, column 6: references (&x, *x) are not accepted"),
        ("<<: {lr0: 1}", "line 1, column 1: merges (<<) are not accepted"),
        ("lr0: " + "[" * 90_000, "line 1, column 10: nested deeper than 5 levels"),
        ("lr0: 1\n---\nlr0: 2", "line 2, column 1: "),
        ("lr0: 1\n box: 2", "line 2, column 5: "),
        ("? [1, 2]\n: 3", "line 1, column 3: "),
    ],
)
def test_yaml_beyond_a_plain_mapping_is_refused_with_its_place(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = hyp_file(tmp_path, text)
    with pytest.raises(InputError) as refused:
        load_hyp(path)
    assert str(refused.value).startswith(f"{path}, {problem}")


def test_files_that_are_no_yaml_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a yaml file in UTF-8; byte 0"):
        load_hyp(hyp_file(tmp_path, b"\x80\x02}q\x00."))
    with pytest.raises(InputError, match="not readable as yaml"):
        load_hyp(hyp_file(tmp_path, b"lr0: \x00"))
    with pytest.raises(InputError, match="at most 100,000 bytes"):
        load_hyp(hyp_file(tmp_path, b"#" * 100_001))
    with pytest.raises(InputError, match="a folder, a pipe or a device"):
        load_hyp(tmp_path)


def test_the_loader_gives_what_pyyaml_gives_for_ordinary_files(tmp_path: Path) -> None:
    values = {"lr0": 0.0123456789012345, "box": 3, "cls": 0.0, "obj": 1.0e-05}
    assert load_hyp(hyp_file(tmp_path, yaml.safe_dump(values))) == values


def test_all_problems_of_a_file_come_in_one_message(tmp_path: Path) -> None:
    path = hyp_file(tmp_path, "lr0: x\nbox: 0.1\ncls: on\n")
    with pytest.raises(InputError) as refused:
        check_hyp(load_hyp(path), yolov5_space(), source=str(path))
    assert [line.split(": ")[1] for line in str(refused.value).split("\n")] == ["lr0", "cls"]


def test_an_individual_is_completed_in_the_order_of_the_space(space: Space) -> None:
    individual = check_hyp({"box": 0.1, "lr0": 0.02}, space)
    assert list(individual) == list(space)
    assert individual == {**load_hyp("scratch-low"), "box": 0.1, "lr0": 0.02}
    assert list(individual)[-1] == "anchors"
    assert individual["anchors"] == 3.0


def test_a_gene_without_a_value_takes_the_default_of_its_entry_and_of_nothing_else() -> None:
    space = Space([Gene("lr0", 0.0, 1.0, default=0.5), Gene("own", 0.0, 1.0, default=0.25)])
    assert check_hyp({}, space) == {"lr0": 0.5, "own": 0.25}
    assert check_hyp({"lr0": 0.75}, space)["lr0"] == 0.75
    with pytest.raises(InputError, match="box: no value"):  # YOLOv5's .05 is none of its business
        check_hyp({}, Space([Gene("box", 0.02, 0.2)]))


def test_bounds_are_inclusive_where_a_gene_is_searched(space: Space) -> None:
    assert check_hyp({"momentum": 0.98}, space)["momentum"] == 0.98
    with pytest.raises(
        InputError, match=r"momentum: 0\.981 is outside its bounds 0\.6 to 0\.98.*--freeze mom"
    ):
        check_hyp({"momentum": 0.981}, space)


UNSEARCHED = {"anchors": 0.0, "degrees": 180.0, "weight_decay": 0.005}


def test_a_training_without_a_search_takes_what_yolov5_takes(space: Space) -> None:
    assert check_hyp(UNSEARCHED, space, searched=()) == {**load_hyp("scratch-low"), **UNSEARCHED}
    with pytest.raises(InputError, match="degrees: 180 is outside") as refused:
        check_hyp(UNSEARCHED, space)
    assert "weight_decay: 0.005 is outside" in str(refused.value)
    assert "anchors" not in str(refused.value)  # gain 0


@pytest.mark.parametrize(
    "held",
    [
        lambda space: space.freeze(["degrees", "weight_decay"]),
        lambda space: space.only(["lr0"]),
        lambda space: Space(replace(gene, high=gene.low) for gene in space.values()),
    ],
)
def test_frozen_values_need_not_keep_the_bounds(space: Space, held: Callable[[Space], Space]) -> None:
    assert check_hyp(UNSEARCHED, held(space))["degrees"] == 180.0


def test_what_no_training_takes_is_refused_without_a_search_too(space: Space) -> None:
    own = Space(
        [Gene("depth", 2, 8, type="int"), Gene("act", 0, 1, type="categorical", choices=("relu", "tanh"))]
    )
    with pytest.raises(InputError) as refused:
        check_hyp({"depth": 2.5, "act": 1.0}, own, searched=())
    assert [line.partition("; ")[0] for line in str(refused.value).split("\n")] == [
        "- hyperparameters: depth: expected a whole number",
        "- hyperparameters: act: expected one of relu, tanh",
    ]
    assert check_hyp({"depth": 12, "act": "gelu"}, own, searched=()) == {"depth": 12, "act": "gelu"}
    with pytest.raises(InputError, match="lr0: expected a finite number; got nan"):
        check_hyp({"lr0": math.nan}, space, searched=())


def test_values_are_what_they_are(space: Space) -> None:
    own = Space(
        [
            Gene("depth", 2, 8, type="int"),
            Gene("batch", 16, 64, type="categorical", choices=(16, 64)),
            Gene("rate", 0.5, 1.0, type="categorical", choices=(0.5, 1.0)),
            Gene("act", 0, 1, type="categorical", choices=("relu", "tanh")),
            Gene("ema", 0, 1, type="categorical", choices=(True, False)),
        ]
    )
    found = check_hyp({"depth": 4.0, "batch": 64.0, "rate": 1, "act": "tanh", "ema": False}, own)
    assert [repr(value) for value in found.values()] == ["4", "64", "1.0", "'tanh'", "False"]
    with pytest.raises(InputError, match="act: gelu is not one of relu, tanh") as refused:
        check_hyp({"depth": 4, "batch": 32, "rate": 1, "act": "gelu", "ema": 1}, own)
    assert "batch: 32 is not one of 16, 64" in str(refused.value)
    assert "ema: expected one of true, false; got the number 1" in str(refused.value)


def test_a_filled_value_outside_narrowed_bounds_says_where_it_comes_from() -> None:
    with pytest.raises(InputError, match=r"mosaic: 1 is outside .*\(the gene's default, as none is given\)"):
        check_hyp({}, Space([Gene("mosaic", 0.0, 0.5, default=1.0)]))


def test_all_problems_of_an_individual_come_in_one_message_with_its_source(space: Space) -> None:
    own = Space([*space.values(), Gene("dropout", 0.0, 0.5)])
    with pytest.raises(InputError) as refused:
        check_hyp({"lr": 0.1, "qqqq": 1.0, "box": math.nan, "lr0": 7.0}, own, source="mine.yaml")
    assert str(refused.value).split("\n") == [
        "- mine.yaml: lr: not in the search space; did you mean «lr0»?",
        "- mine.yaml: qqqq: not in the search space; a gene of your own needs an entry in a space file",
        "- mine.yaml: lr0: 7 is outside its bounds 1e-05 to 0.1; "
        "change the value, widen the gene in a space file, or hold it with --freeze lr0",
        "- mine.yaml: box: expected a finite number; got nan",
        "- mine.yaml: dropout: no value; give one in a --hyp file, or a default in the search space",
    ]
