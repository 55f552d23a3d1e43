"""Trials in processes of their own: what comes back, and that nothing stays."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import wait

import pytest

from hypevo.protocol import Failure, InputError, Job, WorkError
from hypevo.trainings import child, local
from hypevo.trainings.local import LocalBackend
from hypevo.trainings.output import LONGEST_LOG

HYP = {"lr0": 0.01, "momentum": 0.937}


@pytest.fixture
def backend(bare_arena):
    backend = LocalBackend("landscape:train", ["cpu"])
    yield backend
    backend.close()


def job(arena, name="trial", **settings):
    timeout = settings.pop("timeout", None)
    return Job("landscape:train", HYP, arena / name, 0, "cpu", settings, timeout=timeout)


class Told:
    """Takes what a backend tells, and keeps where the job started."""

    def __init__(self, report=lambda *_: None):
        self.report = report
        self.where = []

    def started(self, where):
        self.where.append(where)


def fails(how, **more):
    return {"fail": how, "fail_above": 0.0, **more}


def test_reports_come_in_order_before_the_result(backend, bare_arena):
    steps = []
    outcome = backend.submit(job(bare_arena, epochs=5), Told(lambda step, _: steps.append(step))).result(60)
    assert steps == [0, 1, 2, 3, 4]
    assert outcome.failure is None
    assert set(outcome.metrics) >= {"mAP_0.5"}
    assert "training on cpu with seed 0" in (bare_arena / "trial/log.txt").read_text()


@pytest.mark.parametrize("step", [-1, 10**30])
def test_an_epoch_that_is_no_epoch_is_the_trainings_own_error(backend, bare_arena, monkeypatch, step):
    (bare_arena / "steps.py").write_text(
        f"def train(hyp, *, out, seed, device, report):\n    report({{'a': 1.0}}, step={step})\n"
    )
    monkeypatch.syspath_prepend(str(bare_arena))
    work = Job("steps:train", HYP, bare_arena / "trial", 0, "cpu", {})
    outcome = backend.submit(work, Told()).result(60)
    assert outcome.failure is Failure.CRASHED
    assert f"step={step}; expected the epoch" in outcome.reason


def test_a_time_limit_of_years_is_a_limit(backend, bare_arena):
    assert backend.submit(job(bare_arena, timeout=1e11), Told()).result(60).failure is None


def test_what_a_failing_training_says_is_in_its_log(backend, bare_arena):
    outcome = backend.submit(job(bare_arena, **fails("raise")), Told()).result(60)
    assert outcome.failure is Failure.CRASHED
    assert "broken on purpose" in outcome.reason
    assert "Traceback" in (bare_arena / "trial/log.txt").read_text()


def test_a_cancelled_trial_ends_with_the_failure_it_was_cancelled_for(backend, bare_arena):
    future = backend.submit(
        job(bare_arena, **fails("hang")), Told(lambda *_: backend.cancel(future, Failure.PRUNED))
    )
    assert future.result(60).failure is Failure.PRUNED


def test_closing_kills_all_that_runs_and_their_children(backend, bare_arena, nobody_left):
    reported = []
    futures = [
        backend.submit(
            job(bare_arena, str(number), **fails("child", epochs=200, sleep=0.1)),
            Told(lambda step, _: reported.append(step)),
        )
        for number in range(3)
    ]
    while reported.count(1) < 3:
        time.sleep(0.01)
    backend.close()
    assert {future.result(1).failure for future in futures} == {Failure.INTERRUPTED}
    nobody_left(bare_arena)


@pytest.mark.parametrize("end", ["cancelled", "timed out", "killed", "finished"])
def test_children_in_sessions_of_their_own_end_with_the_trial(backend, bare_arena, nobody_left, end):
    def first_epoch(step, _):
        if step == 1 and end == "cancelled":
            backend.cancel(future, Failure.PRUNED)
        if step == 1 and end == "killed":
            os.kill(next(iter(backend._running.values())).process.pid, signal.SIGKILL)

    many = {"epochs": 3 if end == "finished" else 10**6, "sleep": 0.2}
    limit = 1.5 if end == "timed out" else None
    future = backend.submit(job(bare_arena, **fails("session", **many), timeout=limit), Told(first_epoch))
    expected = {"cancelled": Failure.PRUNED, "timed out": Failure.TIMED_OUT, "killed": Failure.KILLED}
    assert future.result(60).failure is expected.get(end)
    nobody_left(bare_arena)


def test_a_time_limit_holds_for_a_silent_training_and_for_a_talkative_one(backend, bare_arena):
    silent = backend.submit(job(bare_arena, "a", **fails("hang"), timeout=1.0), Told())
    talkative = backend.submit(job(bare_arena, "b", epochs=10**6, timeout=1.0), Told())
    wait([silent, talkative], timeout=60)
    for future in (silent, talkative):
        assert future.result(1).failure is Failure.TIMED_OUT
        assert future.result(1).reason == "stopped after 1 s"


def test_a_process_that_hangs_after_its_last_word_has_finished(backend, bare_arena, monkeypatch, nobody_left):
    monkeypatch.setattr(local, "FAREWELL", 0.5)
    outcome = backend.submit(job(bare_arena, **fails("hang at exit")), Told()).result(60)
    assert outcome.failure is None
    nobody_left(bare_arena)


def test_an_exit_without_a_result_is_the_training_s_own_fault_and_a_signal_is_not(backend, bare_arena):
    left = backend.submit(job(bare_arena, "a", **fails("exit")), Told()).result(60)
    killed = backend.submit(job(bare_arena, "b", **fails("kill")), Told()).result(60)
    assert (left.failure, left.failure.lost) == (Failure.CRASHED, False)
    assert (killed.failure, killed.failure.lost) == (Failure.KILLED, True)


def test_a_big_answer_passes(backend, bare_arena):
    (bare_arena / "big.py").write_text(
        "def train(hyp, *, out, seed, device, report):\n"
        "    big = {f'm{i}': float(i) for i in range(50_000)}\n"
        "    report(big, step=0)\n"
        "    return big\n"
    )
    got = []
    big = Job("big:train", HYP, bare_arena / "big trial", 0, "cpu")
    outcome = backend.submit(big, Told(lambda _, metrics: got.append(len(metrics)))).result(60)
    assert got == [50_000]
    assert len(outcome.metrics) == 50_000


def test_numbers_of_any_kind_come_back_as_floats(backend, bare_arena):
    (bare_arena / "kinds.py").write_text(
        "import numpy as np\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    report({'a': np.float32(0.5), 'b': np.array(2), 'c': True}, step=np.int64(0))\n"
        "    return {'a': np.float64(0.25), 'inf': float('inf')}\n"
    )
    got = []
    kinds = Job("kinds:train", HYP, bare_arena / "kinds", 0, "cpu")
    outcome = backend.submit(kinds, Told(lambda *epoch: got.append(epoch))).result(60)
    assert got == [(0, {"a": 0.5, "b": 2.0, "c": 1.0})]
    assert {type(value) for value in [*outcome.metrics.values(), *got[0][1].values()]} == {float}


@pytest.mark.parametrize(
    ("answer", "words"),
    [("None", "returned NoneType, expected a mapping"), ("{'a': None}", "a = None, expected a number"),
     ("{'a': [1, 2]}", "a = [1, 2], expected a number"), ("0.5", "returned float, expected a mapping")],
)  # fmt: skip
def test_an_answer_that_is_no_metrics_is_explained(backend, bare_arena, answer, words):
    module = "wrong_" + "".join(filter(str.isalnum, answer))
    (bare_arena / f"{module}.py").write_text(
        f"def train(hyp, *, out, seed, device, report):\n    return {answer}\n"
    )
    wrong = Job(f"{module}:train", HYP, bare_arena / "wrong", 0, "cpu")
    outcome = backend.submit(wrong, Told()).result(60)
    assert outcome.failure is Failure.CRASHED
    assert words in outcome.reason


def test_a_call_brings_back_its_result_or_its_error(backend):
    found = backend.call(child.inspect, "landscape:train", {"epochs": "4"}, HYP, {})
    assert found.settings["epochs"] == 4
    with pytest.raises(InputError, match="did you mean «--epochs»"):
        backend.call(child.inspect, "landscape:train", {"epoch": "4"}, HYP, {})
    with pytest.raises(WorkError, match="inspect: TypeError"):
        backend.call(child.inspect, "landscape:train")
    with pytest.raises(WorkError, match=r"_exit ended without an answer: left with exit code 7"):
        backend.call(os._exit, 7)
    with pytest.raises(WorkError, match="killed by SIGTERM"):
        backend.call(signal.raise_signal, signal.SIGTERM)


@pytest.mark.slow
def test_it_works_where_fork_does_not_exist(bare_arena):
    backend = LocalBackend("landscape:train", ["cpu"], method="spawn")
    steps = []
    outcome = backend.submit(job(bare_arena), Told(lambda step, _: steps.append(step))).result(120)
    assert (outcome.failure, steps) == (None, [0, 1])
    backend.close()


def test_no_process_to_be_had_is_a_lost_trial(backend, bare_arena, monkeypatch):
    def full(*_):
        raise OSError("too many processes")

    monkeypatch.setattr(local, "_Process", full)
    outcome = backend.submit(job(bare_arena), Told()).result(1)
    assert (outcome.failure, outcome.reason) == (
        Failure.KILLED,
        "no process for it: OSError('too many processes')",
    )


def test_slots_are_one_for_each_device_first():
    slots = LocalBackend("landscape:train", ["0", "1"], slots_per_device=2).slots()
    assert [slot.device for slot in slots] == ["0", "1", "0", "1"]
    assert len(set(slots)) == 4


REPORTS = {
    "threads": """
