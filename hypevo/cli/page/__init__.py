"""The page of `hypevo report`: a template, its style and its script, which become one file that asks for no other.

Whatever is shown is a stranger's text until it is masked and escaped, and that happens here to every value. Should
one slip through all the same, the page's own policy lets nothing run but this script, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from hypevo.messages import hidden, printable_lines
from hypevo.protocol import Value


def render(**content: Any) -> str:
    """The text of the page.

    Args:
        content: What the template names.
    """
    style, script = _read("report.css"), _read("report.js")
    genes = len(content["columns"]) - content["genes"] + 1
    style += f"@media print {{ #trials tr > :nth-child(n+{genes}) {{ display: none; }} }}\n"
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "fitness": lambda value: f"{value:.5f}",
        "gain": lambda value: f"{value:+.5f}",
        "percent": lambda value: f"{value:.0%}",
        "cell": _cell,
        "base64": lambda content: Markup(base64.b64encode(content).decode()),
    }
    return environment.from_string(_read("report.html")).render(
        {**content, "style": Markup(style), "script": Markup(script), "policy": policy}
    )


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a policy names a style or a script that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _cell(value: Value | None) -> str | Markup:
    """A value of a table: numbers short, and known to hold no secret."""
    if value is None:
        return Markup("")
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else Markup(f"{value:.6g}")  # a number


def _shown(value: Any) -> Any:
    """A value as it may be shown: without secrets, without what is no text. Jinja escapes it afterwards."""
    return value if isinstance(value, Markup) else _masked(str(value))


@lru_cache(maxsize=4096)
def _masked(text: str) -> str:
    return printable_lines(hidden(text))
