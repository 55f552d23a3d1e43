"""Command lines with places."""

from __future__ import annotations

import pytest

from trainers.external.places import filled, places_of, words_of


def test_a_value_stays_one_word_and_braces_may_be_meant():
    words = words_of("""python "my train.py" --set 'lr={lr}' --json '{{"act": "{act}"}}' {out}/x""")
    assert places_of(words) == ["lr", "act", "out"]
    assert filled(words, {"lr": 1e-05, "act": "re lu", "out": "/a b"}) == [
        "python",
        "my train.py",
        "--set",
        "lr=1e-05",
        "--json",
        '{"act": "re lu"}',
        "/a b/x",
    ]


def test_what_stands_in_a_value_is_no_place():
    assert filled(["{a}"], {"a": "{b}", "b": 1}) == ["{b}"]


def test_a_place_without_a_value_names_the_nearest():
    with pytest.raises(ValueError, match=r"\{layer\}; did you mean \{layers\}\?"):
        filled(["{layer}"], {"layers": 1})


def test_backslashes_are_parts_of_paths_on_windows():
    line = r'C:\Python\python.exe "C:\my work\train.py" --lr {lr}'
    assert words_of(line, windows=True) == [r"C:\Python\python.exe", r"C:\my work\train.py", "--lr", "{lr}"]
