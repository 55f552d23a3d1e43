"""A command line with places, `python train.py --lr {lr} --out {out}`, and what is put into them."""

from __future__ import annotations

import os
import re
import shlex
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = float | int | str | bool

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def words_of(text: str, *, windows: bool = os.name == "nt") -> list[str]:
    """The words of a command line as a shell would take them; a backslash is part of a path on Windows.

    Raises:
        ValueError: A quote is not closed.
    """
    try:
        words = shlex.split(text, posix=not windows)
    except ValueError as error:
        raise ValueError(f"{printable(text)}: {str(error).lower()}; expected quotes in pairs") from error
    return [_unquoted(word) for word in words] if windows else words


def places_of(words: list[str]) -> list[str]:
    """The names of the places, in order. `{{` and `}}` are braces, not places.

    Raises:
        ValueError: A brace stands alone.
    """
    names = []
    for word in words:
        for found in _PLACE.finditer(word):
            if found[0] in ("{", "}"):
                raise ValueError(
                    f"{printable(word)}: expected braces in pairs; write {found[0] * 2} for one that is meant"
                )
            if found[1] is not None:
                names.append(found[1])
    return list(dict.fromkeys(names))


def filled(words: list[str], values: Mapping[str, Value | os.PathLike[str]]) -> list[str]:
    """The words with a value in each place; a word of the command line stays one word, blanks or not.

    Args:
        words: Of the command line.
        values: By the place's name; true and false are written so, numbers with all their digits.

    Raises:
        ValueError: There is no value for a place.
    """
    unknown = [name for name in places_of(words) if name not in values]
    if unknown:
        raise ValueError(
            f"no value for the place {{{printable(unknown[0])}}}{nearest(unknown[0], list(values))}"
        )

    def put(found: re.Match[str]) -> str:
        return found[0][0] if found[1] is None else shown(values[found[1]])

    return [_PLACE.sub(put, word) for word in words]


def shown(value: Value | os.PathLike[str]) -> str:
    """A value as a word of a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def nearest(name: str, known: list[str]) -> str:
    """End an error about an unknown place."""
    near = get_close_matches(name, known, 1)
    return (
        f"; did you mean {{{near[0]}}}?" if near else f"; there are {' '.join(f'{{{one}}}' for one in known)}"
    )


def _unquoted(word: str) -> str:
    quoted = len(word) > 1 and word[0] == word[-1] and word[0] in "'\""
    return word[1:-1] if quoted else word
