"""Trainers: each turns hyperparameters into metrics by training once.

To add one, write a function with the signature of `Trainer` in any importable module and name it on the command line,
`--trainer my_package.my_module:train`; trainers/README.md does so in 20 lines. Its module may also offer:

    SPACE      its genes, in the form of a space file: {"lr": {"low": 1e-5, "high": 0.1, "default": 0.01, "log": True},
               "depth": {"low": 2, "high": 8, "type": "int", "default": 4}, "act": {"choices": ["relu", "tanh"],
               "default": "relu"}}. The text "yolov5" means YOLOv5's genes, bounds and defaults. Without SPACE a user
               has to give a --space file; a trainer whose METRICS are those of detectors gets YOLOv5's, with a warning
    METRICS    tuple of the names that `train` returns. Without it every metric that comes is taken; a fitness may then
               read only what the reports hold from the first one on
    FITNESS    what is maximised unless --fitness says otherwise: an expression of metrics, "accuracy - 0.1*loss", or
               weights, {"mAP_0.5": 0.1, "mAP_0.5:0.95": 0.9}
    WEIGHTS    tuple of patterns under `out` of files that hold weights: "train/weights/*.pt". When a training has
               ended, in whatever way, they are moved into `out`/weights, the folder to which --keep-weights applies
    Settings   frozen dataclass: the trainer's own options; `train` then takes `settings=`. A field's metadata
               {"help": …} is what `hypevo trainer NAME` lists, {"hidden": True} leaves out a field that is no
               option, {"changes_results": False} marks one that a study may change when it goes on;
               `__post_init__` raises ValueError
    PRELOAD    tuple of module names worth importing once before trainings are forked
    check      (settings, hyp, space) -> list of ("error" | "warning" | "absent" | "note", message), before any
               training; «absent» is what isn't here, would be fetched first and couldn't be checked; one with
               a parameter `cache` gets the folder that `prepare` will get, one with a parameter `device` the device
    probe      (settings, *, device) -> a line that says what the device is, after it has been tried; ValueError or
               RuntimeError says why it can't be used
    estimate   (settings, hyp, *, cache: Path, device, seconds) -> (low, high, what was timed): how many seconds a
               training will take, found out within about `seconds`; `hypevo check` says what a study will
    fetch      (settings, cache: Path, *, say) -> settings: bring what isn't here, `say` being told before each download
    prepare    (settings, cache: Path) -> settings of the trainings, once per study: what they all share
    fingerprint(settings) -> text that identifies the content of the data: a study tells when it has changed
    versions   (settings) -> versions by name of what the trainer runs, for MLflow: a commit, packages of another Python
    validate   (settings, *, device) -> metrics of the settings' weights, without training
    pyfunc     (settings) -> how MLflow loads the weights of a training: {"loader": a module with MLflow's
               `_load_pyfunc(path, model_config)`, "weights": the file in `out`/weights, "config": what the loader can
               be told and its values, "requirements": the packages it needs, "says": what `predict` takes and returns}
    splits     (settings, cache) -> {"val": "", "test": "why it can't be used"}: the values that a setting `split` may
               have, the images that are validated; `hypevo confirm` takes "test" where it can

SPACE, METRICS, FITNESS and WEIGHTS may each be a function instead, (settings) -> value or (settings, cache) -> value,
where they depend on the settings or on what is installed. It runs before any training, in a process of its own, as
`check` does; a ValueError or OSError that it raises is shown to the user. What it has left out is for `check` to say.

A `train` with a parameter `fitness` gets the function that is maximised, metrics -> number (nan for none): it may then
choose the best of its epochs by it.

A training that fails raises. FloatingPointError says that it diverged, MemoryError that memory ran out, an OSError
with ENOSPC that the disk is full. Any other exception may say itself how it failed, in an attribute `failure`: "out of
memory", "diverged", "crashed", "killed" (it is then tried again), "disk full".

Importing the module should be cheap: import heavy libraries inside the functions. The conformance tests of a
trainer are in tests/trainers/contract.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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
        self, hyp: Mapping[str, Any], *, out: Path, seed: int, device: str, report: Report
    ) -> Mapping[str, float]:
        """Return the final metrics; raise FloatingPointError when the training diverges.

        The values of `hyp` are what their genes are: float, int, or one of the choices (a number, a word, a boolean).
        """
