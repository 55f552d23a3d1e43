"""What the server that trainings are forked from has loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SERVER = """
import sys
import hypevo.trainings.local
sys.platform = {platform!r}
import hypevo.trainings.preload
print("torch" in sys.modules, "hypevo.cli.app" in sys.modules)
"""


@pytest.mark.parametrize(("platform", "loaded"), [("linux", "True True"), ("darwin", "False True")])
def test_torch_is_loaded_before_a_fork_except_on_macos(platform, loaded):
    environ = os.environ | {"HYPEVO_PRELOAD_TRAINER": "trainers.yolov5:train"}
    server = [sys.executable, "-c", SERVER.format(platform=platform)]
    done = subprocess.run(server, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded
