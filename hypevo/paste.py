"""Commands as they are pasted into a shell: quoted for the one that is likely here."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence


def pasted(words: Sequence[str], system: str = os.name) -> str:
    """The command in a line.

    Args:
        words: The command.
        system: As `os.name` has it. Windows' cmd and PowerShell both take double quotes, and no single ones.
    """
    if system != "nt":
        return shlex.join(words)
    return " ".join(word if re.fullmatch(r"[\w./\\:+=*-]+", word) else f'"{word}"' for word in words)
