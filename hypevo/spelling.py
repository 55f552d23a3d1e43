"""Suggest the known name nearest to a mistyped one."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """End an error about an unknown name.

    Returns:
        "; did you mean 'lr0'?" with the nearest known name, whatever the case (the first of equally near
        ones); when none is near, `otherwise` after a semicolon.
    """
    nearness = {other: SequenceMatcher(None, name.lower(), other.lower()).ratio() for other in known}
    nearest = max(nearness, key=nearness.__getitem__, default="")
    if nearness.get(nearest, 0.0) >= 0.5:
        return f"; did you mean {nearest!r}?"
    return f"; {otherwise}" if otherwise else ""
