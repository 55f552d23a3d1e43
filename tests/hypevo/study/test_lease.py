"""One driver a study: locks of files, leases in databases."""

import contextlib
import fcntl
import os
import sys
import threading
import time

import optuna
import pytest

from hypevo.protocol import InputError, WorkError
from hypevo.study.lease import BEATS, CLAIM, driver_of, lease, lock

QUICK = {"beat": 0.1, "patience": 0.6}


def nobody(*_):
    raise AssertionError("not to be called")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def study(address, request):
    return optuna.create_study(storage=address, study_name=request.node.name)


def same(study, address):
    """The study as another process would load it."""
    return optuna.load_study(study_name=study.study_name, storage=optuna.storages.RDBStorage(address))


def test_a_locked_study_names_its_driver(tmp_path):
    journal = tmp_path / "mlruns" / "optuna.journal"
    with lock(journal, "s"):
        with (
            pytest.raises(InputError, match=rf"«s» is already running on .*, pid {os.getpid()}"),
            lock(journal, "s"),
        ):
            pass
        with lock(journal, "t"), lock(tmp_path / "mlruns" / "other.journal", "s"):
            pass  # another study, and a study of that name in another journal
    with lock(journal, "s"):
        pass


class Msvcrt:
    """Windows' locks as far as they are used: of bytes from the file's position on, and mandatory for readers."""

    LK_NBLCK = 2

    def __init__(self):
        self.locked = {}  # (device, inode) -> descriptor

    def locking(self, descriptor, mode, length):
        assert (mode, length) == (self.LK_NBLCK, 1)
        status = os.fstat(descriptor)
        file = status.st_dev, status.st_ino
        if self.locked.get(file, descriptor) != descriptor and self.is_open(self.locked[file], file):
            raise PermissionError(13, "Permission denied")
        behind = os.lseek(descriptor, 0, os.SEEK_CUR) - status.st_size
        assert behind > 1000, "what is locked cannot be read by another process"
        self.locked[file] = descriptor

    def is_open(self, descriptor, file):
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == file


def test_on_windows_too_a_second_driver_is_told_where_the_first_one_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "msvcrt", Msvcrt())
    test_a_locked_study_names_its_driver(tmp_path / "one")
    study, journal = optuna.create_study(study_name="s"), tmp_path / "optuna.journal"
    with lock(journal, "s"):
        assert f"pid {os.getpid()}" in driver_of(study, journal)
    assert driver_of(study, journal) is None


def test_looking_for_a_driver_keeps_none_from_starting(tmp_path):
    journal = tmp_path / "optuna.journal"
    study = optuna.create_study(study_name="s")
    assert driver_of(study, journal) is None
    assert not list(tmp_path.iterdir())
    with lock(journal, "s"):
        assert f"pid {os.getpid()}" in driver_of(study, journal)
    assert driver_of(study, journal) is None
    (path,) = tmp_path.iterdir()
    with path.open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(look, fcntl.LOCK_UN)).start()
        with lock(journal, "s"):
            pass


def test_a_driver_whose_lock_cannot_be_read_is_not_taken_for_none(tmp_path):
    study = optuna.create_study(study_name="s")
    (tmp_path / ".optuna.journal.s.lock").mkdir()
    assert "unknown: " in driver_of(study, tmp_path / "optuna.journal")


def test_a_lease_that_is_no_longer_renewed_is_no_driver(study):
    with lease(study, nobody, nobody, **QUICK):
        assert f"pid {os.getpid()}" in driver_of(study, None)
    assert driver_of(study, None) is None
    study.set_user_attr(CLAIM, {"host": "gone", "pid": 1, "token": "old", "beat": 7, "at": time.time() - 60})
    assert driver_of(study, None) is None


def test_a_lock_where_nothing_can_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write beside it"), lock(tmp_path / "file" / "journal", "s"):
        pass


def test_a_lease_is_renewed_and_refused_to_a_second_driver(study, address):
    said = []
    with lease(study, nobody, nobody, **QUICK):
        assert study.user_attrs[CLAIM]["pid"] == os.getpid()
        with (
            pytest.raises(InputError, match=rf"already running on .*, pid {os.getpid()}"),
            lease(same(study, address), said.append, nobody, **QUICK),
        ):
            pass
        assert "waiting 0.6 s for a sign of life" in said[0]
        assert study.user_attrs[BEATS]["count"] >= 1
    assert driver_of(study, None) is None
    with lease(study, nobody, nobody, **QUICK):  # free at once, without a word
        pass


def test_a_dead_driver_s_lease_is_taken_over(study):
    study.set_user_attr(CLAIM, {"host": "gone", "pid": 1, "token": "old", "beat": 7})
    said = []
    with lease(study, said.append, nobody, **QUICK):
        assert study.user_attrs[CLAIM]["pid"] == os.getpid()
    assert "held on gone, pid 1" in said[0]


def test_a_driver_that_slept_too_long_is_told_that_it_lost_the_study(study, address):
    lost = threading.Event()
    with lease(study, nobody, lost.set, **QUICK):
        same(study, address).set_user_attr(CLAIM, {"host": "b", "pid": 2, "token": "new"})
        assert lost.wait(20)
    assert study.user_attrs[CLAIM]["token"] == "new"  # and it leaves the other one's claim alone


def test_a_driver_suspended_in_the_middle_of_a_renewal_takes_nothing_from_its_successor(study, address):
    """It wakes up behind its successor's claim, with a write on its way that belongs to the time before."""
    asleep, awake, lost = threading.Event(), threading.Event(), threading.Event()
    storage = study._storage
    write = storage.set_study_user_attr

    def suspended(study_id, key, value):
        if key == BEATS and not awake.is_set():
            asleep.set()
            awake.wait()
        write(study_id, key, value)

    storage.set_study_user_attr = suspended
    with lease(study, nobody, lost.set, **QUICK) as first_s:
        assert asleep.wait(20)
        other, lost_again = same(study, address), threading.Event()
        with lease(other, lambda _: None, lost_again.set, **QUICK) as second_s:
            awake.set()
            assert lost.wait(20)
            time.sleep(QUICK["patience"])  # beats of the second one
            second_s()
            assert not lost_again.is_set()
            assert f"pid {os.getpid()}" in driver_of(other, None)
            with pytest.raises(WorkError, match="took the study over"):
                first_s()
    assert driver_of(other, None) is None  # the second one's end counts, the first one's does not


def test_the_end_of_a_driver_that_was_taken_over_leaves_the_study_held(study, address):
    with contextlib.ExitStack() as first:
        first.enter_context(lease(study, nobody, lambda: None, **QUICK))
        other = same(study, address)
        other.set_user_attr(CLAIM, {"host": "b", "pid": 2, "token": "new", "at": time.time()})
        first.close()
        assert driver_of(other, None) == "on b, pid 2"


def test_of_two_drivers_that_claim_at_once_one_stays(study, address):
    held, refused = [], []
    barrier = threading.Barrier(2)

    def claim(name):
        mine = same(study, address)
        barrier.wait()
        try:
            with lease(mine, lambda _: None, nobody, beat=1.0, patience=3.0):
                held.append(name)
                time.sleep(4)
        except InputError:
            refused.append(name)

    threads = [threading.Thread(target=claim, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 1)
