"""What is printed: nothing that a terminal obeys, and no end of the work when the terminal is gone."""

from __future__ import annotations

import contextlib
import os
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


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_a_bar_in_a_real_terminal_writes_what_it_is_told_and_ends() -> None:
    import pty

    program = (
        "import sys\n"
        "from hypevo.cli.progress import TerminalWatcher\n"
        "from hypevo.cli.terminal import messages\n"
        "with TerminalWatcher(messages()) as watcher:\n"
        "    watcher.opened('s', total=2, done=0, best=None, seconds=1.0, slots=1, epochs=None)\n"
        "    print('from a library', file=sys.stderr)\n"
        "    watcher.message('from us')\n"
    )
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal that nobody has open any more
            while piece := os.read(ours, 4096):
                shown += piece
                if len(shown) > 100_000:  # what is written comes back, for ever
                    process.kill()
    os.close(ours)
    assert process.returncode == 0
    assert b"from a library" in shown
    assert b"from us" in shown
