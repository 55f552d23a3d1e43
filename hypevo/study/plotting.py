"""`hypevo plot`: the pictures of a study, or of any file of individuals."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.problem.space import load_space, yolov5_space
from hypevo.protocol import InputError
from hypevo.results.individuals import read_individuals
from hypevo.results.pictures.canvas import Drawing, save
from hypevo.results.pictures.marks import Marks
from hypevo.results.pictures.pairs import confirm_figure
from hypevo.study.exports import rows_of
from hypevo.study.pictures import CONFIRM, EVOLVE, marks_of, pictures
from hypevo.study.rescore import load_ranked
from hypevo.study.standing import standing
from hypevo.study.storage import load_plan

if TYPE_CHECKING:
    import optuna

_FILES = {".csv", ".txt", ".ndjson"}
_log = logging.getLogger(__name__)


def plot(
    source: str | None, storage: str, out: Path | None, space: Path | None, fitness: str | None
) -> list[Path]:
    """Draw everything that can be drawn of a study or a file.

    Args:
        source: A file of individuals, or the name of a study; the only study in `storage` if it is None.
        storage: Where the studies are.
        out: A folder for all pictures, or the file of evolve.png alone; beside the file, or the study's, by default.
        space: Space file that tells bounds and frozen genes of a file.
        fitness: What to rank by: the study's own, and the default fitness for a file, unless given.

    Returns:
        Where the pictures are.

    Raises:
        InputError: There is no such file or study, it holds nothing to draw, or a picture cannot be written.
    """
    path = None if source is None else Path(source)
    if path is not None and (path.suffix.lower() in _FILES or path.is_file()):
        rows = read_individuals(path, fitness or DEFAULT_FITNESS)
        genes = None if space is None else load_space(space, yolov5_space())
        return _draw(
            pictures(rows, genes, Marks.of_file(rows, path.parent.name)), out, path.parent, str(path)
        )
    if space is not None:
        raise InputError("--space: expected a csv with it; a study knows its genes")
    ranked = load_ranked(storage, source, fitness)
    for note in ranked.notes:
        _log.warning("%s", note)
    study, name = ranked.study, f"study «{ranked.study.study_name}»"
    folder = ranked.place(None)
    drawn = drawings(study)
    if CONFIRM in drawn and not out:
        of = PureWindowsPath(
            str((standing(study).verdict or {}).get("folder", ""))
        ).name  # of this or another system
        drawn[str(Path(of) / CONFIRM)] = drawn.pop(CONFIRM)
    return _draw(drawn, out, folder, name)


def drawings(study: optuna.Study) -> dict[str, Drawing]:
    """What draws each picture of a study, that of its last confirmation among them, by file name."""
    drawn = pictures(rows_of(study), load_plan(study).space, marks_of(study))
    if (verdict := standing(study).verdict) is not None:
        drawn[CONFIRM] = functools.partial(confirm_figure, verdict)
    return drawn


def _draw(drawn: Mapping[str, Drawing], out: Path | None, folder: Path, source: str) -> list[Path]:
    if out is not None and out.suffix and not out.is_dir():
        places = {EVOLVE: out}  # a file: of the most important one
    else:
        places = {name: (out or folder) / name for name in drawn}
    written = []
    for name, path in places.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path, drawn[name])
        except ValueError as error:
            if name == EVOLVE:
                raise InputError(f"{source} cannot be drawn: {error}") from error
            _log.warning("%s is not drawn: %s", name, error)
            continue
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}") from error
        written.append(path)
    return written
