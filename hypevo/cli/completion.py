"""What the shell offers on Tab: names of studies, presets, genes, trainers, and the trainer's own options.

Asked at each press of a key, so nothing heavy is loaded and no server is asked: names of studies are read from a
journal or an SQLite file as they stand there.
"""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from hypevo.cli.foreign import CHECKOUT, ULTRALYTICS
from hypevo.problem.options import Option
from hypevo.problem.settings import Stored
from hypevo.protocol import InputError

TRAINER = "hypevo.trainer"  # key of a context's `meta`: the trainer as it was typed
_TRAINERS = ("yolov5", ULTRALYTICS, CHECKOUT, "trainers.external.command:train")


def completer(one: Option) -> Callable[..., list[str]] | None:
    """What completes the value of an option, or an argument; None where the shell completes file names."""
    values = _VALUES.get(one.field)
    if values is None and not one.choices:
        return None

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        done, comma, begun = incomplete.rpartition(",") if one.field in _LISTS else ("", "", incomplete)
        offered = one.choices if values is None else values(ctx)
        return [f"{done}{comma}{word}" for word in offered if word.startswith(begun)]

    return complete


def options_to_pass_on(trainer: str | None) -> list[Option]:
    """The options of a trainer; none of one that cannot be imported."""
    if not trainer:
        return []
    from hypevo.trainings.resolve import resolve

    with contextlib.suppress(InputError), _silence():
        return resolve(trainer).options
    return []


def study_names(storage: str) -> list[str]:
    """The names of the studies in a journal or an SQLite file; none where a server would have to be asked."""
    scheme, is_url, rest = storage.partition("://")
    with contextlib.suppress(OSError, ValueError, sqlite3.Error):
        if not is_url:
            return _in_journal(Path(storage))
        if scheme.startswith("sqlite"):
            file = Path(rest.removeprefix("/").partition("?")[0]).resolve()
            with contextlib.closing(
                sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1)
            ) as database:
                return [name for (name,) in database.execute("SELECT study_name FROM studies")]
    return []


def _in_journal(path: Path) -> list[str]:
    """Replay what creates (operation 0) and deletes (1) studies, which are numbered as they come."""
    names: dict[int, str] = {}
    following = 0
    with path.open("rb") as file:
        for line in file:
            if not line.startswith((b'{"op_code":0,', b'{"op_code":1,')):
                continue
            with contextlib.suppress(ValueError, KeyError):
                log = json.loads(line)
                if log["op_code"] == 1:
                    names.pop(log["study_id"], None)
                elif log["study_name"] not in names.values():
                    names[following] = log["study_name"]
                    following += 1
    return list(names.values())


def _studies(ctx: typer.Context) -> list[str]:
    return study_names(ctx.params.get("storage") or Stored().storage)


def _presets(_: typer.Context) -> Iterable[str]:
    from hypevo.problem.hyp import PRESETS

    return PRESETS


def _genes(ctx: typer.Context) -> list[str]:
    """Those that a trainer names without being asked about its options: no other program is started here."""
    from hypevo.problem.space import yolov5_space
    from hypevo.trainings.resolve import resolve

    with contextlib.suppress(InputError), _silence():
        space = getattr(resolve(ctx.meta.get(TRAINER) or "yolov5").module, "SPACE", None)
        if space == "yolov5":
            return list(yolov5_space())
        if isinstance(space, Mapping):
            return list(space)
    return []


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    """What a module prints when it is imported is no completion."""
    return contextlib.redirect_stdout(io.StringIO())


_LISTS = ("freeze", "only")
_VALUES: dict[str, Callable[[Any], Iterable[str]]] = {
    **dict.fromkeys(("study", "from_study", "rescore", "source"), _studies),
    **dict.fromkeys(_LISTS, _genes),
    "hyp": _presets,
    "trainer": lambda _: _TRAINERS,
}
