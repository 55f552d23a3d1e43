"""The search space: which genes an individual has, their bounds, and how strongly each one mutates.

A space file holds `gene: {low: , high: , gain: }` per gene, optionally `type`, `log`, `step`, `choices` and
`default`:

    mosaic: {high: 0.5, default: 0.5}     # narrow a known gene: what is not named stays as it is
    degrees: {gain: 0}                    # freeze one
    dropout: {low: 0.0, high: 0.6, default: 0.1}     # a gene of your own, with your own trainer to read it
    depth: {low: 2, high: 8, type: int, default: 4}
    act: {choices: [relu, tanh], default: relu}     # numbers, words, or true and false

Entries change the genes that the trainer brings; new names stand after them, in the file's order. `inherit: false`
starts from an empty space instead. For a trainer that brings none, a file starts empty as well, unless it has the line
`inherit: true`: then it changes YOLOv5's genes (`presets/space.yaml`, with the values of `scratch-low` as defaults).
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.messages import did_you_mean, refuse
from hypevo.problem.gene import Gene as Gene
from hypevo.problem.gene import span
from hypevo.problem.yamlfile import describe, number, plain, read_mapping
from hypevo.protocol import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Space(Mapping[str, Gene]):
    """The genes of an individual by name, in the order in which hyp files and exports list them."""

    def __init__(self, genes: Iterable[Gene]) -> None:
        self._genes: dict[str, Gene] = {}
        for gene in genes:
            if gene.name in self._genes:
                raise ValueError(f"{gene.name}: expected one gene of this name; got two; drop one")
            self._genes[gene.name] = gene

    def __getitem__(self, name: str) -> Gene:
        return self._genes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._genes)

    def __len__(self) -> int:
        return len(self._genes)

    def __repr__(self) -> str:
        return f"Space({list(self._genes.values())!r})"

    @property
    def movable(self) -> tuple[Gene, ...]:
        """The genes the evolution may change, in the space's order."""
        return tuple(gene for gene in self._genes.values() if gene.movable)

    @property
    def gains(self) -> dict[str, float]:
        """The gain of each movable gene."""
        return {gene.name: gene.gain for gene in self.movable}

    def freeze(self, names: Iterable[str]) -> "Space":
        """Return the space with these genes frozen.

        Raises:
            InputError: A name is not one of the space's.
        """
        frozen = self._known(names)
        return Space(
            replace(gene, gain=0.0) if name in frozen else gene for name, gene in self._genes.items()
        )

    def only(self, names: Iterable[str]) -> "Space":
        """Return the space with every gene frozen but these.

        Raises:
            InputError: A name is not one of the space's, or its gene cannot move.
        """
        kept = self._known(names)
        stuck = [name for name in self if name in kept and not self[name].movable]
        if stuck:
            raise InputError(
                f"{', '.join(stuck)}: frozen in the search space; to evolve it, give it a gain above 0 and "
                f"low < high in a space file, as in «{stuck[0]}: {{gain: 1}}»"
            )
        return self.freeze(name for name in self if name not in kept)

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Return Optuna's distribution of each movable gene."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for gene in self.movable:
            if gene.choices is not None:
                found[gene.name] = CategoricalDistribution(gene.choices)
            elif gene.type == "int":
                low, high, step = int(gene.low), int(gene.high), int(gene.step or 1)
                found[gene.name] = IntDistribution(low, high, log=gene.log, step=step)
            else:
                found[gene.name] = FloatDistribution(gene.low, gene.high, log=gene.log, step=gene.step)
        return found

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return a snapshot for JSON: low, high and gain of each gene, other fields where they are set."""
        return {name: _entry(gene) for name, gene in self._genes.items()}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Mapping[str, Any]]) -> "Space":
        """Rebuild a space from `to_dict`.

        Raises:
            InputError: The entries are no such snapshot.
        """
        return read_space(entries, source="the snapshot of the search space")

    def difference(self, other: "Space") -> list[str]:
        """Say in sentences how `other`, asked for now, differs from this space; empty when it does not.

        The order of the genes counts: samplers draw their random numbers along it. Defaults do not: what a search
        begins with is the individual that was made of them.
        """
        said = [f"{name} is no longer there" for name in self if name not in other]
        said += [f"{name} is new" for name in other if name not in self]
        for name, gene in self._genes.items():
            if name in other:
                before, after = asdict(gene), asdict(other[name])
                said += [
                    f"{name}: {field} was {_shown(before[field])} and is now {_shown(after[field])}"
                    for field in before
                    if field != "default" and before[field] != after[field]
                ]
        if not said and list(self) != list(other):
            said.append(f"the order of the genes was {', '.join(self)} and is now {', '.join(other)}")
        return said

    def _known(self, names: Iterable[str]) -> set[str]:
        wanted = list(names)
        unknown = [name for name in wanted if name not in self._genes]
        if unknown:
            known = f"expected some of {', '.join(self)}"
            raise InputError(
                "\n".join(
                    f"{x}: not in the search space{did_you_mean(x, self, otherwise=known)}" for x in unknown
                )
            )
        return set(wanted)


@functools.cache
def yolov5_space() -> Space:
    """YOLOv5's genes, for its own trainers and for spaces that inherit them."""
    folder = files("hypevo.problem") / "presets"
    genes = _change({}, read_mapping(folder / "space.yaml"), source="space.yaml")
    defaults = read_mapping(folder / "scratch-low.yaml")
    return Space(replace(gene, default=gene.read(defaults[name])) for name, gene in genes.items())


