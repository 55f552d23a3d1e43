"""Commands are quoted for the shell that they are pasted into."""

import pytest

from hypevo.paste import pasted


@pytest.mark.parametrize(
    ("system", "line"),
    [
        ("posix", "hypevo train --hyp 'my runs/a&b.yaml' --data coco128.yaml"),
        ("nt", 'hypevo train --hyp "my runs/a&b.yaml" --data coco128.yaml'),
    ],
)
def test_words_with_blanks_are_quoted(system, line):
    words = ["hypevo", "train", "--hyp", "my runs/a&b.yaml", "--data", "coco128.yaml"]
    assert pasted(words, system) == line


def test_a_path_of_windows_needs_no_quotes():
    assert pasted(["--hyp", r"C:\runs\hyp.yaml"], "nt") == r"--hyp C:\runs\hyp.yaml"
