"""What runs on a machine of a cluster: a look at it, preparations, trainings and what they leave there.

A training runs in the same child process as on the driver's machine. Where the machine does not see the driver's
folder, the training works in one of the machine's own, and its files are sent when it ends.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import os
import queue
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hypevo.protocol import InputError, Job, Outcome, WorkError
from hypevo.trainings import child
from hypevo.trainings.backend import Slot
from hypevo.trainings.descendants import kill_marked
from hypevo.trainings.devices import cpus
from hypevo.trainings.local import LocalBackend
from hypevo.trainings.record import EPOCHS, HYP, RESULT, START

WEIGHTS = "weights"
FOLDER = "HYPEVO_NODE_FOLDER"  # where a machine keeps what it does not share; the system's temporary folder by default
_CHUNK = 4 * 1024 * 1024  # bytes of a file that are sent at once
_OF_THE_DRIVER = (HYP, START, EPOCHS, RESULT)


@dataclass(frozen=True)
class Place:
    """A machine as the driver knows it.

    Attributes:
        node: Its id in the cluster.
        name: What people call it.
        driver: The driver's machine and folder, which tell it from other drivers.
        folder: The driver's working directory.
        shared: Whether the machine sees the driver's folders.
    """

    node: str
    name: str
    driver: str
    folder: Path
    shared: bool = False

    def enter(self) -> None:
        """Work in the driver's directory, where it is there; else in the one that its code was sent to."""
        if self.shared and self.folder.is_dir():
            os.chdir(self.folder)
        # A child would import Ray's own script again, for seconds.
        vars(sys.modules["__main__"]).pop("__file__", None)

    def root(self) -> Path:
        """The machine's own folder for this driver."""
        user = "unknown"
        with suppress(KeyError, OSError):
            user = getpass.getuser()
        home = Path(os.environ.get(FOLDER) or tempfile.gettempdir())
        return home / f"hypevo-{user}" / f"{_digest([self.driver])}-{self.node[:8]}"

    def of(self, folder: Path) -> Path:
        """Where a folder of the driver's is on this machine."""
        return (
            folder if self.shared else self.root() / _digest([str(folder.parent)]) / (folder.name or "folder")
        )


@dataclass(frozen=True)
class Seen:
    """What a machine shows at a first look."""

    versions: Mapping[str, str]
    shared: bool


def look(place: Place, trainer: str, token: Path, secret: str) -> Seen:
    """What a machine has; it shares the driver's folder if it reads a token there."""
    shared = False
    with suppress(OSError, ValueError):
        shared = token.read_text(encoding="ascii") == secret
    replace(place, shared=shared).enter()
    return Seen(versions(trainer), shared)


def versions(trainer: str) -> dict[str, str]:
    """What must be the same on all machines: Python, hypevo and the trainer, with the digest of their code.

    Raises:
        InputError: the trainer's module is not there.
    """
    top = trainer.partition(":")[0].partition(".")[0]
    python = ".".join(map(str, sys.version_info[:2]))
    return {
        "Python": python,
        "hypevo": f"{version('hypevo')} {_code('hypevo')}",
        f"trainer {top}": _code(top),
    }


def _code(package: str) -> str:
    """A digest of the sources of a top-level package, or of a single module."""
    here = str(Path.cwd())
    path, sys.path = sys.path, [*sys.path, here]
    try:
        importlib.invalidate_caches()
        spec = importlib.util.find_spec(package)
    finally:
        sys.path = path
    if spec is None:
        raise InputError(f"no module «{package}»; expected it in the environment or in {here}")
    if not spec.submodule_search_locations:
        return _digest([Path(spec.origin or "").read_bytes()])
    parts: list[str | bytes] = []
    for folder in map(Path, spec.submodule_search_locations):
        for file in sorted(folder.rglob("*.py")):
            parts += [file.relative_to(folder).as_posix(), file.read_bytes()]
    return _digest(parts)