def load_space(path: str | Path, brought: Space | None) -> Space:
    """Read a space file over the genes that the trainer brings, if it brings any.

    Raises:
        InputError: The file is unreadable or its entries are wrong; one message tells all problems.
    """
    entries = read_mapping(Path(path))
    inherit = entries.pop("inherit", brought is not None)
    if not isinstance(inherit, bool):
        raise InputError(f"{path}: inherit: expected true or false; got {describe(inherit)}")
    inherited = (yolov5_space() if brought is None else brought) if inherit else {}
    return _change(inherited, entries, source=str(path))


def read_space(entries: Mapping[str, Mapping[str, Any]], *, source: str) -> Space:
    """Make a space of entries as in a space file, written in Python.

    Raises:
        InputError: An entry is wrong; one message tells all problems, with `source` before each.
    """
    return _change({}, entries, source=source)


_FIELDS = tuple(field.name for field in fields(Gene) if field.name != "name")


def _change(base: Mapping[str, Gene], entries: Mapping[str, object], *, source: str) -> Space:
    """Change the genes of `base` as the entries say and add the new ones."""
    genes = dict(base)
    problems: list[str] = []
    for name, entry in entries.items():
        try:
            genes[name] = _gene(name, entry, base)
        except ValueError as error:
            problems.append(f"{source}: {error}")
    refuse(problems)
    return Space(genes.values())


def _gene(name: str, entry: object, base: Mapping[str, Gene]) -> Gene:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{name}: expected fields such as {{low: 0.1, high: 0.5}}; got {describe(entry)}")
    changes: dict[str, Any] = {}
    for field, value in entry.items():
        if field not in _FIELDS:
            known = did_you_mean(str(field), _FIELDS, otherwise=f"expected some of {', '.join(_FIELDS)}")
            raise ValueError(f"{name}: unknown field «{field}»{known}")
        try:
            changes[field] = _read(field, value)
        except ValueError as error:
            raise ValueError(f"{name}: {field}: {error}") from None
    if changes.get("choices"):
        low, high = span(changes["choices"])
        changes = {"type": "categorical", "low": low, "high": high, **changes}
    if name in base:
        return replace(base[name], **changes)
    missing = [field for field in ("low", "high") if field not in changes]
    if missing:
        raise ValueError(f"{name}: a new gene needs {' and '.join(missing)}{did_you_mean(name, base)}")
    return Gene(name, **changes)


def _read(field: str, value: object) -> object:
    """Read one field of an entry; nothing, as in `step:`, is the same as leaving an optional field out."""
    match field, value:
        case "step" | "choices" | "default", None:
            return None
        case "log", bool():
            return value
        case "log", _:
            raise ValueError(f"expected true or false; got {describe(value)}")
        case "type", str():
            return value
        case "type", _:
            raise ValueError(f"expected float, int or categorical; got {describe(value)}")
        case "choices", list() | tuple():
            return tuple(plain(choice) for choice in value)
        case "choices", _:
            raise ValueError(f"expected a list such as [16, 32] or [relu, tanh]; got {describe(value)}")
        case "default", _:
            return plain(value)
    return number(value)


def _entry(gene: Gene) -> dict[str, Any]:
    entry: dict[str, Any] = {"low": gene.low, "high": gene.high, "gain": gene.gain}
    for field in fields(Gene):
        value = getattr(gene, field.name)
        if field.name not in {"name", *entry} and value != field.default:
            entry[field.name] = list(value) if isinstance(value, tuple) else value
    return entry


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "not set" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
