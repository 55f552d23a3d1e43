"""Imported once by the server process that trials are forked from: loads the trainer, so that no trial pays for it.

An error here is not reported: the trial's process meets the same one and reports it where it is seen.
"""

from __future__ import annotations

import contextlib
import importlib
import os

from hypevo.resolve import resolve

VARIABLE = "HYPEVO_PRELOAD_TRAINER"

with contextlib.suppress(Exception):  # see the first lines
    module = resolve(os.environ[VARIABLE]).module
    for name in getattr(module, "PRELOAD", ()):
        importlib.import_module(name)
