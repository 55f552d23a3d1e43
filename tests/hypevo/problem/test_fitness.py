"""Fitness expressions: what they mean, against Python's own arithmetic, and how they refuse."""

import math
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypevo.problem.fitness import DEFAULT_FITNESS, Fitness, parse_fitness
from hypevo.protocol import InputError, WorkError

METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")
VALUES = dict(zip(METRICS, (0.5, 0.25, 0.625, 0.375, 0.0625, 0.03125, 0.015625), strict=True))


def value(text: str, metrics: Mapping[str, float] = VALUES) -> float:
    return parse_fitness(text, METRICS)(metrics)


def test_the_default_is_a_tenth_map50_and_nine_tenths_map50_95() -> None:
    fitness = parse_fitness(DEFAULT_FITNESS, METRICS)
    assert fitness(VALUES) == pytest.approx(0.1 * 0.625 + 0.9 * 0.375)
    assert fitness.names == ("mAP_0.5", "mAP_0.5:0.95")
    assert fitness.text == DEFAULT_FITNESS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mAP_0.5:0.95", 0.375),
        ("mAP_0.5", 0.625),
        ("mAP50", 0.625),
        ("mAP50_95", 0.375),
        ("mAP50-95", 0.375),
        ("mAP50 - 95", 0.625 - 95),
        ("mAP_0.5-mAP_0.5:0.95", 0.25),
        ("precision − recall", 0.25),
        ("-precision*-+2", 1.0),
        ("1 - recall - precision", 0.25),
        ("precision/recall/2", 1.0),
        ("2*(precision + recall)/3.", 0.5),
        (".5e1*recall+1E-1", 1.35),
        ("0.1*`mAP_0.5` +\n0.9*` recall `", 0.0625 + 0.225),
        ("\tprecision", 0.5),
    ],
)
def test_expressions_mean_what_they_say(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-12)


def test_the_longest_declared_name_wins_over_operators_inside_it() -> None:
    fitness = parse_fitness("a-b*2", ("a", "b", "a-b"))
    assert fitness({"a": 5, "b": 7, "a-b": 3}) == 6
    assert fitness.names == ("a-b",)


def test_a_metric_named_like_a_number_needs_backticks() -> None:
    fitness = parse_fitness("50 + `50`", ("50",))
    assert fitness({"50": 0.5}) == 50.5


def test_an_alias_gives_way_to_a_metric_of_that_name() -> None:
    assert parse_fitness("mAP50", ("mAP50", "mAP_0.5"))({"mAP50": 1.0, "mAP_0.5": 2.0}) == 1.0


def test_undeclared_metrics_are_reachable_in_backticks() -> None:
    fitness = parse_fitness("`small objects: AP` / 2", ())
    assert fitness({"small objects: AP": 0.5}) == 0.25
    assert fitness.names == ("small objects: AP",)


def test_names_come_once_in_order_of_appearance() -> None:
    assert parse_fitness("recall + precision*recall", METRICS).names == ("recall", "precision")


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("mAP_0.5 + recall", {"recall": 0.5}),
        ("mAP_0.5", {"mAP_0.5": math.nan}),
        ("1/mAP_0.5", {"mAP_0.5": math.inf}),
        ("0*mAP_0.5", {"mAP_0.5": -math.inf}),
        ("mAP_0.5/(recall - recall)", {"mAP_0.5": 0.5, "recall": 0.25}),
        ("mAP_0.5*1e308*1e10", {"mAP_0.5": 0.5}),
        ("1e308/mAP_0.5", {"mAP_0.5": 1e-10}),
    ],
)
def test_what_has_no_finite_value_is_nan_and_never_wins(text: str, metrics: dict[str, float]) -> None:
    assert math.isnan(value(text, metrics))


def test_missing_says_why_there_is_no_fitness() -> None:
    fitness = parse_fitness("precision + recall + mAP_0.5", METRICS)
    assert fitness.missing({"precision": math.inf, "recall": 0.5}) == ("precision", "mAP_0.5")
    assert fitness.missing(VALUES) == ()


def test_a_metric_that_the_expression_does_not_read_may_be_nan() -> None:
    assert value("recall", {"recall": 0.5, "box_loss": math.nan}) == 0.5


