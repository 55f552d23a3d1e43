"""A data.yaml: which images a dataset has, what its classes are called, and where it can be fetched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from ..printable import printable
from .download import fetched_roots
from .text import BadFileError, read_text

_MOST_BYTES = 10_000_000
_MOST_DEPTH = 5
_MOST_CLASSES = 99_999
_MOST_ENTRIES = _MOST_CLASSES + 10_000  # lines and commas: one per class, and the rest of the file
_NULL = (None, "", "~", "null", "Null", "NULL")  # how YAML writes nothing

Part = Literal["train", "val"]
SPLITS = ("val", "test")  # keys whose images can be validated


@dataclass(frozen=True)
class DataConfig:
    """A data.yaml with its paths resolved."""

    path: Path  # the data.yaml itself
    root: Path  # folder that its sources are relative to
    train: tuple[Path, ...]  # folders of images, or .txt lists of them
    val: tuple[Path, ...]  # what is validated: the sources of `split`
    names: tuple[str, ...]  # of the classes, by number
    download: str | None  # address of a zip that holds the dataset
    split: str = "val"  # the key that names the images to validate

    def missing(self) -> list[Path]:
        """Return the sources that don't exist."""
        return [source for source in (*self.train, *self.val) if not _exists(source)]


def load_data(path: Path | str, split: str = "val") -> DataConfig:
    """Read a data.yaml; `split` is the key that names the images to validate, `val` or `test`.

    Keys: `path` (root of the dataset, relative to the yaml or else to the working directory; else the
    yaml's folder), `train`, `val` (a folder, a .txt list, or a list of these, relative to the root), `names`
    (list or map) or `nc`, and optionally `test` and `download` (address of a zip). Other keys are ignored.
    A dataset that was fetched from there has its root in the user's cache.

    Raises:
        FileNotFoundError: There is no such yaml; or a source is missing and no `download` says where it is.
        ValueError: The yaml is broken or lacks a key.
    """
    path = Path(path).absolute()
    raw = _mapping(path)
    root = _root(path, raw)
    config = DataConfig(
        path=path,
        root=root,
        train=_sources(path, raw, root, "train"),
        val=_sources(path, raw, root, split),
        names=_names(path, raw),
        download=None if raw.get("download") in _NULL else str(raw["download"]),
        split=split,
    )
    missing = config.missing()
    if missing and config.download:
        for place in fetched_roots(config.download, root):
            train, val = (_sources(path, raw, place, part) for part in ("train", split))
            fetched = replace(config, root=place, train=train, val=val)
            if not fetched.missing():
                return fetched
    if missing and config.download is None:
        raise FileNotFoundError(_absence(path, missing[0], root))
    return config


def splits(path: Path | str) -> dict[str, tuple[Path, ...]]:
    """Return the sources of each key whose images a data.yaml lets be validated: `val`, and `test` where it is named.

    Raises as `load_data`, for `val`.
    """
    config = load_data(path)
    named = [key for key in SPLITS if key == "val" or _mapping(config.path).get(key) not in (*_NULL, [])]
    return {key: _sources(config.path, _mapping(config.path), config.root, key) for key in named}


def _mapping(path: Path) -> dict[str, Any]:
    """Read the yaml with every scalar as the text it was written in: a class may be called `on` or `1e3`."""
    try:
        text = read_text(path, _MOST_BYTES)
        entries = len(text.splitlines()) + text.count(",")
        if entries > _MOST_ENTRIES:  # parsing them would take a while
            raise ValueError(
                f"{printable(path)}: expected `names` of at most {_MOST_CLASSES:,} classes, "
                f"got a file of {entries:,} entries"
            )
        raw = yaml.load(text, Loader=_TextLoader)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no data.yaml at {printable(path)}; give the path of an existing one"
        ) from None
    except BadFileError as error:
        raise ValueError(f"{printable(path)}: {error}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{printable(path)} is not valid YAML: {_lines(error)}") from error
    if not isinstance(raw, dict):
        raise ValueError(
            f"{printable(path)}: expected keys `train`, `val` and `names`, got {type(raw).__name__}"
        )
    return raw


def _lines(error: Exception) -> str:
    """An error's text in the lines it has, and fit for a terminal: YAML's own errors quote the file."""
    return "\n".join(map(printable, str(error).split("\n")))


