"""What people read: errors in one message, the nearest known name, an exception in one line, no secrets."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from hypevo.protocol import InputError

MAX_PROBLEMS = 20  # that one message lists
_NEAR = 0.5  # similarity from which a name is suggested; a ratio from 0 to 1

# The name of a secret in a query; the key of MLflow's shared views is none.
_KEY = (
    r"(?!viewStateShareKey=)(?=[^=&?;\s]{0,40}?(?:pass|pwd|token|secret|key|auth|sig|cred))[^=&?;\s]{1,60}="
)
_QUERY = re.compile(rf"([?&;]{_KEY})[^&\s]*", re.IGNORECASE)
_ASSIGNED = re.compile(r"(\b(?:password|passwd|pwd|token|secret)=)(?:'[^']*'|[^\s&]+)", re.IGNORECASE)
_USER = re.compile(r"(\w://)(?:[^\s:/@\[]*:(?!\d{1,5}(?:[/?#\s]|$))(?:(?!://)\S)*@|[^\s/]*@)")
_ADDRESS = re.compile(
    r"(?:--[\w-]+=)?[a-zA-Z][\w+.-]*://[^\n]*"
)  # a whole text; perhaps as an option's value
_LONGEST_QUERY = re.compile(rf"([?&;]{_KEY})([^&]*)", re.IGNORECASE)
_LONGEST_USER = re.compile(r"(://)(.*)@")
_SECRET_VARIABLE = re.compile("(?:PASSWORD|PASSWD|TOKEN|SECRET|API_?KEY|ACCESS_KEY)$")
_LONG = (
    6  # characters from which a secret is looked for by itself: shorter ones are words, and parts of words
)
_TOKEN = 16  # characters from which a user's name may be a token


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
    """The text with `***` in the place of what should stay secret: `postgresql://***@host/name?token=***`.

    That is what stands before the host of an address (a token may be the user's name), what its `?password=` and the
    like say, and what this process was given as such, in its command line or its environment, wherever and however
    quoted it turns up: passwords there may hold `/`, `@` and blanks, by which no address in a sentence is told apart.
    """
    spans = sorted(match.span() for secret in _given_secrets() for match in secret.finditer(text))
    for begin, end in reversed(_merged(spans)):
        text = f"{text[:begin]}***{text[end:]}"
    if _ADDRESS.fullmatch(text) and text.count("://") == 1:
        return _in_address(text)
    return _USER.sub(r"\1***@", _ASSIGNED.sub(r"\1***", _QUERY.sub(r"\1***", text)))


def _in_address(address: str) -> str:
    """The same for a text that is one address, in which a blank or a slash ends no password."""
    return _LONGEST_USER.sub(r"\1***@", _LONGEST_QUERY.sub(r"\1***", address))


def _given_secrets() -> list[re.Pattern[str]]:
    """What finds the secrets of this process again, in every form; one may hold another, or a part of it."""
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    for word in (*sys.argv, *os.environ.values()):
        address = word.partition("=")[2] if word.startswith("-") else word
        if "://" in address and _ADDRESS.fullmatch(address):
            found |= {match[2] for match in _LONGEST_QUERY.finditer(address)}
            for match in _LONGEST_USER.finditer(address):
                user, colon, password = match[2].partition(":")
                found |= {password} | ({user} if len(user) >= _TOKEN else set())
                found |= {match[2]} if colon else set()
    forms = {
        form
        for secret in found
        if len(secret) >= _LONG and not secret.replace(".", "").isdecimal()
        for form in (secret, unquote(secret), quote(secret, ""), quote(secret), quote(secret, " +"), quote_plus(secret),
                     repr(secret)[1:-1], json.dumps(secret)[1:-1], shlex.quote(secret)[1:-1])
    }  # fmt: skip
    return [
        re.compile(rf"(?:(?<!\w)|(?<=%[0-9A-F]{{2}})){re.escape(form)}(?!\w)", re.IGNORECASE)
        for form in forms
        if form
    ]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def literal(text: str) -> str:
    """Text as Markdown shows it letter for letter: it may be a program's, or a stranger's."""
    return textwrap.indent(text, "    ", lambda _: True)


def inline(text: str) -> str:
    """Text for the middle of a sentence in Markdown, with nothing in it that Markdown reads as its own."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", text)


def of_hundred(share: float) -> str:
    """How many of 100 a share is, in words where rounding would make it none or all of them."""
    count = round(100 * share)
    return "fewer than 1" if count == 0 else "more than 99" if count == 100 else str(count)
