"""What a driver survives, with real processes: killed 20 times, its trials killed by the dozen, a thousand trials.

    python benchmarks/soak.py                all seven, some twenty minutes on 2 CPU cores
    python benchmarks/soak.py kills          one of: kills, losses, thousand; disk, postgresql, mlflow, suspended
    python benchmarks/soak.py disk --small   a small variant of each

`ray` is run when it is named, and not among all: a cluster of several machines on this one (`soak_ray.py`).

The last four are in `soak_storage.py`: two studies on one journal with a disk that fills, a PostgreSQL server that is
restarted, an MLflow that answers after seconds, a suspended driver.

Each part ends in a line that begins with «ok», or in an error. CI runs a small variant of the first part
(tests/hypevo/evolution/test_driver.py); these are for a release.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.cli import app as cli  # and nothing heavy: each trial's process imports these lines too

if TYPE_CHECKING:
    from mlflow.entities import Run
    from optuna.trial import FrozenTrial

HERE = Path(__file__).resolve().parent
STUDY, JOURNAL = "soak", "mlruns/optuna.journal"
SMALL: dict[str, tuple[float, ...]] = {  # arguments of the parts
    "kills": (2, 6), "losses": (30,), "thousand": (300,),
    "disk": (3, 20), "postgresql": (3, 30), "mlflow": (3.0, 2), "suspended": (1,),
    "ray": (15, 6),
}  # fmt: skip


def kills(times: int = 20, total: int = 40) -> str:
    """Kill the driver at random moments, start it again, and compare with a driver that nobody disturbed."""
    chance = random.Random(0)
    options = ["--generations", str(total), "--sleep", "0.03"]
    killed = 0
    while killed < times:
        pid = start(*options)
        time.sleep(chance.uniform(0.1, 4.0))
        os.kill(pid, signal.SIGKILL)
        killed += wait(pid) == -signal.SIGKILL
        must(len(finished()) < total, f"more than {total} trials for {times} kills")
    must(wait(start(*options)) == 0, "the last driver ends well")
    expect_whole(total)
    found = individuals()
    start_afresh()
    must(wait(start(*options)) == 0, "an undisturbed driver ends well")
    must(individuals() == found, "the same parameters and fitness as in an undisturbed study")
    return (
        f"{killed} kills, {total} trials, each once in the study, in MLflow and in evolve.csv, as undisturbed"
    )


def losses(total: int = 200, share: float = 0.3) -> str:
    """Kill a share of the trial processes of a study with four slots."""
    chance = random.Random(0)
    pid = start(
        "--generations", str(total), "--slots-per-device", "4", "--sleep", "0.05", "--max-failures", "50"
    )
    seen, due, killed = {pid}, {}, 0
    while alive(pid):
        for trial in trial_processes() - seen:
            seen.add(trial)
            if chance.random() < share:
                due[trial] = time.monotonic() + chance.uniform(0, 0.4)
        for trial in [trial for trial, moment in due.items() if moment < time.monotonic()]:
            del due[trial]
            try:
                os.kill(trial, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    must(wait(pid) == 0, "the driver ends well")
    trials = stored()
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    must({trial.user_attrs["failure"] for trial in failed} <= {"killed"}, "no failure but by the killer")
    attempts = sum(trial.user_attrs["attempts"] for trial in trials)
    must(attempts - len(trials) + len(failed) <= killed, f"{attempts} attempts for {killed} kills")
    expect_whole(total, failed=len(failed))
    return f"{killed} trial processes killed, {total} trials finished in {attempts} attempts, {len(failed)} given up"


def thousand(total: int = 1000) -> str:
    """A thousand trials on eight slots: no duplicate, nothing lost, memory and cost flat."""
    pid = start("--generations", str(total), "--slots-per-device", "8", "--epochs", "3")
    marks = {}  # finished trials -> (resident MB, CPU seconds) of the driver
    folder = Path("runs/evolve") / STUDY
    while alive(pid):
        lines = sum(1 for _ in (folder / "evolve.csv").open()) - 1 if (folder / "evolve.csv").exists() else 0
        mark = lines // 100 * 100
        if mark and mark not in marks:
            marks[mark] = resident_and_cpu(pid)
            print(f"  {lines} trials: {marks[mark][0]:.0f} MB, {marks[mark][1]:.0f} CPU-s", flush=True)
        time.sleep(0.2)
    must(wait(pid) == 0, "the driver ends well")
    expect_whole(total)
    must(len({str(parameters) for parameters, _ in individuals()}) == total, "no two trials are the same")
    early, late = min(marks), max(marks)
    growth = (marks[late][0] - marks[early][0]) / (late - early)
    must(growth < 0.04, f"the driver's memory grows by {growth:.3f} MB a trial")
    return f"{total} trials on 8 slots: none twice, none lost, the driver grows by {growth * 1000:.0f} kB a trial"


def expect_whole(total: int, failed: int = 0, study: str = STUDY, storage: str = JOURNAL) -> None:
    """Raise unless every trial is once in the study, in MLflow and in evolve.csv, and no process is left."""
    must(len(finished(study, storage)) == total, f"{total} finished trials in the study")
    lines = (Path("runs/evolve") / study / "evolve.csv").read_text().splitlines()
    must(len(lines) == len(set(lines)) == total + 1, f"{total} lines in evolve.csv")
    from hypevo.tracking.runs import PARENT, TRIAL
    from hypevo.tracking.store import Store

    client = Store.default().client()
    (experiment,) = [e.experiment_id for e in client.search_experiments() if e.name == "hypevo"]
    runs: list[Run] = []
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment], f"tags.`hypevo.study` = '{study}'", max_results=1000, page_token=token
        )
        runs, token = [*runs, *page], page.token or ""
    children = [run for run in runs if PARENT in run.data.tags]
    must(len(runs) == len(children) + 1, "one parent run")
    count = Counter(int(run.data.tags[TRIAL]) for run in children)
    must(count == Counter(range(total + failed)), "one run for each trial")
    states = Counter(run.info.status for run in children)
    must(
        states == Counter({"FINISHED": total} | ({"FAILED": failed} if failed else {})), f"statuses {states}"
    )
    for run in children:
        steps = Counter(metric.step for metric in client.get_metric_history(run.info.run_id, "fitness"))
        must(not steps or max(steps.values()) == 1, "no epoch twice")
        must(len(run.data.params) == 29, "29 parameters")
    end = time.monotonic() + 20
    while processes():
        must(time.monotonic() < end, f"no process left; there is {processes()}")
        time.sleep(0.1)


def stored(study: str = STUDY, storage: str = JOURNAL) -> list[FrozenTrial]:
    """The trials of a study, as far as it is there."""
    from hypevo.study.storage import load_study

    try:
        return load_study(storage, study).get_trials(deepcopy=False)
    except ValueError:  # no journal or no study yet, or a last line that the next driver mends
        return []


def finished(study: str = STUDY, storage: str = JOURNAL) -> list[FrozenTrial]:
    """The finished trials."""
    return [trial for trial in stored(study, storage) if trial.state.name == "COMPLETE"]


def individuals(study: str = STUDY, storage: str = JOURNAL) -> list[tuple[dict[str, Any], float | None]]:
    """Parameters and fitness, in the order of the numbers."""
    return [(trial.params, trial.value) for trial in finished(study, storage)]


def must(condition: bool, what: str) -> None:
    """Raise unless it is so."""
    if not condition:
        raise AssertionError(f"expected: {what}")


# -- processes ---------------------------------------------------------------------------------------------


def start(*options: str, study: str = STUDY) -> int:
    """Fork a driver; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(f"{study}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["hypevo", "evolve", "--trainer", "office:train", "--study", study, "--device", "cpu"]
    sys.argv += ["--stagger", "0", "--baseline-seeds", "0", "--sampler", "classic", *options]
    code = 70
    try:
        cli.main()
    except SystemExit as end:
        if isinstance(end.code, int):
            code = end.code
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """The exit code of a driver; the negative signal for one that was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def alive(pid: int) -> bool:
    """Whether a driver still runs; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def processes() -> set[int]:
    """All processes at work in this folder but this one."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == Path.cwd():
                found.add(int(entry.name))
        except OSError:
            continue
    return found - {os.getpid()}


def trial_processes() -> set[int]:
    """The processes here that lead a session of their own."""
    leaders = set()
    for pid in processes():
        try:
            if os.getsid(pid) == pid:
                leaders.add(pid)
        except ProcessLookupError:
            continue
    return leaders


def resident_and_cpu(pid: int) -> tuple[float, float]:
    """Memory in MB and CPU seconds of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, (int(fields[11]) + int(fields[12])) / os.sysconf(
        "SC_CLK_TCK"
    )


def start_afresh() -> None:
    """Go to an empty folder that has the trainer."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    shutil.copy(HERE / "office.py", folder)
    os.chdir(folder)


def main() -> None:
    """Run the parts that were asked for."""
    sys.modules["soak"] = sys.modules[__name__]  # the parts import this file
    from soak_ray import PARTS as ON_RAY
    from soak_storage import PARTS

    usual: dict[str, Callable[..., str]] = {"kills": kills, "losses": losses, "thousand": thousand, **PARTS}
    parts = usual | ON_RAY
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument(
        "--small", action="store_true", help="fewer kills and trials: seconds instead of minutes"
    )
    asked = parser.parse_args()
    wanted = asked.parts or list(usual)
    if unknown := sorted(set(wanted) - set(parts)):
        parser.error(f"no part {', '.join(unknown)}; expected some of {', '.join(parts)}")
    import hypevo.evolution.evolve  # noqa: F401 - with all that a driver needs, so that each one forked from here starts at once

    for name in wanted:
        start_afresh()
        began = time.monotonic()
        print(f"{name}, in {Path.cwd()} …", flush=True)
        figures = parts[name](*(SMALL[name] if asked.small else ()))
        print(f"ok {name}: {figures}; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
