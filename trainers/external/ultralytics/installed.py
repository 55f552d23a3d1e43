"""What the installed Ultralytics says of itself, of the network and of the data: asked in its own process.

Its settings file is the user's here, since it says where datasets and weights lie; trainings get one of their own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...interpreter import ask
from ..found import SAID, Found, here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

QUIET = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}  # nothing is installed, nothing is fetched


@dataclass(frozen=True)
class Installed(Found):
    """What was answered, of the version too.

    Attributes:
        version: Of ultralytics.
        defaults: Its own configuration.
    """

    version: str
    defaults: Mapping[str, Any]


def look(settings: Settings, data: str, *, fetch: bool = False) -> Installed:
    """Ask the installed version about these settings.

    Args:
        settings: The options.
        data: The data.yaml or the folder, instead of that of the settings.
        fetch: Whether it may fetch weights and data that are not here.

    Raises:
        ValueError: There is no such environment, or Ultralytics cannot be imported in it.
    """
    if fetch:
        wanted = f"{settings.weights} {settings.data}".strip()
        print(f"Ultralytics fetches what is not here of: {wanted}", file=sys.stderr)
    return _look(settings.interpreter, settings.task, settings.model, settings.weights, data, fetch)


@lru_cache(maxsize=4)  # the space, the check and its findings ask within one process
def _look(python: str, task: str, model: str, weights: str, data: str, fetch: bool) -> Installed:
    question = {
        "task": task,
        "model": here(model),
        "weights": here(weights),
        "data": here(data),
        "fetch": fetch,
    }
    try:
        if fetch:
            return Installed(**ask(python, _QUESTIONS, question, variables=_FETCHING, patience=None))
        return Installed(**ask(python, _QUESTIONS, question, variables=QUIET))
    except ValueError as error:
        raise ValueError(f"ultralytics: {error}") from None


_FETCHING = {"YOLO_AUTOINSTALL": "false"}
_QUESTIONS = (
    SAID
    + """
import pathlib
import ultralytics
from ultralytics.utils import DEFAULT_CFG_DICT, SETTINGS

found = {
    "version": ultralytics.__version__,
    "defaults": DEFAULT_CFG_DICT,
    "data": {}, "data_problem": "", "downloads": False, "start": "", "network_problem": "",
}
weights = question["weights"]
if weights:
    places = [pathlib.Path(weights), pathlib.Path(SETTINGS.get("weights_dir", ".")) / weights]
    there = [place for place in places if place.is_file()]
    found["start"] = str(there[0].absolute()) if there else ""
try:
    if question["model"]:
        ultralytics.YOLO(question["model"], task=question["task"])
    if found["start"] or (weights and question["fetch"]):
        network = ultralytics.YOLO(found["start"] or weights)
        found["start"] = str(pathlib.Path(network.ckpt_path).absolute())
        if network.task != question["task"]:
            raise ValueError("%s is a network for the task %s" % (weights, network.task))
except (Exception, SystemExit) as error:
    found["network_problem"] = said(error)
data = question["data"]
try:
    if question["task"] == "classify":
        if not pathlib.Path(data).is_dir():
            raise ValueError("expected a folder with the folders train and val, got %s" % data)
    else:
        from ultralytics.data.utils import check_det_dataset
        try:
            found["data"] = check_det_dataset(data, autodownload=question["fetch"])
        except Exception:
            import yaml
            from ultralytics.utils.checks import check_file
            written = yaml.safe_load(pathlib.Path(check_file(data, download=False)).read_text(encoding="utf-8"))
            found["downloads"] = bool(written.get("download"))
            raise
except (Exception, SystemExit) as error:
    found["data_problem"] = said(error)
answer(found)
"""
)
