"""What a checkout says of itself, of the network and of the data: asked in its own process, by its own functions."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...checkout import ask_checkout, commit
from ...digits import write_digits
from ...interpreter import PATIENCE, versions
from ..found import SAID, Found, here
from .settings import EMBEDDED

if TYPE_CHECKING:
    from .settings import Settings


def look(settings: Settings, cache: Path | None, *, fetch: bool = False) -> Found:
    """Ask the checkout about these settings.

    Args:
        settings: The options.
        cache: Folder for the embedded dataset.
        fetch: Whether it may fetch weights and data that are not here.

    Raises:
        ValueError: Its `train.py` cannot be imported by its Python.
    """
    data = settings.source or settings.data
    if data == EMBEDDED:
        data = _rooted(write_digits((cache or Path("runs/cache")).absolute() / EMBEDDED))
    question = {
        "data": here(data),
        "weights": here(settings.weights),
        "model": here(settings.model),
        "fetch": fetch,
    }
    if fetch:
        wanted = f"{settings.weights} {settings.data}".strip()
        print(f"the checkout {settings.folder} fetches what is not here of: {wanted}", file=sys.stderr)
    return _look(settings.folder, settings.python, tuple(question.items()))


def versions_of(settings: Settings) -> dict[str, str]:
    """The commit of the checkout, and the versions of the packages that decide results."""
    revision = commit(settings.folder)
    found = versions(settings.python, ("torch", "torchvision", "numpy"))
    return {"yolov5": revision, **found} if revision else found


@lru_cache(maxsize=4)  # check and prepare may ask the same
def _look(folder: Path, python: str, question: tuple[tuple[str, object], ...]) -> Found:
    asked = dict(question)
    patience = None if asked["fetch"] else PATIENCE
    return Found(**ask_checkout(folder, python, _QUESTIONS, asked, patience=patience))


def _rooted(data: Path) -> str:
    """A data.yaml beside the embedded dataset's own that names its folder: without, paths start at the checkout."""
    path = data.with_name("yolov5.yaml")
    text = f"path: {data.parent.as_posix()}\n{data.read_text(encoding='utf-8')}"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return str(path)


_QUESTIONS = (
    SAID
    + """
import pathlib
import yaml
import train
from utils.general import check_dataset, check_file, check_yaml

found = {
    "data": {}, "data_problem": "", "downloads": False, "start": "", "network_problem": "",
}
try:
    if question["model"]:
        from models.yolo import Model
        Model(check_yaml(question["model"]))
    weights = question["weights"]
    if weights:
        if question["fetch"] and not pathlib.Path(weights).is_file():
            from utils.downloads import attempt_download
            attempt_download(weights)
        if pathlib.Path(weights).is_file():
            from models.experimental import attempt_load
            try:
                attempt_load(weights, device="cpu", fuse=False)
            except AttributeError as error:  # a file of tensors
                raise ValueError("%s holds no network that YOLOv5 can load (%s); `hypevo export --format yolov5 "
                                 "--weights` makes one of hypevo's" % (weights, error))
            found["start"] = str(pathlib.Path(weights).absolute())
except (Exception, SystemExit) as error:
    found["network_problem"] = said(error)
try:
    path = check_file(question["data"])
    try:
        found["data"] = check_dataset(path, autodownload=question["fetch"])
    except Exception:
        with open(path, encoding="utf-8") as file:
            written = yaml.safe_load(file)
        found["downloads"] = bool(written.get("download"))
        root = pathlib.Path.cwd() / (written.get("path") or "")  # the checkout's folder
        missing = [root / written[part] for part in ("train", "val") if isinstance(written.get(part), str)]
        missing = [place for place in missing if not place.exists()]
        if missing:
            raise FileNotFoundError("%s does not exist (relative paths start at the checkout)" % missing[0])
        raise
except (Exception, SystemExit) as error:
    found["data_problem"] = said(error)
answer(found)
"""
)
