"""A study where the system shows no processes: Linux without /proc, in a namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

ALONE = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


def test_a_study_needs_no_proc(evolution, arena):
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("no namespace can be made here")
    command = [sys.executable, "-m", "hypevo", "evolve", "--trainer", "landscape:train", "--study", "s"]
    command += ["--device", "cpu", "--generations", "2", "--sampler", "classic"]
    done = subprocess.run([*ALONE, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(evolution.csv) == 2
