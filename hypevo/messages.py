"""What people read: errors in one message, the nearest known name, an exception in one line, no passwords."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from hypevo.protocol import InputError

MAX_PROBLEMS = 20  # that one message lists
_NEAR = 0.5  # similarity from which a name is suggested; a ratio from 0 to 1

_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s/]*@")


def refuse(problems: Sequence[str]) -> None:
    """Raise all problems in one message, or the first of very many; nothing when there are none.

    Raises:
        InputError: There are problems.
    """
    if problems:
        more = len(problems) - MAX_PROBLEMS
        lines = [*problems[:MAX_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise InputError(lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines))


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """End an error about an unknown name.

    Returns:
        "; did you mean «lr0»?" with the nearest known name, whatever the case (the first of equally near
        ones); when none is near, `otherwise` after a semicolon.
    """
    nearest = nearest_name(name, known)
    if nearest is not None:
        return f"; did you mean «{nearest}»?"
    return f"; {otherwise}" if otherwise else ""


def nearest_name(name: str, known: Iterable[str], *, at_least: float = _NEAR) -> str | None:
    """The known name most similar to `name`, whatever the case; None when none is similar enough.

    Args:
        name: What was typed.
        known: What could have been meant.
        at_least: Similarity from which a name counts, from 0 (nothing in common) to 1 (the same).
    """
    similarity = {other: SequenceMatcher(None, name.lower(), other.lower()).ratio() for other in known}
    nearest = max(similarity, key=similarity.__getitem__, default=None)
    return nearest if nearest is not None and similarity[nearest] >= at_least else None


def first_line(error: BaseException, most: int = 500) -> str:
    """The type of an exception and the first line of its message, cut after `most` characters."""
    return f"{type(error).__name__}: {error}".strip().split("\n")[0][:most]


def place(error: BaseException) -> str:
    """File and line that raised it, in brackets behind a space; empty when they are not known."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    return f" ({Path(frame[0].filename).name}:{frame[0].lineno})" if frame else ""


def printable(text: str) -> str:
    r"""The text with an escape, as `\x1b`, for each character that a terminal obeys, and for broken ones.

    Names and messages come from strangers' files, and some terminals write the clipboard or hide text on request. The
    room `trainers` has its own such function: neither may import the other.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )


def printable_lines(text: str) -> str:
    """The same, line by line."""
    return "\n".join(map(printable, text.split("\n")))


def hidden(text: str) -> str:
    """The text with `***` for the password of each address in it, as in `postgresql://user:***@host/name`."""
    return _PASSWORD.sub(r"\1***@", text)