def _digest(parts: Sequence[str | bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:12]


# -- errands -------------------------------------------------------------------------------------------------


def errand(function: Callable[..., Any], *args: Any) -> tuple[str, Any]:
    """What a function returns, or the message of the error that it raised."""
    try:
        return "done", function(*args)
    except InputError as error:
        return "input", str(error)
    except WorkError as error:
        return "work", str(error)


def call(place: Place, gpu: bool, function: Callable[..., Any], *args: Any) -> Any:
    """The result of a function in a child process."""
    place.enter()
    device = "0" if gpu else "cpu"
    return LocalBackend("", [device], method="spawn").call(function, *args, slot=Slot(device))


def prepare(place: Place, trainer: str, settings: Mapping[str, Any], cache: Path) -> child.Prepared:
    """Build what all trainings on this machine share."""
    found: child.Prepared = call(place, False, child.prepare, trainer, settings, place.of(cache))
    return found


def sweep(place: Place, mark: Path) -> list[str]:
    """End what trainings below a folder have left, and say which of them still have weights here."""
    mine = place.of(mark / "one").parent
    kill_marked(str(mine))
    return [] if place.shared else [weights.parent.name for weights in mine.glob(f"*/{WEIGHTS}")]


def drop(place: Place, folders: Sequence[Path]) -> None:
    """Remove what trainings have left here."""
    if not place.shared:
        for folder in folders:
            shutil.rmtree(place.of(folder), ignore_errors=True)


def end(place: Place, folders: Sequence[Path]) -> None:
    """End what trainings have left running here."""
    for folder in folders:
        kill_marked(str(place.of(folder)))


def collect(place: Place, folder: Path, only: str = "") -> Iterator[tuple[Any, ...]]:
    """Send the files of a training that has ended here, all but its weights or those `only`, and remove them."""
    home = place.of(folder)
    yield from _files(home, [home / only] if only else _without_weights(home))
    shutil.rmtree(home, ignore_errors=True)


# -- a training ----------------------------------------------------------------------------------------------


class _Told:
    """Puts what a backend tells into a queue."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def started(self, where: str) -> None:  # noqa: ARG002 - the cluster knows better
        self.queue.put(("started",))

    def report(self, step: int, metrics: dict[str, float]) -> None:
        self.queue.put(("report", step, metrics))

    def ended(self, future: Future[Outcome]) -> None:
        self.queue.put(future)


def training(place: Place, job: Job, slots: int, assigned: str, stale: Sequence[Path]) -> Iterator[Any]:
    """Run a job, and yield what becomes of it: started, reports, files, and its end.

    Args:
        place: This machine.
        job: With the driver's folder as `out`.
        slots: How many trainings run here at once.
        assigned: The device as the cluster calls it.
        stale: Folders of trainings whose weights nobody wants any more.
    """
    place.enter()
    drop(place, stale)
    home = place.of(job.out)
    if not place.shared:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
    backend = LocalBackend(job.trainer, [job.device], method="spawn")
    told = _Told()
    try:
        future = backend.submit(replace(job, out=home, threads=max(1, cpus() // slots)), told)
        future.add_done_callback(told.ended)
        while not isinstance(item := told.queue.get(), Future):
            yield (*item, assigned) if item[0] == "started" else item
        outcome = item.result()
    finally:
        backend.close()
    left = False
    if not place.shared:
        wanted = sorted(home.iterdir()) if job.weights else _without_weights(home)
        yield from _files(home, wanted)
        left = not job.weights and outcome.failure is None and (home / WEIGHTS).is_dir()
        for entry in wanted if left else [home]:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    yield ("ended", outcome, left)


def _without_weights(home: Path) -> list[Path]:
    return sorted(entry for entry in home.glob("*") if entry.name != WEIGHTS)


def _files(home: Path, entries: Sequence[Path]) -> Iterator[tuple[str, str, bytes, bool]]:
    """The files of a folder: name, content in pieces, and whether a piece is the first one."""
    inside = (path for entry in entries for path in (sorted(entry.rglob("*")) if entry.is_dir() else [entry]))
    for path in inside:
        name = path.relative_to(home).as_posix()
        if path.is_symlink() or not path.is_file() or name in _OF_THE_DRIVER:
            continue
        with path.open("rb") as file:
            first = True
            while (piece := file.read(_CHUNK)) or first:
                yield ("file", name, piece, first)
                first = False
