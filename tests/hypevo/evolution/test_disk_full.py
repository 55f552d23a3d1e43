"""Real full disks, small ones mounted for the purpose: a clear end, nothing corrupt, and the same command continues."""

import subprocess
from pathlib import Path

import pytest

from hypevo.protocol import WorkError

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(arena):
    """Mounts a disk of so many kB at a folder of the arena; returns what makes it larger."""
    mounted = []

    def mount(name, size):
        folder = arena / name
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no right to mount a disk")
        mounted.append(folder)
        return lambda more: subprocess.run(["mount", "-o", f"remount,size={more}k", str(folder)], check=True)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("place", "size"), [("runs", 300), ("runs", 316), ("mlruns", 120), ("mlruns", 132), ("mlruns", 144)]
)
def test_a_full_disk_stops_the_driver_and_corrupts_nothing(evolution, disk, place, size):
    grow = disk(place, size)
    if place == "mlruns":  # for the journal alone, without MLflow's artifacts
        Path("artifacts").mkdir()
        Path("mlruns/hypevo").symlink_to(Path("artifacts").resolve())
    with pytest.raises(WorkError, match=r"cannot keep the study's records: .*No space left"):
        evolution(30)
    grow(50_000)
    before = [trial.params for trial in evolution.trials]  # of the last one perhaps a part
    assert 0 < len(before) < 30
    assert evolution(30).done == 30
    assert all(
        old.items() <= trial.params.items() for old, trial in zip(before, evolution.trials, strict=False)
    )
    assert len(evolution.csv) == 30
    assert {run.info.status for run in evolution.children.values()} == {"FINISHED"}
    assert sorted(evolution.children) == list(range(30))
    assert evolution.parent.info.status == "FINISHED"


def test_a_full_tracking_store_stops_no_training_and_is_filled_later(
    evolution, disk, arena, empty_store, monkeypatch
):
    from hypevo.tracking.tracker import Tracker

    whole = Tracker.close
    impatient = {"patience": 2.0}
    monkeypatch.setattr(Tracker, "close", lambda self, status, state: whole(self, status, state, **impatient))
    grow = disk("store", empty_store.stat().st_size // 1024 + 60)
    (arena / "store/mlflow.db").write_bytes(empty_store.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{arena / 'store/mlflow.db'}")
    summary = evolution(12)
    assert summary.done == 12
    assert summary.undelivered > 0
    grow(50_000)
    impatient.clear()
    assert evolution(12).undelivered == 0
    assert sorted(evolution.children) == list(range(12))
    assert {len(run.data.params) for run in evolution.children.values()} == {29}
    assert {run.info.status for run in evolution.children.values()} == {"FINISHED"}
