"""How often the results in a confirmation's folder were looked at: each other look is another chance to be fooled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hypevo.files import write_atomically
from hypevo.protocol import InputError

_LOOKS = "looks.json"


def look_number(folder: Path, seeds: int, keys: Sequence[str]) -> int:
    """Which look at the results of a folder this is, counted from 1; the same one again is no new one."""
    looks = _looks(folder)
    this = (seeds, *sorted(keys))
    return (looks.index(this) if this in looks else len(looks)) + 1


def remember_look(folder: Path, seeds: int, keys: Sequence[str]) -> None:
    """Count a look."""
    looks = _looks(folder)
    this = (seeds, *sorted(keys))
    if this not in looks:
        write_atomically(folder / _LOOKS, json.dumps([*looks, this]))


def seeds_looked_at(folder: Path, keys: Sequence[str]) -> int:
    """The most seeds that a look at exactly these candidates had; 0 for none."""
    return max((seeds for seeds, *of in _looks(folder) if of == sorted(keys)), default=0)


def _looks(folder: Path) -> list[tuple[int, *tuple[str, ...]]]:
    path = folder / _LOOKS
    try:
        looks = json.loads(path.read_text(encoding="utf-8"))
        return [(int(seeds), *map(str, keys)) for seeds, *keys in looks]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected the looks at the trainings beside it ({error}); put it back from a copy, or write "
            f"a [0] into it for each different verdict on them that was read: [[0], [0]] for two"
        ) from error
