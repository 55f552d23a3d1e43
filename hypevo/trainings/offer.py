"""What a trainer's module brings for a search: its genes, its metrics, its fitness. Asked in a child process.

Each is a value, or a function of the trainer's settings where it depends on them; a function that has a second
parameter `cache` gets the folder in which it may keep what it finds out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from inspect import signature
from pathlib import Path, PurePath
from typing import Any

from hypevo.messages import first_line
from hypevo.problem.fitness import usual_fitness, weighted
from hypevo.problem.space import Space, read_space, yolov5_space
from hypevo.protocol import InputError
from hypevo.trainings.resolve import Resolved, resolve

SPACE, METRICS, FITNESS, WEIGHTS = "SPACE", "METRICS", "FITNESS", "WEIGHTS"
PYFUNC = "pyfunc"
YOLOV5 = "yolov5"  # the name of a space that hypevo has


@dataclass(frozen=True)
class Pyfunc:
    """How MLflow loads a trainer's weights without unpickling a class.

    Attributes:
        loader: A module with `_load_pyfunc(path, model_config)`.
        weights: The file in a training's folder `weights`.
        config: What the loader can be told, each with its usual value.
        requirements: Packages that it needs, as pip takes them.
        says: What `predict` takes and returns.
    """

    loader: str
    weights: str
    config: Mapping[str, Any] = field(default_factory=dict)
    requirements: Sequence[str] = ()
    says: str = ""


def genes_of(
    trainer: str, raw: Mapping[str, Any], cache: Path | None = None, assume: bool = False
) -> dict[str, Any] | None:
    """The genes that a trainer brings, as `Space.to_dict` has them; None when it brings none.

    Args:
        trainer: Its name.
        raw: Its settings, as plain values.
        cache: Folder in which it may keep what it finds out.
        assume: Whether nobody else names genes. A trainer that brings none and returns the metrics of detectors then
            has YOLOv5's, as those of version 0.1 had.

    Raises:
        InputError: There is no such trainer, its settings refuse a value, or its SPACE is wrong.
    """
    found = resolve(trainer)
    settings = found.settings(raw)
    space = space_of(found, settings, cache)
    if space is None and assume and usual_fitness(metrics_of(found, settings, cache)):
        space = yolov5_space()
    return None if space is None else space.to_dict()


def space_of(found: Resolved, settings: Any, cache: Path | None = None) -> Space | None:
    """The genes that a trainer brings; None when it brings none.

    Raises:
        InputError: Its SPACE is wrong.
    """
    source = f"{found.module.__name__}.{SPACE}"
    match _value(found, SPACE, settings, cache):
        case None:
            return None
        case Space() as space:
            return space
        case str() as name if name == YOLOV5:
            return yolov5_space()
        case Mapping() as entries if entries:
            return read_space(entries, source=source)
        case other:
            raise InputError(
                f"{source}: expected genes, as in {{'lr': {{'low': 1e-5, 'high': 0.1}}}}, or '{YOLOV5}' for those of "
                f"YOLOv5; got {other!r:.100}"
            )


def metrics_of(found: Resolved, settings: Any, cache: Path | None = None) -> tuple[str, ...]:
    """The names of the metrics that a trainer returns; none when it does not say.

    Raises:
        InputError: Its METRICS is wrong.
    """
    return _texts(found, METRICS, _value(found, METRICS, settings, cache), "names, as in ('accuracy',)")


def weights_of(found: Resolved, settings: Any, cache: Path | None = None) -> tuple[str, ...]:
    """The patterns, below a training's folder, of files that hold weights; none when it does not say.

    Raises:
        InputError: Its WEIGHTS is wrong.
    """
    expected = "patterns below a training's folder, as in ('train/weights/*.pt',)"
    patterns = _texts(found, WEIGHTS, _value(found, WEIGHTS, settings, cache), expected)
    if any(
        not pattern or PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts
        for pattern in patterns
    ):
        raise InputError(f"{found.module.__name__}.{WEIGHTS}: expected {expected}; got {patterns!r:.100}")
    return patterns


def fitness_of(found: Resolved, settings: Any, cache: Path | None = None) -> str:
    """The fitness that a trainer names, as an expression; empty when it names none.

    Raises:
        InputError: Its FITNESS is wrong.
    """
    source = f"{found.module.__name__}.{FITNESS}"
    match _value(found, FITNESS, settings, cache):
        case None:
            return ""
        case str() as text:
            return text
        case Mapping() as weights:
            try:
                return weighted(weights)
            except ValueError as error:
                raise InputError(f"{source}: {error}") from error
        case other:
            raise InputError(
                f"{source}: expected an expression such as 'accuracy', or weights; got {other!r:.100}"
            )


def pyfunc_of(found: Resolved, settings: Any) -> Pyfunc | None:
    """How MLflow loads the trainer's weights; None when it does not say.

    Raises:
        InputError: Its pyfunc is wrong.
    """
    said = _value(found, PYFUNC, settings, None)
    if said is None:
        return None
    try:
        return Pyfunc(**said)
    except TypeError as error:
        names = ", ".join(one.name for one in fields(Pyfunc))
        raise InputError(f"{found.module.__name__}.{PYFUNC}: expected {names}; got {said!r:.100}") from error


def _texts(found: Resolved, name: str, value: Any, expected: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise InputError(f"{found.module.__name__}.{name}: expected {expected}; got {value!r:.100}")
    return tuple(value)


def _value(found: Resolved, name: str, settings: Any, cache: Path | None) -> Any:
    """What the module says under a name, or what its function of this name returns; None for neither."""
    offered = getattr(found.module, name, None)
    if not callable(offered):
        return offered
    try:
        keeps = "cache" in signature(offered).parameters
        return offered(settings, **({"cache": cache} if keeps else {}))
    except Exception as error:
        words = str(error) if isinstance(error, ValueError | OSError) else first_line(error)
        raise InputError(f"trainer {found.name}: {name}: {words}") from error
