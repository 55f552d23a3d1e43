"""Addresses may carry a password; what is shown or recorded must not."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s/]*@")


def hidden(text: str) -> str:
    """The text with `***` for the password of each address in it, as in `postgresql://user:***@host/name`."""
    return _PASSWORD.sub(r"\1***@", text)
