"""What is shown while trainings run, with a terminal and without."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys

from rich.console import Console

from hypevo.cli.progress import TerminalWatcher
from hypevo.protocol import Outcome


def _run(console: Console) -> None:
    with TerminalWatcher(console) as watcher:
        watcher.busy("caching images")
        watcher.busy("")
        watcher.opened("s", total=5, done=1, best=0.25, seconds=120.0, slots=1, epochs=3)
        watcher.started(1, name="trial 1", where="cpu", attempt=1)
        watcher.advanced(done=2, best=0.5, best_number=1)
        watcher.ended(
            1, name="trial 1", fitness=0.5, outcome=Outcome(metrics={"a": 0.5}, seconds=120.0), again=False
        )
        watcher.busy("writing exports")
        watcher.busy("")


def test_each_line_of_a_log_says_when_how_far_how_good_and_how_long_yet():
    file = io.StringIO()
    _run(Console(file=file, width=80, soft_wrap=True))
    lines = file.getvalue().splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "HH:MM:SS ", line) for line in lines] == [
        "HH:MM:SS caching images …",
        "HH:MM:SS s · resumed after 1 · 5 generations",
        "HH:MM:SS trial 1 · fitness 0.50000 · 2 min ★ best · generation 2/5 · best 0.5000 · 6 min left",
    ]


def test_a_terminal_that_cannot_draw_gets_the_log(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    file = io.StringIO()
    _run(Console(file=file, width=80, soft_wrap=True, force_terminal=True))
    assert "generation 2/5 · best 0.5000" in file.getvalue()
    assert "━" not in file.getvalue()


def test_the_bar_says_that_exports_are_written(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, soft_wrap=True)
    with TerminalWatcher(console) as watcher:
        watcher.opened("s", total=5, done=1, best=0.25, seconds=math.nan, slots=1, epochs=None)
        watcher.busy("writing exports")
        watcher._progress.refresh()
        assert "generation 1/5 · best 0.2500 · writing exports" in file.getvalue()


def test_the_first_word_is_said_before_anything_heavy_is_loaded(bare_arena):
    command = [sys.executable, "-X", "importtime", "-m", "hypevo", "evolve", "--trainer", "nowhere:train"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    said, loaded = done.stderr.index("loading Optuna and MLflow"), re.search(r"\| +optuna\b", done.stderr)
    assert loaded is not None
    assert said < loaded.start()
