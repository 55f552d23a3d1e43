"""Trainers: each turns hyperparameters into metrics by training once.

To add one, write a function with the signature of `Trainer` in any importable module and name it on the
command line, `--trainer my_package.my_module:train`. Its module may also offer:

    Settings   frozen dataclass: the trainer's own options; `train` then takes `settings=`. A field's metadata
               {"help": …} is what `hypevo trainer NAME` lists, {"hidden": True} leaves out a field that is no
               option, {"changes_results": False} marks one that a study may change when it goes on;
               `__post_init__` raises ValueError
    METRICS    tuple of the names that `train` returns
    PRELOAD    tuple of module names worth importing once before trainings are forked
    check      (settings, hyp, space) -> list of ("error" | "warning" | "absent" | "note", message), before any
               training; «absent» is what isn't here, would be fetched first and couldn't be checked; one with
               a parameter `cache` gets the folder that `prepare` will get, one with a parameter `device` the device
    probe      (settings, *, device) -> a line that says what the device is, after it has been tried; ValueError or
               RuntimeError says why it can't be used
    fetch      (settings, cache: Path, *, say) -> settings: bring what isn't here, `say` being told before each download
    prepare    (settings, cache: Path) -> settings of the trainings, once per study: what they all share
    fingerprint(settings) -> text that identifies the content of the data: a study tells when it has changed
    validate   (settings, *, device) -> metrics of the settings' weights, without training

Importing the module should be cheap: import heavy libraries inside the functions. The conformance tests of a
trainer are in tests/trainers/contract.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Report(Protocol):
    """Takes the metrics so far after each epoch; what it raises ends the training and passes through."""

    def __call__(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Take the metrics of the 0-based epoch `step`."""


class Trainer(Protocol):
    """Trains once with `hyp` on one device, writes files only under `out`, returns the final metrics."""

    def __call__(
        self, hyp: Mapping[str, float], *, out: Path, seed: int, device: str, report: Report
    ) -> Mapping[str, float]:
        """Return the final metrics; raise FloatingPointError when the training diverges."""
