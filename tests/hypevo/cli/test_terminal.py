"""What is printed: nothing that a terminal obeys, and no end of the work when the terminal is gone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hypevo.messages import printable, printable_lines

EVOLVE = [
    sys.executable,
    "-m",
    "hypevo",
    "evolve",
    "--trainer",
    "landscape:train",
    "--study",
    "s",
    "--device",
    "cpu",
]
EVOLVE += ["--stagger", "0", "--generations", "2", "--sampler", "classic"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;bHM=\x07", "\\x1b]52;c;bHM=\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202egnp", "a\\u202egnp"),
        ("\ud800", "\\ud800"),
        ("café «x» 図 e\u0301", "café «x» 図 e\u0301"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text, shown):
    assert printable(text) == shown


def test_lines_stay_lines():
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | head -1"])
def test_a_study_outlives_its_terminal(evolution, arena, closed):
    command = " ".join(EVOLVE)
    pipe = "set -o pipefail; " if "|" in closed else ""
    done = subprocess.run(["bash", "-c", f"{pipe}{command} {closed}"], stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert len(evolution.csv) == 2
    assert evolution.parent.info.status == "FINISHED"


def test_a_trainer_s_error_reaches_no_terminal_as_it_is(arena):
    (arena / "loud.py").write_text(
        "SPACE, METRICS = 'yolov5', ('a',)\n"
        "def train(hyp, *, out, seed, device, report):\n    raise ValueError('\\x1b]52;c;bHM=\\x07')\n"
    )
    command = [*EVOLVE[:3], "train", "--trainer", "loud:train", "--fitness", "a", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "\\x1b]52;c;bHM=\\x07" in done.stderr
    assert "\x1b" not in done.stderr
