"""The driver as a process of its own: interrupted, terminated, killed, and two of them at once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hypevo.study.status import study_status

SLOW = ("--sleep", "1")
FIRST_TRIAL = "runs/evolve/s/trials/0000/result.json"
SECOND_TRIAL_AT_WORK = "runs/evolve/s/trials/0001/epochs.jsonl"


def states(trials):
    return [trial.state for trial in trials]


def one_finished_run_each(evolution, numbers):
    children = evolution.children
    assert sorted(children) == list(numbers)
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert {run.data.tags["hypevo.state"] for run in children.values()} == {"complete"}


def test_kill_9_in_mid_trial_loses_nothing_and_the_trial_runs_again(driver, evolution, arena, nobody_left):
    first = driver("--generations", "3", *SLOW)
    first.until(SECOND_TRIAL_AT_WORK)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    nobody_left(arena)
    before = evolution.trials
    assert states(before) == [TrialState.COMPLETE, TrialState.RUNNING]
    running = evolution.children.get(1)

    assert driver("--generations", "3", *SLOW, picture=True).wait() == 0
    after = evolution.trials
    assert states(after) == [TrialState.COMPLETE] * 3
    assert [trial.params for trial in after[:2]] == [trial.params for trial in before]
    assert after[0].value == before[0].value
    assert after[1].user_attrs["attempts"] == 2
    one_finished_run_each(evolution, range(3))
    if running is not None:
        assert evolution.children[1].info.run_id == running.info.run_id
    assert evolution.parent.info.status == "FINISHED"
    assert len(evolution.csv) == 3
    assert (arena / "runs/evolve/s/evolve.png").read_bytes().startswith(b"\x89PNG")
    nobody_left(arena)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_all_resumable(driver, evolution, arena, nobody_left, number):
    first = driver("--generations", "2", *SLOW)
    first.until(SECOND_TRIAL_AT_WORK)
    assert first.stop(number) == 130
    nobody_left(arena)
    assert "the same command continues" in first.log.read_text()
    assert states(evolution.trials) == [TrialState.COMPLETE, TrialState.RUNNING]
    assert evolution.parent.info.status == "KILLED"
    interrupted = evolution.children[1]
    assert (interrupted.info.status, interrupted.data.tags["hypevo.state"]) == ("KILLED", "interrupted")

    params = evolution.trials[1].params
    assert driver("--generations", "2", *SLOW).wait() == 0
    assert evolution.trials[1].params == params
    assert evolution.children[1].info.run_id == interrupted.info.run_id
    one_finished_run_each(evolution, range(2))
    assert evolution.parent.info.status == "FINISHED"


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_trial_leaves_all_resumable(
    driver, evolution, arena, nobody_left, number, delay
):
    first = driver("--generations", "1")
    time.sleep(delay)
    code = first.stop(number)
    assert code in (130, 0, -number), first.log.read_text()  # the last one before the driver has begun at all
    nobody_left(arena)
    assert driver("--generations", "1").wait() == 0
    one_finished_run_each(evolution, range(1))


def test_a_second_interrupt_ends_it_at_once(driver, arena, nobody_left):
    first = driver("--generations", "2", "--sleep", "60")
    first.until("runs/evolve/s/trials/0000/log.txt")
    os.kill(first.pid, signal.SIGINT)
    assert first.stop() == 130
    nobody_left(arena)


def test_a_second_driver_is_told_where_the_first_one_runs(driver, arena):
    first = driver("--generations", "1", "--sleep", "60")
    first.until("runs/evolve/s/trials/0000/log.txt")
    second = driver("--generations", "1")
    assert second.wait() == 2
    said = " ".join(second.log.read_text().split())
    assert f"already running on {os.uname().nodename}, pid {first.pid}" in said
    assert "--device 0,1" in said
    other = driver("--generations", "1", study="t")
    assert other.wait() == 0  # another study may run beside it
    found = study_status("mlruns/optuna.journal", "s")
    assert (found["driver"], found["running"]) == (f"on {os.uname().nodename}, pid {first.pid}", [0])
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    found = study_status("mlruns/optuna.journal", "s")
    assert (found["driver"], found["running"], found["interrupted"]) == (None, [], [0])


SESSIONS = (
    "--generations",
    "1",
    "--epochs",
    "1000",
    "--sleep",
    "0.3",
    "--fail",
    "session",
    "--fail-above",
    "0",
)


def test_children_in_sessions_of_their_own_end_with_a_killed_driver(driver, arena, nobody_left):
    first = driver(*SESSIONS)
    sleepers_of(first, arena)
    first.stop(signal.SIGKILL)
    nobody_left(arena)


def test_the_next_driver_ends_what_one_left_that_was_killed_with_its_trials(driver, arena, nobody_left):
    first = driver(*SESSIONS)
    left = sleepers_of(first, arena)
    (trial,) = set(sessions(arena)) - {first.pid} - left
    os.kill(trial, signal.SIGSTOP)  # so that it does not see its driver end
    first.stop(signal.SIGKILL)
    os.kill(trial, signal.SIGKILL)
    left = sleepers(arena)
    assert left
    second = driver(*SESSIONS)
    second.until("runs/evolve/s/trials/0000/log.1.txt")
    assert not left & sleepers(arena)
    assert second.stop() == 130
    nobody_left(arena)


def sleepers_of(driver, folder):
    """The children that a driver's trial starts, each in a session of its own, once there are two."""
    driver.until("runs/evolve/s/trials/0000/epochs.jsonl")
    end = time.monotonic() + 60
    while len(found := sleepers(folder)) < 2:
        assert time.monotonic() < end, driver.log.read_text()
        time.sleep(0.01)
    return found


