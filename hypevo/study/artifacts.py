"""The pictures of a study and of its trials in optuna-dashboard, by Optuna's artifact store in the study's folder.

A picture has the same number there at every call, so that a newer one takes the place of the older, and a study that is
resumed shows none twice. It takes no room of its own where the file system has hard links.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mimetypes
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from hypevo.files import replace
from hypevo.protocol import InputError
from hypevo.study.opening import IDENTITY, study_folder
from hypevo.trainings.record import WEIGHTS

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import Trial

FOLDER = "artifacts"  # in a study's folder
UPLOADS = Path("mlruns") / "uploads"  # what a user gives optuna-dashboard, which does not say for which study
MOST, LARGEST = 12, 2 * 2**20  # pictures of a trial, and the bytes of one

_KEY = "artifacts:"  # of a system attribute, as Optuna has it
_SUFFIXES = {".gif", ".jpeg", ".jpg", ".png", ".webp"}
_TELLING = re.compile(r"batch|val_|pr_?curve|results", re.IGNORECASE)  # taken first where there are too many

_log = logging.getLogger(__name__)


def show_pictures(
    study: optuna.Study, folder: Path, paths: Iterable[Path], trial: Trial | None = None
) -> None:
    """Have optuna-dashboard show pictures with the study, or with a trial that has not ended yet.

    One that cannot be kept is left out, and that is logged.

    Args:
        study: The study.
        folder: The study's.
        paths: The pictures.
        trial: Whose they are; the study's own without it.
    """
    storage = study._storage
    known = (
        storage.get_study_system_attrs(study._study_id)
        if trial is None
        else storage.get_trial_system_attrs(trial._trial_id)
    )
    for path in paths:
        whose = f"{study.user_attrs.get(IDENTITY)}/{'' if trial is None else trial.number}/{path.name}"
        number = hashlib.sha256(whose.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        try:
            (folder / FOLDER).mkdir(exist_ok=True)
            _put(path, folder / FOLDER / number)
        except OSError as error:
            _log.warning("%s is not shown in optuna-dashboard: %s", path, error)
            continue
        if _KEY + number in known:
            continue
        kind, _ = mimetypes.guess_type(path.name)
        shown = {
            "artifact_id": number,
            "filename": path.name,
            "mimetype": kind or "image/png",
            "encoding": None,
        }
        if trial is None:
            storage.set_study_system_attr(study._study_id, _KEY + number, json.dumps(shown))
        else:
            storage.set_trial_system_attr(trial._trial_id, _KEY + number, json.dumps(shown))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that a training has left in its folder, at most `MOST` of at most `LARGEST` bytes."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and WEIGHTS not in path.parts and not path.is_symlink()
    ]
    by_name = {
        path.name: path for path in reversed(found) if path.is_file() and path.stat().st_size <= LARGEST
    }
    return sorted(by_name.values(), key=lambda path: (_TELLING.search(path.name) is None, path))[:MOST]


class Artifacts:
    """An artifact store that reads the pictures of all studies of a storage, each in its own folder as it is now."""

    def __init__(self, storage: BaseStorage, out: Path = Path("runs/evolve")) -> None:
        """Read for a storage; studies that are not where they were driven are looked for under `out`."""
        self._storage = storage
        self._out = out

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The content.

        Raises:
            ArtifactNotFound: It is in none of the folders.
        """
        for store in self._stores():
            with contextlib.suppress(ArtifactNotFound):
                return store.open_reader(artifact_id)
        raise ArtifactNotFound(artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what a user gives optuna-dashboard."""
        UPLOADS.mkdir(parents=True, exist_ok=True)
        FileSystemArtifactStore(UPLOADS).write(artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """Delete it, if it is there: a study whose folder is gone can be deleted too."""
        for store in self._stores():
            with contextlib.suppress(ArtifactNotFound):
                store.remove(artifact_id)

    def _stores(self) -> Iterator[FileSystemArtifactStore]:
        yield FileSystemArtifactStore(UPLOADS)
        for study in self._storage.get_all_studies():
            with contextlib.suppress(InputError):  # its folder is another study's now
                yield FileSystemArtifactStore(study_folder(study, self._out) / FOLDER)


def _put(path: Path, target: Path) -> None:
    """Have `target` hold what `path` holds now, whatever becomes of that."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)
        replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # still there where both were the same file