import threading
def train(hyp, *, out, seed, device, report):
    workers = [
        threading.Thread(target=lambda k=k: [report({"a": 0.1}, step=50 * k + i) for i in range(50)]) for k in range(8)
    ]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return {"a": 0.5}
""",
    "forks": """
import os
import re
def train(hyp, *, out, seed, device, report):
    for k in range(8):
        if os.fork() == 0:
            for i in range(50): report({f"m{j}": 0.1 for j in range(300)}, step=50 * k + i)
            os._exit(0)
    for _ in range(8): os.wait()
    return {"a": 0.5}
""",
}


@pytest.mark.parametrize("how", REPORTS)
def test_reports_from_threads_and_forked_processes_all_arrive(backend, bare_arena, how):
    (bare_arena / f"many_{how}.py").write_text(REPORTS[how])
    got = []
    many = Job(f"many_{how}:train", HYP, bare_arena / "many", 0, "cpu")
    outcome = backend.submit(many, Told(lambda step, _: got.append(step))).result(60)
    assert outcome.metrics == {"a": 0.5}
    assert sorted(got) == list(range(400))


SHADOWS = ("yaml", "numpy", "typer", "torch", "optuna", "random", "trainers/__init__")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_modules_in_the_working_directory_hide_no_package(bare_arena, method):
    """The embedded training, in a folder with files named like packages, one of them like hypevo's own."""
    (bare_arena / "trainers").mkdir()
    for name in SHADOWS:
        (bare_arena / f"{name}.py").write_text("open('ran', 'a').write(__name__)\n")
    command = [sys.executable, "-m", "hypevo", "check", "--device", "cpu"]
    environ = os.environ | {"HYPEVO_START_METHOD": method}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (bare_arena / "ran").exists()


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_program_that_a_training_starts_finds_the_modules_beside_it(bare_arena, method):
    (bare_arena / "program").mkdir()
    (bare_arena / "program/beside.py").write_text("score = 0.5\n")
    (bare_arena / "program/main.py").write_text("import beside\nprint(beside.score)\n")
    (bare_arena / f"starting_{method}.py").write_text(
        "import subprocess, sys\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    return {'a': float(subprocess.check_output([sys.executable, 'program/main.py'], text=True))}\n"
    )
    backend = LocalBackend(f"starting_{method}:train", ["cpu"], method=method)
    work = Job(f"starting_{method}:train", HYP, bare_arena / "trial", 0, "cpu")
    assert backend.submit(work, Told()).result(120).metrics == {"a": 0.5}
    backend.close()


def test_a_training_that_prints_without_end_has_a_log_that_is_read_in_an_editor(
    backend, bare_arena, monkeypatch
):
    (bare_arena / "loud.py").write_text(
        "import os\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    print('the beginning', flush=True)\n"
        "    for _ in range(1500): os.write(1, b'x' * 99_999 + b'\\n')\n"
        "    print('the end')\n"
        "    return {'a': 1.0}\n"
    )
    monkeypatch.syspath_prepend(str(bare_arena))
    loud = Job("loud:train", HYP, bare_arena / "loud", 0, "cpu", {})
    assert backend.submit(loud, Told()).result(120).metrics == {"a": 1.0}
    log = (bare_arena / "loud" / "log.txt").read_bytes()
    assert len(log) <= LONGEST_LOG
    assert log.startswith(b"the beginning\n")
    assert log.endswith(b"\nthe end\n")
    (left_out,) = re.findall(rb"\n\[hypevo: some ([\d,]+) bytes of output were left out here", log)
    assert 100_000_000 <= int(left_out.replace(b",", b"")) <= 150_000_000