@pytest.mark.parametrize(
    ("text", "problem", "caret"),
    [
        ("0.1*mAP_0.6", "unknown metric «mAP_0.6»; did you mean «mAP_0.5»?", 4),
        ("mAP_0.55", "unknown metric «mAP_0.55»; did you mean «mAP_0.5»?", 0),
        ("mAP_0.5:0.9 + 1", "unknown metric «mAP_0.5:0.9»; did you mean «mAP_0.5:0.95»?", 0),
        ("1 + MAP_0.5", "unknown metric «MAP_0.5»; did you mean «mAP_0.5»?", 4),
        ("zzz", "the trainer declares box_loss, cls_loss", 0),
        ("2 recall", "expected an operator", 2),
        ("0.5recall", "expected an operator", 3),
        ("(recall", "never closed", 0),
        ("(recall 2)", "expected an operator (+ - * /) or «)»", 8),
        ("recall)", "expected an operator", 6),
        ("recall*", "expected a metric, a number or «(»", 7),
        ("recall**2", "expected a metric, a number or «(»", 7),
        ("()", "expected a metric, a number or «(»", 1),
        ("", "expected a metric, a number or «(»", 0),
        ("recall + `x", "backtick is never closed", 9),
        ("recall + ``", "expected a metric's name between the backticks", 9),
        ("recall*1e999", "expected a finite number", 7),
        ("1 + 1", "expected at least one metric", 0),
        ("__import__('os')", "unknown metric", 0),
        ("recall if 1 else 2", "expected an operator", 7),
    ],
)
def test_mistakes_are_named_with_a_caret_under_the_place(text: str, problem: str, caret: int) -> None:
    with pytest.raises(InputError) as refused:
        parse_fitness(text, METRICS)
    said = str(refused.value).split("\n")
    assert problem in said[0]
    assert said[1:] == [f"  {text}", f"  {' ' * caret}^"]


def test_the_caret_stays_under_its_place_across_line_breaks() -> None:
    with pytest.raises(InputError) as refused:
        parse_fitness("recall\n\t+ recal", METRICS)
    _, shown, caret = str(refused.value).split("\n")
    assert shown[caret.index("^") :] == "recal"


def test_an_alias_of_an_undeclared_metric_is_refused_rather_than_split() -> None:
    with pytest.raises(
        InputError, match=r"mAP50-95 means mAP_0\.5:0\.95, which the trainer does not declare"
    ):
        parse_fitness("mAP50-95", ("mAP_0.5",))


@pytest.mark.parametrize("text", ["(" * 60 + "recall" + ")" * 60, "1+" * 1500 + "recall"])
def test_giant_expressions_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected at most"):
        parse_fitness(text, METRICS)


def test_long_chains_need_no_recursion() -> None:
    assert value("-" * 999 + "recall" + "+recall" * 100) == pytest.approx(-0.25 + 25)
    assert parse_fitness("a" + "+a" * 999, ("a",))({"a": 0.5}) == 500
    assert parse_fitness("-(" * 50 + "a" + ")" * 50 + "*a" * 900, ("a",))({"a": 1.0}) == 1.0


def test_what_python_would_take_and_an_expression_has_not_is_refused() -> None:
    for text in (
        "recall//2",
        "recall%2",
        "recall or 1",
        "recall.real",
        "recall[0]",
        "recall(1)",
        "1_0*recall",
    ):
        with pytest.raises(InputError, match=r"expected an operator|expected a metric|unknown metric"):
            parse_fitness(text, METRICS)


def test_a_fitness_can_be_sent_to_another_process() -> None:
    fitness: Fitness = pickle.loads(pickle.dumps(parse_fitness(DEFAULT_FITNESS, METRICS)))
    assert fitness(VALUES) == value(DEFAULT_FITNESS)


# Expression trees: the same text, written for Python with v["name"], is the reference.
_leaves = st.one_of(
    st.sampled_from([(name, f"v[{name!r}]") for name in METRICS]),
    st.sampled_from([(f"`{name}`", f"v[{name!r}]") for name in METRICS]),
    st.floats(0, 1e6, allow_subnormal=False).map(lambda x: (repr(x), repr(x))),
    st.integers(0, 1000).map(lambda x: (str(x), f"{x}.0")),
)
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" + ", "-", "*", " / "]), inner).map(
            lambda t: (f"{t[0][0]}{t[1]}{t[2][0]}", f"{t[0][1]}{t[1]}{t[2][1]}")
        ),
        inner.map(lambda t: (f"({t[0]})", f"({t[1]})")),
        inner.map(lambda t: (f"-{t[0]}", f"-{t[1]}")),
    ),
    max_leaves=12,
)


