"""The search space: its genes, the files that change it, and what it refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hypevo.problem.space import Gene, Space, load_space, yolov5_space
from hypevo.protocol import InputError

FROZEN = {"iou_t", "fl_gamma", "perspective", "fliplr", "anchors"}

SpaceFile = Callable[[str], Path]


@pytest.fixture
def space_file(tmp_path: Path) -> SpaceFile:
    def write(text: str) -> Path:
        path = tmp_path / "my-space.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_default_space_has_29_genes_of_which_24_move() -> None:
    space = yolov5_space()
    assert len(space) == 29
    assert next(iter(space)) == "lr0"
    assert list(space)[-1] == "anchors"
    assert set(space) - {gene.name for gene in space.movable} == FROZEN
    assert space["momentum"] == Gene("momentum", 0.6, 0.98, gain=0.3, default=0.937)
    assert space["lr0"] == Gene("lr0", 1e-5, 1e-1, default=0.01)


def test_gains_and_distributions_are_those_of_the_movable_genes_in_order() -> None:
    space = yolov5_space()
    movable = [gene.name for gene in space.movable]
    assert list(space.gains) == movable
    assert list(space.distributions()) == movable
    assert space.gains["momentum"] == 0.3
    assert space.distributions()["scale"] == FloatDistribution(0.0, 0.9)


def test_a_gene_without_room_does_not_move() -> None:
    assert not Gene("a", 1.0, 1.0).movable
    assert not Gene("a", 1.0, 2.0, gain=0).movable
    assert Gene("a", 1.0, 2.0).movable


def test_distributions_keep_type_scale_step_and_choices() -> None:
    space = Space(
        [
            Gene("rate", 1e-5, 1e-1, log=True),
            Gene("grid", 0.0, 0.9, step=0.3),
            Gene("depth", 2, 8, type="int"),
            Gene("width", 16, 64, type="int", step=16),
            Gene("power", 1, 64, type="int", log=True),
            Gene("batch", 16, 64, type="categorical", choices=(16.0, 64.0, 32.0)),
        ]
    )
    assert space.distributions() == {
        "rate": FloatDistribution(1e-5, 1e-1, log=True),
        "grid": FloatDistribution(0.0, 0.9, step=0.3),
        "depth": IntDistribution(2, 8),
        "width": IntDistribution(16, 64, step=16),
        "power": IntDistribution(1, 64, log=True),
        "batch": CategoricalDistribution((16.0, 64.0, 32.0)),
    }


def test_freeze_and_only_change_the_movable_genes_alone() -> None:
    space = yolov5_space()
    frozen = space.freeze(["lr0", "box"])
    assert {gene.name for gene in space.movable} - {gene.name for gene in frozen.movable} == {"lr0", "box"}
    assert list(frozen) == list(space)
    assert [gene.name for gene in space.only(["box", "lr0"]).movable] == ["lr0", "box"]
    assert space.only(["lr0"]).gains == {"lr0": 1.0}
    assert space.freeze([]) == space


@pytest.mark.parametrize("choose", [Space.freeze, Space.only])
def test_freeze_and_only_name_the_nearest_gene_for_each_typo(choose: Callable[..., Space]) -> None:
    with pytest.raises(InputError, match="lr: not in the search space; did you mean «lr0»") as refused:
        choose(yolov5_space(), ["lr", "box", "degree"])
    assert "degree: not in the search space; did you mean «degrees»?" in str(refused.value)


def test_only_refuses_a_gene_that_is_frozen() -> None:
    with pytest.raises(InputError, match=r"fl_gamma, anchors: frozen .* «fl_gamma: \{gain: 1\}»"):
        yolov5_space().only(["lr0", "anchors", "fl_gamma"])


def test_a_space_file_changes_only_the_fields_it_names(space_file: SpaceFile) -> None:
    path = space_file("mosaic: {high: 0.5, default: 0.25}\nanchors: {gain: 2}\nlr0: {low: 1e-4}\n")
    default, space = yolov5_space(), load_space(path, yolov5_space())
    assert list(space) == list(default)
    assert space["mosaic"] == Gene("mosaic", 0.0, 0.5, default=0.25)
    assert space["anchors"] == Gene("anchors", 2.0, 10.0, gain=2.0, default=3.0)
    assert space["lr0"] == Gene("lr0", 1e-4, 0.1, default=0.01)
    assert {name for name in space if space[name] != default[name]} == {"mosaic", "anchors", "lr0"}


def test_new_names_are_genes_of_the_user_after_the_others(space_file: SpaceFile) -> None:
    path = space_file(
        "dropout: {low: 0, high: 0.6}\n"
        "depth: {low: 2, high: 8, type: int, step: 2, default: 4}\n"
        "batch: {choices: [16, 32], gain: 0.5}\n"
        "rate: {low: 1e-6, high: 1e-2, log: true, step: }\n"
    )
    space = load_space(path, yolov5_space())
    assert list(space)[28:] == ["anchors", "dropout", "depth", "batch", "rate"]
    assert space["dropout"] == Gene("dropout", 0.0, 0.6)
    assert space["depth"] == Gene("depth", 2.0, 8.0, type="int", step=2.0, default=4.0)
    assert space["batch"] == Gene("batch", 16, 32, 0.5, type="categorical", choices=(16.0, 32.0))
    assert space["rate"] == Gene("rate", 1e-6, 1e-2, log=True)


def test_without_inheritance_the_space_is_the_files_alone(space_file: SpaceFile) -> None:
    assert list(load_space(space_file("inherit: false\nrate: {low: 0.1, high: 1}\n"), yolov5_space())) == [
        "rate"
    ]
    assert load_space(space_file("inherit: true\nlr0: {gain: 1}\n"), yolov5_space()) == yolov5_space()


def test_a_file_for_a_trainer_without_genes_starts_empty_unless_it_inherits_yolov5s(
    space_file: SpaceFile,
) -> None:
    assert list(load_space(space_file("rate: {low: 0.1, high: 1}\n"), None)) == ["rate"]
    assert load_space(space_file("inherit: true\nlr0: {gain: 1}\n"), None) == yolov5_space()


def test_a_file_changes_the_genes_of_the_trainer_and_adds_to_them(space_file: SpaceFile) -> None:
    brought = Space([Gene("rate", 0.0, 1.0), Gene("act", 0, 1, type="categorical", choices=("relu", "tanh"))])
    space = load_space(space_file("rate: {high: 0.5}\nwidth: {low: 1, high: 2}\n"), brought)
    assert list(space) == ["rate", "act", "width"]
    assert space["rate"] == Gene("rate", 0.0, 0.5)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("lr0: {low: 0.5, high: 0.1}", "lr0: expected low <= high; got low 0.5 and high 0.1"),
        ("lr0: {high: .nan}", "lr0: high: expected a finite number; got nan"),
        ("lr0: {high: .inf}", "lr0: high: expected a finite number; got inf"),
        ("lr0: {high: 1e999}", "lr0: high: expected a finite number; got inf"),
        ("lr0: {gain: -1}", "lr0: expected a gain of 0 (frozen) or more; got -1"),
        ("lr0: {gain: yes}", "lr0: gain: expected a number; got the boolean true"),
        ("lr0: {low: much}", "lr0: low: expected a number; got the text «much»"),
        ("lr0: {low: }", "lr0: low: expected a number; got nothing"),
        ("lr0: {lo: 1}", "lr0: unknown field «lo»; did you mean «low»?"),
        ("lr0: {name: x}", "lr0: unknown field «name»"),
        ("lr0: 0.1", "lr0: expected fields such as {low: 0.1, high: 0.5}; got the number 0.1"),
        ("lr0: 0x" + "f" * 400, "lr0: expected fields such as {low: 0.1, high: 0.5}; got a number beyond"),
        ("lr0: [1, 2]", "lr0: expected fields such as {low: 0.1, high: 0.5}; got a list"),
        ("lr0: {type: double}", "lr0: expected type float, int, categorical; got «double»"),
        ("lr0: {type: 3}", "lr0: type: expected float, int or categorical; got the number 3"),
        ("lr0: {default: fast}", "lr0: default: expected a number; got the text «fast»"),
        (
            "novel: {low: 2, high: 8, type: int, default: 2.5}",
            "novel: default: expected a whole number; got 2.5",
        ),
        ("lr0: {high: 1e308}", "lr0: expected high between -1e+100 and 1e+100; got 1e+308"),
        ("novel: {low: -1e308, high: 1e308, step: 1}", "novel: expected low between -1e+100 and 1e+100"),
        ("novel: {low: 0, high: 1e99, type: int}", "novel: expected low and high of type int between -2^53"),
        (
            "novel: {low: 0, high: 1e9, step: 1e-300}",
            "novel: expected at most 2^53 steps between low and high",
        ),
        ("box: {type: int}", "box: expected whole numbers as low, high and step of type int"),
        ("degrees: {log: true}", "degrees: expected low > 0 with log: true; got 0"),
        ("degrees: {log: 1}", "degrees: log: expected true or false; got the number 1"),
        ("degrees: {step: 0}", "degrees: expected a step above 0; got 0"),
        ("degrees: {step: 7}", "degrees: expected high on the grid of step 7; got 45; set it to 42"),
        ("lr0: {log: true, step: 0.01}", "lr0: log and step exclude each other"),
        ("lr: {gain: 1}", "lr: a new gene needs low and high; did you mean «lr0»?"),
        ("novel: {low: 1}", "novel: a new gene needs high"),
        ("novel: {choices: []}", "novel: a new gene needs low and high"),
        ("novel: {choices: 3}", "novel: choices: expected a list such as [16, 32] or [relu, tanh]"),
        (
            "novel: {choices: [SGD, 1]}",
            "novel: expected choices of one kind, numbers, words, or true and false",
        ),
        ("novel: {choices: [yes, 1]}", "novel: expected choices of one kind"),
        ("novel: {choices: [SGD, 'a, b']}", "novel: expected choices that are numbers or words of letters"),
        ("novel: {choices: [SGD, 'true']}", "novel: expected choices that are numbers or words of letters"),
        (
            "novel: {choices: [SGD, 'on']}",
            "novel: expected choices that are numbers or words of letters, digits, «_», «.», «+», «/» and «-»; "
            "got the text «on», which is YAML's own word for true",
        ),
        ("novel: {choices: [SGD, 'nan']}", "novel: expected choices that are numbers or words of letters"),
        (
            "novel: {choices: [[1]]}",
            "novel: choices: expected a number, a word, or true or false; got a list",
        ),
        ("novel: {choices: [1, 1]}", "novel: expected choices that differ"),
        ("novel: {choices: [1, 2], high: 3}", "novel: expected low and high to span [1, 2]"),
        ("novel: {choices: [1, 2], type: float}", "novel: type categorical and choices belong together"),
        (
            "novel: {low: 1, high: 2, type: categorical}",
            "novel: type categorical and choices belong together",
        ),
        ("novel: {choices: [1, 2], step: 1}", "novel: choices have no log and no step"),
        ("'a b': {low: 1, high: 2}", "a b: expected a name of letters, digits"),
        ("'yes': {low: 1, high: 2}", "yes: expected a name of letters, digits"),
        ("inherit: 3", "inherit: expected true or false; got the number 3"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_gene_and_remedy(
    space_file: SpaceFile, entry: str, problem: str
) -> None:
    path = space_file(entry)
    with pytest.raises(InputError) as refused:
        load_space(path, yolov5_space())
    assert str(refused.value).startswith(f"{path}: {problem}")


def test_all_problems_of_a_file_come_in_one_message(space_file: SpaceFile) -> None:
    with pytest.raises(InputError) as refused:
        load_space(space_file("lr0: {gain: -1}\nbox: {low: 9}\ncls: {gain: 1}\n"), yolov5_space())
    said = str(refused.value).split("\n")
    assert len(said) == 2
    assert "lr0" in said[0]
    assert "box" in said[1]


def test_two_genes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="a: expected one gene of this name"):
        Space([Gene("a", 0, 1), Gene("a", 0, 2)])


@pytest.mark.parametrize("field", ["low", "high", "gain", "step"])
def test_a_gene_made_in_python_is_checked_too(field: str) -> None:
    with pytest.raises(ValueError, match=f"a: expected a finite {field}; got nan"):
        Gene(**{"name": "a", "low": 0.0, "high": 1.0, field: math.nan})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gene", "fitting", "misfitting"),
    [
        (Gene("a", 0.1, 0.7), (0.1, 0.3, 0.7), (0.0999, 0.7001, math.nan, math.inf)),
        (Gene("a", 2, 8, type="int"), (2.0, 5.0), (2.5, 9.0)),
        (Gene("a", 0.1, 0.7, step=0.2), (0.1, 0.3, 0.1 + 0.2 + 0.2, 0.7), (0.2, 0.8)),
        (Gene("a", 1, 4, type="categorical", choices=(1, 4)), (1.0, 4.0), (2.0, 5.0)),
    ],
)
def test_misfit_tells_values_of_a_gene_from_others(
    gene: Gene, fitting: tuple[float, ...], misfitting: tuple[float, ...]
) -> None:
    assert [gene.misfit(value) for value in fitting] == [None] * len(fitting)
    assert all(gene.misfit(value) for value in misfitting)


def test_a_snapshot_survives_json(space_file: SpaceFile) -> None:
    path = space_file(
        "batch: {choices: [16, 32], default: 16}\ndepth: {low: 2, high: 8, type: int, step: 2}\n"
        "act: {choices: [relu, tanh], default: tanh}\nema: {choices: [yes, no]}\n"
        "lr0: {log: true}\n"
    )
    space = load_space(path, yolov5_space()).freeze(["box"])
    snapshot = space.to_dict()
    rebuilt = Space.from_dict(json.loads(json.dumps(snapshot)))
    assert rebuilt == space
    assert space.difference(rebuilt) == []
    assert (rebuilt["act"].default, rebuilt["ema"].choices) == ("tanh", (True, False))
    assert repr(rebuilt["batch"].choices) == "(16, 32)"
    assert snapshot["cls"] == {"low": 0.2, "high": 4.0, "gain": 1.0, "default": 0.5}
    assert snapshot["lr0"] == {"low": 1e-5, "high": 0.1, "gain": 1.0, "log": True, "default": 0.01}


def test_difference_says_exactly_what_differs() -> None:
    before = Space([Gene("a", 0.0, 1.0), Gene("b", 0.0, 1.0), Gene("c", 1, 2, type="int")])
    after = Space(
        [Gene("d", 0.0, 1.0), Gene("b", 0.0, 0.5, gain=0.0), Gene("c", 1, 2, log=True, default=1.5)]
    )
    assert before.difference(after) == [
        "a is no longer there",
        "d is new",
        "b: high was 1 and is now 0.5",
        "b: gain was 1 and is now 0",
        "c: type was int and is now float",
        "c: log was false and is now true",
    ]
    assert before.difference(before) == []


def test_the_order_of_the_genes_is_a_difference() -> None:
    a, b = Gene("a", 0.0, 1.0), Gene("b", 0.0, 1.0)
    assert Space([a, b]).difference(Space([b, a])) == ["the order of the genes was a, b and is now b, a"]


def test_words_and_booleans_are_categories_of_optuna_s() -> None:
    space = Space(
        [
            Gene("act", 0, 1, type="categorical", choices=("relu", "tanh")),
            Gene("ema", 0, 1, type="categorical", choices=(True, False)),
        ]
    )
    assert space.distributions() == {
        "act": CategoricalDistribution(("relu", "tanh")),
        "ema": CategoricalDistribution((True, False)),
    }


@pytest.mark.parametrize(
    ("gene", "value", "expected"),
    [
        (Gene("a", 0.1, 0.7), 5.0, 0.7),
        (Gene("a", 0.1, 0.7), 0.3, 0.3),
        (Gene("a", 2, 8, type="int", step=2), 9, 8),
        (Gene("a", 0.0, 0.9, step=0.3), 0.5, 0.6),
        (Gene("a", 1, 4, type="categorical", choices=(1, 4)), 3.0, 4),
        (Gene("a", 0, 1, type="categorical", choices=("x", "y")), "y", "y"),
        (Gene("a", 0, 1, type="categorical", choices=("x", "y")), "z", None),
    ],
)
def test_the_nearest_value_is_one_of_the_gene_s(gene: Gene, value: object, expected: object) -> None:
    found = gene.nearest(value)
    assert found == expected
    assert found is None or gene.misfit(found) is None
