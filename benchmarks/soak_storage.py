"""What a driver survives when the ground moves: a full disk, PostgreSQL restarted, a slow MLflow, a suspension.

`soak.py` runs these parts and says how; on Linux, and `disk` needs the right to mount one.
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from soak import STUDY, alive, expect_whole, individuals, must, start, start_afresh, stored, wait
from soak_servers import JOURNAL, fill, leave_half_a_line, server, slow_mlflow, small_disk, until

FOLDER = Path("runs/evolve") / STUDY


def disk(times: int = 10, total: int = 40) -> str:
    """Two studies on one journal, whose disk fills again and again; a driver that stops is started again."""
    chance = random.Random(0)
    options = ["--generations", str(total), "--sleep", "0.05", "--storage", JOURNAL]
    stops, halves = {"one": 0, "two": 0}, 0
    lines: list[bytes] = []
    with small_disk():
        drivers = {study: start(*options, study=study) for study in stops}
        for _ in range(times):
            time.sleep(chance.uniform(0.5, 3.0))
            drivers = {
                study: pid if alive(pid) else start(*options, study=study) for study, pid in drivers.items()
            }
            until(lambda: min(len(stored(study, JOURNAL)) for study in stops) > 0, "both have begun")
            fill("disk/ballast")
            pids = list(drivers.values())
            until(lambda pids=pids: not all(map(alive, pids)), "a driver stops at a full disk")
            Path("disk/ballast").unlink()
            for study, pid in drivers.items():
                if not alive(pid) and wait(pid) != 0:
                    stops[study] += 1
                    drivers[study] = start(*options, study=study)
                    must("cannot keep the study's records" in said(study), f"{study} says why it stopped")
            halves += leave_half_a_line()  # as a driver that dies in mid-line
            kept = Path(JOURNAL).read_bytes().split(b"\n")[:-1]
            must(kept[: len(lines)] == lines, "no whole line is lost")
            lines = kept
            if any(len(stored(study, JOURNAL)) > total - 5 for study in stops):
                break
        for study, pid in drivers.items():
            must(wait(pid) == 0, f"{study} ends well")
        must(Path(JOURNAL).read_bytes().split(b"\n")[: len(lines)] == lines, "no whole line is lost")
        disturbed = {study: individuals(study, JOURNAL) for study in stops}
        for study, count in stops.items():
            expect_whole(total, study=study, storage=JOURNAL)
            again = sum(trial.user_attrs["attempts"] - 1 for trial in stored(study, JOURNAL))
            must(again <= count, f"{again} trials trained again for {count} stops of {study}")
    start_afresh()
    for study, found in disturbed.items():
        must(wait(start("--generations", str(total), study=study)) == 0, "an undisturbed driver ends well")
        must(individuals(study) == found, "the same parameters and fitness as in an undisturbed study")
    done = f"{halves} half lines, 2 × {total} trials as undisturbed"
    return f"a disk that was full stopped drivers {sum(stops.values())} times, {done}"


def postgresql(times: int = 8, total: int = 60) -> str:
    """Restart the database server at random moments, in both ways, under one driver that goes on."""
    chance = random.Random(0)
    with server() as (address, control):
        pid = start("--generations", str(total), "--sleep", "0.05", "--storage", address)
        until(lambda: (FOLDER / "trials/0001/result.json").exists(), "trials are at work")
        away, restarts = 0.0, 0
        while restarts < times and alive(pid):
            time.sleep(chance.uniform(0.2, 3.0))
            began = time.monotonic()
            control("stop", "-m", chance.choice(["fast", "immediate"]))
            time.sleep(chance.uniform(0, 4.0))
            control("start")
            away, restarts = away + time.monotonic() - began, restarts + 1
        must(restarts == times, f"{times} restarts while it works; there were {restarts}")
        must(wait(pid) == 0, "the driver ends well")
        expect_whole(total, storage=address)
        attempts = sum(trial.user_attrs["attempts"] for trial in stored(STUDY, address))
        must(attempts == total, f"each trial trained once; {attempts} attempts")
    told = said(STUDY).count("the database answers again")
    return f"{restarts} restarts, {away:.0f} s away, told {told} times, {total} trials in {attempts} attempts"


def mlflow(delay: float = 3.0, times: int = 4) -> str:
    """Press Ctrl-C at random moments of a driver whose MLflow answers after seconds, then let it deliver all."""
    chance, slowest, total = random.Random(0), 0.0, 10
    with slow_mlflow(delay) as (slow, direct):
        os.environ["MLFLOW_TRACKING_URI"] = slow
        for number in range(times):
            size = len(said(STUDY)) if number else 0
            pid = start("--generations", str(total), "--sleep", "0.2")
            if number:  # the first is interrupted while it opens its runs
                until(
                    lambda size=size: "generations" in said(STUDY)[size:] and reports(),
                    "a trial reports",
                    240,
                )
            time.sleep(chance.uniform(0.5, 4.0))
            must(alive(pid), "it is still at work")
            began = time.monotonic()
            os.killpg(pid, signal.SIGINT)
            until(
                lambda size=size, pid=pid: "interrupted" in said(STUDY)[size:] or not alive(pid),
                "it is heard",
            )
            slowest = max(slowest, time.monotonic() - began)
            if alive(pid):
                os.killpg(pid, signal.SIGINT)  # what MLflow has not got is not waited for
            must((code := wait(pid)) == 130, f"exit 130; it was {code}")
        must(slowest < 10, f"Ctrl-C is heard whatever MLflow does; it took {slowest:.1f} s")
        os.environ["MLFLOW_TRACKING_URI"] = direct
        must(wait(start("--generations", str(total), "--sleep", "0.2")) == 0, "the last driver ends well")
        expect_whole(total)
        del os.environ["MLFLOW_TRACKING_URI"]
    heard = f"heard within {slowest:.2f} s"
    return f"{times} times Ctrl-C with {delay:g} s an answer, {heard}; {total} trials delivered once"


def suspended(times: int = 3, total: int = 4) -> str:
    """Suspend a driver, let another take its study over and finish it, wake the first: it writes nothing more."""
    chance, files = random.Random(0), 0
    with server() as (address, control):
        for number in range(times):
            study = f"{STUDY}{number}"
            folder = Path("runs/evolve") / study
            options = ["--generations", str(total), "--sleep", "0.3", "--storage", address]
            first = start(*options, study=study)
            until(lambda folder=folder: (folder / "trials/0000/result.json").exists(), "a trial has ended")
            time.sleep(chance.uniform(0, 3.0))
            os.kill(first, signal.SIGSTOP)
            size = len(said(study))
            must(wait(start(*options, study=study)) == 0, "the successor ends well")
            before = content(folder), control.dump(), said(study)[size:]
            must(before == (content(folder), control.dump(), said(study)[size:]), "nobody else writes")
            os.kill(first, signal.SIGCONT)
            must((code := wait(first)) == 1, f"exit 1; it was {code}")
            after = content(folder)
            changed = {path for path in before[0] | after if before[0].get(path) != after.get(path)}
            must(not changed, f"no file is touched; these are: {sorted(changed)}")
            must(control.dump() == before[1], "nothing in the database is changed")
            must("another driver took the study over; this one stops" in said(study), "it says why it stops")
            expect_whole(total, study=study, storage=address)
            files += len(after)
    return f"{times} drivers suspended and woken: exit 1, {files} files and the database untouched"


PARTS: dict[str, Callable[..., str]] = {
    "disk": disk,
    "postgresql": postgresql,
    "mlflow": mlflow,
    "suspended": suspended,
}


# -- what is looked at --------------------------------------------------------------------------------------


def said(study: str) -> str:
    """What the drivers of a study have printed, in one line."""
    path = Path(f"{study}.log")
    return " ".join(path.read_text().split()) if path.exists() else ""


def reports() -> bool:
    """Whether a trial that has not ended has reported."""
    return any(not (path.parent / "result.json").exists() for path in FOLDER.glob("trials/*/epochs.jsonl"))


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file of a folder: when it was written, and a hash of what is in it."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
