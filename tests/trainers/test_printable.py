from __future__ import annotations

import unicodedata

import pytest

from trainers.printable import printable


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\x1b]52;c;bHM=\x07.jpg", r"a\x1b]52;c;bHM=\x07.jpg"),  # writes the clipboard
        ("a\x9b31m.jpg", r"a\x9b31m.jpg"),  # the same as ESC [ to some terminals
        ("a\nerror: b\r", r"a\nerror: b\r"),
        ("a\x85b\u2028c", r"a\x85b\u2028c"),  # line ends too
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("a\u2066b\u200bc\ufeff", r"a\u2066b\u200bc\ufeff"),
        ("a\udc9b.jpg", r"a\udc9b.jpg"),  # a byte of a file name that is no Unicode
        ("\U000e0041", r"\U000e0041"),
        ("straße 日本語 देवनागरी 🚲 C:\\new\\table", "straße 日本語 देवनागरी 🚲 C:\\new\\table"),
        ("日本\u3000語\u00a0x", "日本\u3000語\u00a0x"),
    ],
)
def test_only_what_a_terminal_would_obey_or_hide_is_escaped(text, told):
    assert printable(text) == told


def test_no_control_or_format_character_remains():
    every = "".join(map(chr, range(0x110000)))
    kinds = {unicodedata.category(character) for character in printable(every)}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