class _TextLoader(yaml.BaseLoader):
    """BaseLoader that refuses what no data.yaml needs and others are attacked with, and a key written twice."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it open
        refused = None
        if event.anchor is not None:
            refused = "references (&x, *x) are not accepted; write the value out"
        elif getattr(event, "tag", None) is not None:
            refused = "tags (!x) are not accepted; write a plain value"
        elif self._depth == _MOST_DEPTH:
            refused = f"nested deeper than {_MOST_DEPTH} levels"
        if refused:
            raise yaml.MarkedYAMLError(problem=refused, problem_mark=event.start_mark)  # type: ignore[arg-type]
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.MappingNode):
            _refuse_repeats(node)
        return node


def _refuse_repeats(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            raise yaml.MarkedYAMLError(
                problem=f"`{key.value}` stands here for the second time; keep one of them",
                problem_mark=key.start_mark,
            )
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)


def _root(path: Path, raw: dict[str, Any]) -> Path:
    entry = raw.get("path")
    if isinstance(entry, list | dict):
        raise ValueError(
            f"{printable(path)}: expected `path:` with the folder of the dataset, got {entry!r:.100}"
        )
    root = _expanded("." if entry in _NULL else str(entry))
    beside, here = path.parent / root, Path.cwd() / root
    return Path(os.path.normpath(here if _exists(here) and not _exists(beside) else beside))


def _sources(path: Path, raw: dict[str, Any], root: Path, part: str) -> tuple[Path, ...]:
    value: Any = raw.get(part)
    entries: list[Any] = value if isinstance(value, list) else [value]
    if not value or not all(isinstance(entry, str) and entry not in _NULL for entry in entries):
        raise ValueError(
            f"{printable(path)}: expected `{part}:` with a folder of images, a .txt list of them, or several; "
            f"got {value!r:.100}"
        )
    return tuple(_source(entry, root) for entry in entries)


def _source(entry: str, root: Path) -> Path:
    """Resolve one source; a `../` that leads nowhere is dropped: some exporters write one too many."""
    candidates = [root / _expanded(entry), root / entry.removeprefix("../"), Path(entry).absolute()]
    return Path(os.path.normpath(next((path for path in candidates if _exists(path)), candidates[0])))


def _expanded(entry: str) -> Path:
    """Replace `~` and `~name` by a home folder; without such a user it is a name like any other."""
    return Path(os.path.expanduser(entry))  # noqa: PTH111  # pathlib's raises where there is no such user


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # pathlib's raises where a name is too long


def _absence(path: Path, missing: Path, root: Path) -> str:
    """Say that a source is missing, and what may be wrong with how it is written."""
    text = str(missing)
    shown = printable(text)
    hint = ""
    if os.sep == "/" and "\\" in text:
        hint = "; paths are written with / here, not with \\"
    elif shown != text:
        hint = (
            "; in double quotes, YAML takes \\ and a letter for another character: use single quotes or none"
        )
    elif any(part != part.strip() for part in missing.parts):
        hint = "; a blank begins or ends a name in it"
    elif any(part.startswith("~") for part in missing.parts):
        hint = "; there is no such user whose home `~` could mean"
    return (
        f"{printable(path)} names {shown:.500}, which does not exist; "
        f"paths are relative to its `path`, here {printable(root)}{hint}"
    )


def _names(path: Path, raw: dict[str, Any]) -> tuple[str, ...]:
    names, count = (None if raw.get(key) in _NULL else raw[key] for key in ("names", "nc"))
    if count is not None and not (isinstance(count, str) and re.fullmatch("[1-9][0-9]{,4}", count)):
        raise ValueError(
            f"{printable(path)}: expected `nc:` with the number of classes, 1 to {_MOST_CLASSES}, got {count!r:.100}"
        )
    if isinstance(names, dict):
        expected = {str(number) for number in range(len(names))}
        if set(names) != expected:
            odd = sorted(set(names) - expected)[0]
            raise ValueError(
                f"{printable(path)}: `names` must number its {len(names)} classes from 0 on, got {odd!r:.100}"
            )
        names = [names[str(number)] for number in range(len(names))]
    if not names:
        if count is None:
            raise ValueError(
                f"{printable(path)}: expected `names:` with the classes, or `nc:` with their number"
            )
        names = [f"class{number}" for number in range(int(count))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{printable(path)}: expected `names:` with one text per class, got {names!r:.100}")
    if count is not None and int(count) != len(names):
        raise ValueError(f"{printable(path)}: `nc` says {count} classes, `names` holds {len(names)}")
    return tuple(map(printable, names))  # they reach terminals, tables and pages