@given(_trees, st.lists(st.floats(-10, 10), min_size=7, max_size=7))
def test_expressions_agree_with_python(tree: tuple[str, str], numbers: list[float]) -> None:
    ours, pythons = tree
    metrics = dict(zip(METRICS, numbers, strict=True))
    try:
        expected = eval(pythons, {"v": metrics})
    except ZeroDivisionError:
        expected = math.nan
    if not any(name in ours for name in METRICS):
        with pytest.raises(InputError):
            parse_fitness(ours, METRICS)
    elif math.isfinite(expected):
        assert value(ours, metrics) == expected
    else:
        assert math.isnan(value(ours, metrics))


@given(st.text(max_size=40))
def test_any_text_is_either_a_fitness_or_refused(text: str) -> None:
    try:
        fitness = parse_fitness(text, METRICS)
    except InputError:
        return
    assert isinstance(fitness(VALUES), float)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name a module of fitness functions in the working directory."""
    (tmp_path / "rules_of_a_user.py").write_text(
        "def squared(metrics):\n    return metrics['recall'] ** 2\n\n"
        "def wordy(metrics):\n    return 'good'\n\n"
        "class Rules:\n    cubed = staticmethod(lambda metrics: metrics['recall'] ** 3)\n"
        "number = 3\n"
        "def misnamed(metrics):\n    return metrics['mAP']\n\n"
        "def leaving(metrics):\n    raise SystemExit(3)\n\n"
        "def dividing(metrics):\n    return 1 / (metrics['recall'] - metrics['recall'])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "rules_of_a_user", raising=False)
    return "rules_of_a_user"


def test_a_function_is_found_in_the_working_directory(rules: str, caplog: pytest.LogCaptureFixture) -> None:
    fitness = parse_fitness(f" {rules}:squared", METRICS)
    assert fitness(VALUES) == 0.0625
    assert fitness.names == ()
    assert fitness.text == f"{rules}:squared"
    assert parse_fitness(f"{rules}:Rules.cubed", METRICS)(VALUES) == 0.015625
    assert math.isnan(fitness({"recall": math.inf}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wordy", "expected a number; got 'good' for {'precision': "),
        ("misnamed", "KeyError: 'mAP' (rules_of_a_user.py:11); it got {'precision': "),
        ("leaving", "SystemExit: 3"),
    ],
)
def test_a_function_that_fails_is_an_error_before_and_after_a_training(
    rules: str, name: str, words: str
) -> None:
    fitness = parse_fitness(f"{rules}:{name}", METRICS)
    for attempt, kind in (
        (lambda: fitness(VALUES), WorkError),
        (lambda: fitness.try_out(METRICS), InputError),
    ):
        with pytest.raises(kind) as error:
            attempt()
        assert f"{rules}:{name}" in str(error.value)
        assert words in str(error.value)


def test_an_epoch_that_a_function_fails_on_has_no_fitness(
    rules: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert math.isnan(parse_fitness(f"{rules}:squared", METRICS).of_epoch({}))
    assert "KeyError: 'recall'" in caplog.text


def test_what_cannot_fail_or_divides_by_zero_is_not_refused(rules: str) -> None:
    for text in ("mAP_0.5", f"{rules}:squared", f"{rules}:dividing"):
        parse_fitness(text, METRICS).try_out(METRICS)
    parse_fitness(f"{rules}:wordy", ()).try_out(())  # a trainer that does not say what it returns


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules_of_a_user:nothing", "has no function nothing"),
        ("rules_of_a_user:number", "has no function number"),
        ("no_such_module:f", "No module named 'no_such_module'"),
    ],
)
def test_a_function_that_is_not_there_is_refused(rules: str, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_fitness(text, METRICS)


def test_a_module_that_fails_is_refused(rules: str) -> None:
    Path("broken_rules.py").write_text("def f(metrics)\n")
    with pytest.raises(InputError, match="broken_rules cannot be imported: SyntaxError: expected ':'"):
        parse_fitness("broken_rules:f", METRICS)


def test_a_metric_with_a_colon_is_no_function() -> None:
    assert parse_fitness("val:loss", ("val:loss",))({"val:loss": 0.5}) == 0.5
