"""Text from a stranger's file, fit for a terminal: file names, class names, names in a pickle."""

from __future__ import annotations


def printable(text: object) -> str:
    r"""Return the text with everything that a terminal would obey, hide or turn around written as an escape.

    That is control characters (line ends and the C1 range too), marks of direction and of no width, and bytes of a
    file name that are no Unicode. Letters, signs and blanks of all scripts stay as they are, and so does a backslash:
    it separates folders on Windows.

        >>> printable("photo\x1b]52;c;bHM=\x07.jpg")
        'photo\\x1b]52;c;bHM=\\x07.jpg'
    """
    return "".join(c if c.isprintable() or c in _BLANKS else _escape(c) for c in str(text))


_BLANKS = "\u00a0\u3000"  # common in names, harmless, and not «printable» to Python


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
