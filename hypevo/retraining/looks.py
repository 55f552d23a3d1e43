"""How often the results in a confirmation's folder were looked at: each other look is another chance to be fooled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hypevo.files import write_atomically

_LOOKS = "looks.json"


def look_number(folder: Path, seeds: int, keys: Sequence[str]) -> int:
    """Which look at the results of a folder this is, counted from 1; the same one again is no new one."""
    looks = _looks(folder)
    this: list[int | str] = [seeds, *sorted(keys)]
    return (looks.index(this) if this in looks else len(looks)) + 1


def remember_look(folder: Path, seeds: int, keys: Sequence[str]) -> None:
    """Count a look."""
    looks = _looks(folder)
    this: list[int | str] = [seeds, *sorted(keys)]
    if this not in looks:
        write_atomically(folder / _LOOKS, json.dumps([*looks, this]))


def _looks(folder: Path) -> list[list[int | str]]:
    try:
        return list(json.loads((folder / _LOOKS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []
