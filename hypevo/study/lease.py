"""One driver a study: a lock where there is a file to lock, a lease that is renewed where there is only a database.

The lock of a dead driver is free at once. A lease is judged by whether it is still being renewed, never by comparing
two machines' clocks: a successor watches it for `PATIENCE` seconds before taking it over.

A lease is two attributes of the study, since a database has no «write if it is still mine». The claim is written by a
driver that takes the study, and never again; the beat is written by each renewal, and by the end. So a driver that was
suspended in the middle of a renewal cannot overwrite its successor's claim: it writes a beat, and then reads whose the
study is.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from hypevo.protocol import InputError, WorkError

CLAIM, BEATS = "hypevo_driver", "hypevo_driver_beat"  # the study's user attributes
BEAT, PATIENCE = 5.0, 20.0  # seconds between renewals, and without one until a driver counts as dead

_LOCKED_BYTE = 1 << 30  # on Windows, where nobody else can read what is locked: far behind what the file says
TAKEN_OVER = "another driver took the study over; this one stops"

_AWAY = (StorageInternalError, SQLAlchemyError)  # a database that does not answer just now


@contextlib.contextmanager
def lock(beside: Path, study: str) -> Iterator[None]:
    """Hold a study by a lock beside a file, such as its journal; the system lets go of it however the process ends.

    Raises:
        InputError: another driver holds it, the message says where it runs; or the file cannot be locked.
    """
    path = _lock_file(beside, study)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise InputError(f"{beside}: cannot write beside it: {error}") from error
    with file:
        try:
            free = _lock(file.fileno())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be locked ({error}); use a --storage on a local disk, or a database"
            ) from error
        if not free:
            file.seek(0)
            raise _taken(study, file.read().strip() or "by another process")
        file.truncate(0)
        file.write(f"on {platform.node()}, pid {os.getpid()}")
        file.flush()
        yield


def driver_of(study: optuna.Study, beside: Path | None) -> str | None:
    """Where a study's driver runs, or None if nobody works on it; a look that changes nothing.

    Args:
        study: The study.
        beside: The file beside which its lock is; None for a database. There a driver counts as dead `PATIENCE` seconds
            after its last renewal by two machines' clocks, which are good enough for a look.
    """
    if beside is None:
        held, beats = _lease(study)
        at = max(held.get("at", 0.0), beats.get("at", 0.0))
        return _where(held) if held and time.time() - at < PATIENCE else None
    try:
        with _lock_file(beside, study.study_name).open() as file:
            if _try_lock(file.fileno(), shared=True):
                return None
            return file.read().strip() or "in another process"
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"unknown: {error}"


@contextlib.contextmanager
def lease(
    study: optuna.Study,
    tell: Callable[[str], None],
    lost: Callable[[], None],
    *,
    beat: float = BEAT,
    patience: float = PATIENCE,
) -> Iterator[Callable[[], None]]:
    """Hold a study whose storage is a database, and renew the lease every `beat` seconds.

    Args:
        study: The study.
        tell: Told when there is something to wait for.
        lost: Called from another thread if another driver took the study over, as it does when this process was
            suspended for longer than `patience`.
        beat: Seconds between renewals.
        patience: Seconds without a renewal after which a driver counts as dead.

    Yields:
        A function to call before anything is written. After a time without a renewal, as a suspended process has
        behind it, it looks whether the study is still held, and raises a WorkError if it is not.

    Raises:
        InputError: another driver renews its lease; the message says where it runs.
    """
    token = uuid.uuid4().hex
    _outlive(study, tell, beat, patience)
    claim = {"host": platform.node(), "pid": os.getpid(), "token": token, "at": time.time()}
    study.set_user_attr(CLAIM, claim)
    time.sleep(min(1.0, beat))  # of two drivers that claim it at once, the later one stays
    held, _ = _lease(study)
    if held.get("token") != token:
        raise _taken(study.study_name, _where(held))
    over = threading.Event()
    renewed = [time.time()]  # by the clock that goes on while the machine sleeps

    def still_ours() -> None:
        if abs(time.time() - renewed[0]) > patience / 2:
            if not _is_holder(study, token):
                raise WorkError(TAKEN_OVER)
            renewed[0] = time.time()

    def renew() -> None:
        count = 0
        while not over.wait(beat):
            count += 1
            with contextlib.suppress(
                StorageInternalError
            ):  # away for a moment; the study's own calls will tell
                held = _is_holder(study, token)
                if held:
                    study.set_user_attr(BEATS, {"token": token, "count": count, "at": time.time()})
                    held = _is_holder(study, token)  # suspended in between, it has overwritten a beat at most
                if not held:
                    lost()
                    return
                renewed[0] = time.time()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield still_ours
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(*_AWAY):
            if _is_holder(study, token):
                study.set_user_attr(BEATS, {"token": token, "over": True})


def _outlive(study: optuna.Study, tell: Callable[[str], None], beat: float, patience: float) -> None:
    """Return when nobody holds the study, or when its holder has given no sign of life for `patience` seconds."""
    seen = _lease(study)
    if not seen[0]:
        return
    tell(f"study «{study.study_name}» was held {_where(seen[0])}; waiting {patience:g} s for a sign of life")
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(min(1.0, beat))
        now = _lease(study)
        if not now[0]:
            return
        if now[0] != seen[0] or now[1] not in ({}, seen[1]):
            raise _taken(study.study_name, _where(now[0]))


def _lease(study: optuna.Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """The claim, empty when nobody holds the study, and the holder's last beat, empty before the first."""
    attributes = study.user_attrs
    held, beats = dict(attributes.get(CLAIM) or {}), dict(attributes.get(BEATS) or {})
    if beats.get("token") != held.get("token"):
        return held, {}  # of a driver before, which may have been suspended since
    return ({}, {}) if beats.get("over") else (held, beats)


def _is_holder(study: optuna.Study, token: str) -> bool:
    return bool(_lease(study)[0].get("token") == token)


def _where(holder: dict[str, Any]) -> str:
    return f"on {holder.get('host', '?')}, pid {holder.get('pid', '?')}"


def _taken(study: str, where: str) -> InputError:
    return InputError(
        f"study «{study}» is already running {where}; "
        f"use --device 0,1,… there for more devices, or --study NAME for another study"
    )


def _lock_file(beside: Path, study: str) -> Path:
    return beside.resolve().parent / f".{beside.name}.{study}.lock"


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if another process has it, and not only for the moment that a look takes."""
    end = time.monotonic() + 0.5
    while not (free := _try_lock(descriptor)) and time.monotonic() < end:
        time.sleep(0.05)
    return free


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, where no lock is shared
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)  # it locks from here
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
