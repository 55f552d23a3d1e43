"""Imported once by the server process that trials are forked from: loads the trainer, so that no trial pays for it.

An error here is not reported: the trial's process meets the same one and reports it where it is seen.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys

from hypevo.trainings.local import TRAINER  # with all that a child needs first
from hypevo.trainings.resolve import resolve

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle, also while this imports

with contextlib.suppress(Exception):  # see the first lines
    importlib.import_module(
        "hypevo.cli.app"
    )  # every child runs the few lines of the driver's main script, which want it
    if sys.platform != "darwin":  # there a process that is forked after torch was loaded may crash or hang
        module = resolve(os.environ[TRAINER]).module
        for name in getattr(module, "PRELOAD", ()):
            importlib.import_module(name)
