"""Hyp files: `gene: value` per line, the individual a training runs with.

YOLOv5 takes the same files as `--hyp`. `load_hyp` reads one as it stands; `check_hyp` makes a
complete individual.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from hypevo.messages import did_you_mean, refuse
from hypevo.problem.space import Space
from hypevo.problem.yamlfile import plain, read_mapping
from hypevo.protocol import Hyp, InputError, Value

_FOLDER = files("hypevo.problem") / "presets"

PRESETS: tuple[str, ...] = tuple(
    sorted(
        file.name.removesuffix(".yaml")
        for file in _FOLDER.iterdir()
        if file.name.endswith(".yaml") and file.name != "space.yaml"
    )
)


def load_hyp(source: str | Path) -> dict[str, Value]:
    """Read a hyp file or a preset.

    Args:
        source: A preset by name, in any case, with or without the affixes of its file name (`scratch-low`,
            `hyp.scratch-low.yaml`, `VOC`), or a path. With a `.yaml` ending, a file that exists goes before
            a preset.

    Returns:
        The values in the file's order: numbers, words, true and false. `check_hyp` says which of them fit.

    Raises:
        InputError: There is no such file or preset, or it holds something else. One message tells all problems of
            the file.
    """
    path = Path(source)
    preset = _plain(source)
    if is_preset(source):
        return _values(read_mapping(_FOLDER / f"{preset}.yaml"), source=preset)
    if not path.exists() and path.name == "hyp_confirmed.yaml":
        raise InputError(
            f"{source}: expected a file; there is none: `hypevo confirm` writes it where its verdict is «better», and "
            "`hypevo status` says what to train with"
        )
    if not path.exists():
        nearest = did_you_mean(preset, PRESETS, otherwise=f"the presets are {', '.join(PRESETS)}")
        raise InputError(f"{source}: expected a hyp file or a preset; there is neither{nearest}")
    return _values(read_mapping(path), source=str(source))


def is_preset(source: str | Path) -> bool:
    """Whether `load_hyp` takes it for a preset, whose values are those of YOLOv5's genes."""
    path = Path(source)
    return _plain(source) in PRESETS and not (path.suffix == ".yaml" and path.exists())


def check_hyp(
    hyp: Hyp, space: Space, *, searched: Iterable[str] | None = None, source: str = "hyperparameters"
) -> dict[str, Value]:
    """Complete an individual and check it against the space.

    A gene that `hyp` lacks takes the `default` of its space entry. `check_hyp({}, space)` is the default individual.

    Args:
        hyp: Values by gene, in any order.
        space: The genes an individual has, with their bounds.
        searched: The genes that a search will change; unless given, those of the space that can move. Bounds, steps
            and choices are those of a search: a value that nobody searches need not keep them. `()`: no search.
        source: What to call `hyp` in errors, its file as a rule.

    Returns:
        A value for every gene of the space, in the space's order.

    Raises:
        InputError: A name is unknown, a value is not of its gene's kind (as NaN, a word for a number, 2.5 for an
            int), a search could not propose it, or a gene has none. One message tells all problems.
    """
    problems = [
        f"{name}: not in the search space"
        + did_you_mean(name, space, otherwise="a gene of your own needs an entry in a space file")
        for name in hyp
        if name not in space
    ]
    moved = {gene.name for gene in space.movable} if searched is None else set(searched)
    individual: dict[str, Value] = {}
    for name, gene in space.items():
        absent = name not in hyp
        value = gene.default if absent else hyp[name]
        if value is None and absent:
            problems.append(f"{name}: no value; give one in a --hyp file, or a default in the search space")
            continue
        try:
            individual[name] = gene.read(value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        misfit = gene.misfit(value) if name in moved else None
        if misfit is not None:
            whose = " (the gene's default, as none is given)" if absent else ""
            remedy = f"change the value, widen the gene in a space file, or hold it with --freeze {name}"
            problems.append(f"{name}: {misfit}{whose}; {remedy}")
    refuse([f"{source}: {problem}" for problem in problems])
    return individual


def read_individual(
    source: str, space: Space, *, trainer: str, searched: Iterable[str] | None = None
) -> dict[str, Value]:
    """Read a hyp file or a preset as a complete individual.

    Args:
        source: As `load_hyp` takes it.
        space: The genes.
        trainer: Whose genes they are, for errors.
        searched: As `check_hyp` takes it.

    Raises:
        InputError: As both of them, or the preset is for other genes.
    """
    hyp = load_hyp(source)
    if is_preset(source) and not hyp.keys() <= set(space):
        raise InputError(
            f"--hyp {source}: it is for YOLOv5's genes; those of {trainer} are {', '.join(space)}; "
            f"expected a file with their values, or nothing for their defaults"
        )
    return check_hyp(hyp, space, searched=searched, source=source)


def _plain(source: str | Path) -> str:
    return str(source).lower().removeprefix("hyp.").removesuffix(".yaml")


def _values(entries: Mapping[str, object], *, source: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    problems: list[str] = []
    for name, value in entries.items():
        try:
            values[name] = plain(value)
        except ValueError as error:
            problems.append(f"{source}: {name}: {error}")
    refuse(problems)
    return values