def sleepers(folder):
    return {pid for pid in sessions(folder) if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"}


RULES = "def fitness(metrics):\n    if metrics['recall'] > {most}:\n        raise RuntimeError('too good')\n"
RULES += "    return metrics['recall']\n"


def test_a_fitness_function_that_fails_costs_no_training(driver, evolution, arena, nobody_left):
    options = (
        "--generations",
        "4",
        "--fitness",
        "rules:fitness",
        "--slots-per-device",
        "2",
        "--sleep",
        "0.1",
    )
    (arena / "rules.py").write_text(RULES.format(most=0.1))
    refused = driver(*options)
    assert refused.wait() == 2
    assert "rules:fitness: RuntimeError: too good (rules.py:3); it got {'precision': 0.4" in said(refused)
    assert not (arena / "runs").exists()

    (arena / "rules.py").write_text(RULES.format(most="0.70"))  # the metrics of trial 0 are .76
    first = driver(*options)
    assert first.wait() == 1
    assert "failed: trial 0 is trained, and has no fitness: rules:fitness: RuntimeError: too good" in said(
        first
    )
    assert "Traceback" not in said(first)
    assert evolution.trials[0].state is TrialState.RUNNING
    assert evolution.children[0].info.status == "KILLED"
    second = driver(*options)  # nothing has been mended
    assert second.wait() == 1

    (arena / "rules.py").write_text(RULES.format(most=1))
    assert driver(*options).wait() == 0
    assert states(evolution.trials) == [TrialState.COMPLETE] * 4
    assert [trial.user_attrs["attempts"] for trial in evolution.trials] == [1, 1, 1, 1]
    one_finished_run_each(evolution, range(4))
    assert evolution.children[0].data.metrics["fitness"] == evolution.trials[0].value > 0.7
    assert len(evolution.csv) == 4


def said(driver):
    return " ".join(driver.log.read_text().split())


def test_exit_codes_tell_how_it_went(driver, arena):
    assert driver("--generations", "1").wait() == 0
    assert driver("--generations", "2", "--epochs", "7").wait() == 2
    failing = driver(
        "--generations", "2", "--fail", "raise", "--fail-above", "0", "--max-failures", "2", study="t"
    )
    assert failing.wait() == 1
    assert "2 trials failed in a row" in " ".join(failing.log.read_text().split())


def test_a_trial_process_killed_from_outside_is_run_again(driver, evolution, arena, nobody_left):
    first = driver("--generations", "2", *SLOW)
    first.until(SECOND_TRIAL_AT_WORK)
    trial = min(pid for pid in sessions(arena) if pid != first.pid)
    os.kill(trial, signal.SIGKILL)
    assert first.wait() == 0
    assert [t.user_attrs["attempts"] for t in evolution.trials] == [1, 2]
    one_finished_run_each(evolution, range(2))


def sessions(folder):
    """The processes in a folder that lead a session: drivers and trials."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        try:
            if (entry / "cwd").readlink() == folder.resolve() and os.getsid(pid) == pid:
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.environ.get("HYPEVO_START_METHOD") == "spawn", reason="there is no such server")
def test_the_server_of_the_trial_processes_may_die(driver, evolution, arena, nobody_left):
    first = driver("--generations", "2", *SLOW)
    first.until(SECOND_TRIAL_AT_WORK)
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(first.pid)], capture_output=True, text=True, check=True
    ).stdout
    (server,) = [int(line.split()[0]) for line in listing.splitlines() if "forkserver" in line]
    os.kill(server, signal.SIGKILL)
    assert first.wait() == 0, first.log.read_text()
    one_finished_run_each(evolution, range(2))
    nobody_left(arena)


@pytest.mark.slow
def test_a_driver_killed_at_any_moment_loses_and_repeats_nothing(driver, evolution, arena, nobody_left):
    """The heavy variant, 20 kills of 40 trials, is `benchmarks/soak.py`."""
    total = 12
    options = ("--generations", str(total), "--sleep", "0.05")
    for reports in (
        1,
        2,
        5,
        10,
        15,
        19,
    ):  # on disk, of two a trial: in mid-trial, and where one has just ended
        one = driver(*options)
        end = time.monotonic() + 120
        while reports_on_disk(arena) < reports:
            assert time.monotonic() < end, one.log.read_text()
            time.sleep(0.002)
        assert one.stop(signal.SIGKILL) == -signal.SIGKILL
    assert driver(*options).wait() == 0
    nobody_left(arena)
    assert states(evolution.trials) == [TrialState.COMPLETE] * total
    one_finished_run_each(evolution, range(total))
    assert len(evolution.csv) == total
    steps = steps_of(evolution)
    assert max(Counter(steps).values()) == 1, "an epoch was logged twice"
    assert len(steps) == 2 * total
    resumed = [(trial.params, trial.value) for trial in evolution.trials]
    evolution(total, study="whole", options={"sleep": 0.05})
    whole = evolution.stored("whole")
    assert resumed == [(trial.params, trial.value) for trial in whole]


def reports_on_disk(folder):
    """How many epochs the trials of a study have reported, without those of attempts that were begun anew."""
    total = 0
    for path in folder.glob("runs/evolve/s/trials/*/epochs.jsonl"):
        with suppress(FileNotFoundError):  # the driver has just put this attempt aside
            total += path.read_bytes().count(b"\n")
    return total


def steps_of(evolution):
    """(trial, step) of every point of the fitness curves in MLflow."""
    return [
        (number, metric.step)
        for number, run in evolution.children.items()
        for metric in evolution.client.get_metric_history(run.info.run_id, "fitness")
    ]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hypevo', '--help']\n"
        "from hypevo.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'torchvision', 'mlflow', 'optuna', 'matplotlib', 'numpy', 'sklearn', 'scipy', 'trainers'}\n"
        "print('LOADED', sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "evolve" in answer
    assert answer.splitlines()[-1] == "LOADED []"


@pytest.mark.slow
def test_a_study_in_a_database_has_one_driver_and_a_dead_one_s_successor(
    driver, evolution, arena, nobody_left
):
    """Journals are locked, databases are leased: a lease is judged by its renewals, which takes a while."""
    database = ("--storage", "sqlite:///optuna.db", "--generations", "2", "--sleep", "20", "--epochs", "1")
    first = driver(*database)
    first.until("runs/evolve/s/trials/0000/log.txt")
    second = driver(*database)
    assert second.wait() == 2
    assert f"pid {first.pid}" in second.log.read_text().split("already running")[1]
    assert study_status("sqlite:///optuna.db", "s")["driver"] == f"on {os.uname().nodename}, pid {first.pid}"
    first.stop(signal.SIGKILL)
    nobody_left(arena)
    third = driver("--storage", "sqlite:///optuna.db", "--generations", "0", "--sleep", "20", "--epochs", "1")
    third.until("runs/evolve/s/trials/0000/log.1.txt")
    third.until("runs/evolve/s/trials/0000/log.txt")  # its own attempt has a log to keep
    assert third.stop() == 130
    assert "for a sign of life" in " ".join(third.log.read_text().split())
    fourth = driver(*database)  # the interrupted one gave its lease back
    fourth.until("runs/evolve/s/trials/0000/log.2.txt", seconds=30)
    assert fourth.stop() == 130
    assert study_status("sqlite:///optuna.db", "s")["driver"] is None


@pytest.mark.slow
def test_a_driver_that_was_suspended_leaves_the_study_to_its_successor(driver, evolution):
    options = ("--storage", "sqlite:///optuna.db", "--generations", "2", "--sleep", "3", "--epochs", "2")
    first = driver(*options)
    first.until("runs/evolve/s/trials/0000/epochs.jsonl")
    time.sleep(1.5)  # between two epochs, when it holds no lock of SQLite
    os.kill(first.pid, signal.SIGSTOP)
    second = driver(*options)
    assert second.wait() == 0, second.log.read_text()
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == 1
    assert "another driver took the study over" in " ".join(first.log.read_text().split())
    assert evolution.parent.info.status == "FINISHED"
    assert {run.info.status for run in evolution.children.values()} == {"FINISHED"}
    assert sorted(evolution.children) == [0, 1]


@pytest.mark.slow
def test_a_study_on_a_postgresql_server(driver, evolution, arena, nobody_left, postgresql):
    from hypevo.study.storage import load_study

    options = ("--storage", postgresql, "--generations", "3", *SLOW)
    first = driver(*options)
    first.until(SECOND_TRIAL_AT_WORK)
    second = driver(*options)
    third = driver(*options)
    first.stop(signal.SIGKILL)
    assert sorted((second.wait(), third.wait())) == [0, 2]  # of two successors one goes on
    nobody_left(arena)
    trials = load_study(postgresql, "s").get_trials()
    assert states(trials) == [TrialState.COMPLETE] * 3
    assert [trial.user_attrs["attempts"] for trial in trials] == [1, 2, 1]
    one_finished_run_each(evolution, range(3))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_postgresql_server_that_is_restarted_is_waited_for(
    driver, evolution, arena, nobody_left, postgresql_server, how
):
    from hypevo.study.storage import load_study

    options = (
        "--storage",
        postgresql_server.address,
        "--generations",
        "3",
        "--sleep",
        "0.5",
        "--epochs",
        "4",
    )
    first = driver(*options, study=f"restarted {how}")
    first.until(f"runs/evolve/restarted {how}/trials/0001/epochs.jsonl")
    postgresql_server.stop(how)
    time.sleep(3)
    postgresql_server.start()
    assert first.wait() == 0, first.log.read_text()
    assert "the database does not answer" in said(first)
    assert "the database answers again" in said(first)
    trials = load_study(postgresql_server.address, f"restarted {how}").get_trials()
    assert states(trials) == [TrialState.COMPLETE] * 3
    assert [trial.user_attrs["attempts"] for trial in trials] == [1, 1, 1]
    nobody_left(arena)


@pytest.mark.slow
def test_a_kill_while_mlflow_makes_its_database_leaves_none_or_a_whole_one(
    driver, evolution, arena, nobody_left
):
    (arena / "mlflow.db").unlink()
    chance = random.Random(1)
    half_way = 0
    for _ in range(4):
        one = driver("--generations", "1", "--sleep", "60")
        end = time.monotonic() + 60
        while not list(arena.glob(".mlflow.db.*")) and not (arena / "mlflow.db").exists():
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.5))
        one.stop(signal.SIGKILL)
        half_way += not (arena / "mlflow.db").exists()
    nobody_left(arena)
    assert half_way
    last = driver("--generations", "1", "--sleep", "60")
    last.until("runs/evolve/s/trials/0000/log.txt")
    assert last.stop() == 130
    assert evolution.parent.info.status == "KILLED"
