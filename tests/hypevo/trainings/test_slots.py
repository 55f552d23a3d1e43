"""The loop that keeps slots busy: what it starts, repeats, scores, and how it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import Future

import pytest

from hypevo.problem.fitness import parse_fitness
from hypevo.protocol import Failure, Outcome, WorkError
from hypevo.trainings.backend import Slot
from hypevo.trainings.record import Record
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import Training, Work

GOOD = Outcome({"score": 0.5}, seconds=1.0)
KILLED = Outcome(failure=Failure.KILLED, reason="by somebody")
CRASHED = Outcome(failure=Failure.CRASHED, reason="bug")
FULL = Outcome(failure=Failure.OUT_OF_MEMORY, reason="CUDA out of memory")
ECC = Outcome(failure=Failure.DEVICE_FAILED, reason="CUDA error: uncorrectable ECC error encountered")


class InThreads:
    """A backend whose jobs answer with the outcomes they are told to, in threads of this process."""

    def __init__(self, *slots, outcomes=None, hold=(), devices=None):
        self._slots = list(slots) or [Slot("cpu")]
        self.outcomes = {number: deque(ends) for number, ends in (outcomes or {}).items()}
        self.devices = devices or {}  # how everything ends on them
        self.hold = set(hold)  # jobs that end only when they are stopped
        self.jobs = []
        self.held = {}
        self.most_at_once = 0
        self.running = set()
        self.beside = {}  # (training, its share of the memory): how many ran when it began
        self.closed = 0

    def slots(self):
        return self._slots

    def submit(self, job, events):
        self.jobs.append(job)
        number = int(job.out.name)
        self.running.add(number)
        self.most_at_once = max(self.most_at_once, len(self.running))
        self.beside[number, job.share] = len(self.running) - 1
        future = Future()

        def work():
            events.started(job.device)
            events.report(0, {"score": 0.1})
            if number in self.hold:
                self.held[number] = future
                return
            self.running.discard(number)
            ends = self.outcomes.get(number)
            future.set_result(ends.popleft() if ends else self.devices.get(job.device, GOOD))

        threading.Thread(target=work).start()
        return future

    def cancel(self, future, failure):
        future.set_result(Outcome(failure=failure))

    def instead_of(self, device):
        return None

    def call(self, function, *args, slot=None):
        return function(*args)

    def prepare(self, trainer, settings, cache):
        raise NotImplementedError

    def on_change(self, changed):
        self.changed = changed

    def settle(self, folder, *, keep):
        pass

    def sweep(self, mark):
        pass

    def close(self):
        self.closed += 1
        for future in self.held.values():
            if not future.done():
                future.set_result(Outcome(failure=Failure.INTERRUPTED))


class Some:
    """A source with a number of trainings, which takes down what the loop tells it."""

    def __init__(self, folder, count, unscored=()):
        self.trainings = [
            Training(n, f"training {n}", Record(folder / str(n), n), {"lr0": 0.1}, seed=n)
            for n in range(count)
        ]
        self.waiting = deque(self.trainings)
        self.left = unscored
        self.begun_ = []
        self.losses = []
        self.ends = []
        self.prune = set()
        self.caught_up = 0
        self.enough = False
        self.on_report = lambda training: None

    def unscored(self):
        return self.left

    def stopped(self):
        return self.enough

    def next(self, active):
        return self.waiting.popleft() if self.waiting else None

    def begun(self, training):
        assert training.record.details["attempt"] == training.attempt
        self.begun_.append((training.number, training.attempt))

    def reported(self, training, step, metrics, fitness):
        self.on_report(training)
        return training.number in self.prune

    def lost(self, training, outcome):
        self.losses.append((training.number, training.losses))

    def ended(self, training, outcome, fitness):
        self.ends.append((training.number, outcome.failure, fitness))

    def catch_up(self):
        self.caught_up += 1


@pytest.fixture
def loop(tmp_path):
    from tests.hypevo.conftest import Recorder

    def run(source, backend, fitness="score", metrics=("score",), **work):
        watcher = Recorder()
        slots = Slots(backend, source, Work("t:train", {}, parse_fitness(fitness, metrics), **work), watcher)
        source.slots, source.watcher = slots, watcher
        return slots.run()

    return run


def test_every_training_is_done_once_and_scored(tmp_path, loop):
    source, backend = Some(tmp_path, 5), InThreads(Slot("0"), Slot("1"))
    end = loop(source, backend)
    assert sorted(source.ends) == [(n, None, 0.5) for n in range(5)]
    assert (end.interrupted, end.unscored, backend.most_at_once <= 2, backend.closed) == (False, "", True, 1)
    assert {training.record.result.fitness for training in source.trainings} == {0.5}
    assert {job.device for job in backend.jobs} == {"0", "1"}
    assert [epoch.metrics["fitness"] for epoch in source.trainings[0].record.epochs] == [0.1]


def test_what_is_lost_runs_again_as_often_as_asked(tmp_path, loop):
    source = Some(tmp_path, 2)
    loop(source, InThreads(outcomes={0: [KILLED, KILLED, GOOD], 1: [KILLED] * 9}), retries=2)
    assert source.begun_ == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert source.losses == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]
    assert source.ends == [(0, None, 0.5), (1, Failure.KILLED, None)]


def test_a_training_s_own_failure_is_not_repeated(tmp_path, loop):
    source = Some(tmp_path, 1)
    loop(source, InThreads(outcomes={0: [Outcome(failure=Failure.CRASHED, reason="bug")]}))
    assert source.ends == [(0, Failure.CRASHED, None)]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_result_without_a_finite_fitness_has_diverged(tmp_path, loop, score):
    source = Some(tmp_path, 1)
    metrics = {} if score is None else {"score": score}
    loop(source, InThreads(outcomes={0: [Outcome(metrics)]}))
    assert source.ends == [(0, Failure.DIVERGED, None)]
    assert "score is missing or not finite" in source.trainings[0].record.result.reason


def test_what_the_source_gives_up_is_pruned(tmp_path, loop):
    source = Some(tmp_path, 2)
    source.prune = {0}
    loop(source, InThreads(hold={0}))
    assert sorted(source.ends) == [(0, Failure.PRUNED, None), (1, None, 0.5)]


def test_a_fitness_function_that_fails_starts_no_more_and_keeps_the_metrics(tmp_path, loop, monkeypatch):
    (tmp_path / "picky.py").write_text("def judge(metrics): raise RuntimeError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = Some(tmp_path, 3)
    end = loop(source, InThreads(), fitness="picky:judge")
    assert end.unscored.startswith(
        "training 0 is trained, and has no fitness: picky:judge: RuntimeError: not today"
    )
    assert source.begun_ == [(0, 1)]
    assert source.trainings[0].record.unscored.metrics == {"score": 0.5}

    again = Some(tmp_path, 1, unscored=[(source.trainings[0], source.trainings[0].record.unscored)])
    again.waiting.clear()
    loop(again, InThreads())
    assert again.ends == [(0, None, 0.5)]


def test_a_stopped_source_starts_nothing_and_lets_what_runs_end(tmp_path, loop):
    source = Some(tmp_path, 3)
    source.on_report = lambda training: setattr(source, "enough", True)
    loop(source, InThreads())
    assert source.ends == [(0, None, 0.5)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_before_all_that_waits_to_be_handled(tmp_path, loop, number):
    source, backend = Some(tmp_path, 1), InThreads(hold={0})
    reports = []

    def first_report(training):
        reports.append(training)
        if len(reports) == 1:
            for step in range(20_000):
                source.slots._events.put((0, (step, {"score": 0.1})))
            os.kill(os.getpid(), number)

    source.on_report = first_report
    before = signal.signal(number, signal.default_int_handler)  # under `nohup` it is ignored
    try:
        end = loop(source, backend)
    finally:
        signal.signal(number, before)
    assert end.interrupted
    assert len(reports) < 100
    assert source.ends == []
    assert backend.closed == 1
    assert source.trainings[0].record.result is None  # it will be done again


def test_an_error_from_another_thread_ends_it(tmp_path, loop):
    source = Some(tmp_path, 1)
    source.on_report = lambda training: source.slots.fail(WorkError("taken over"))
    with pytest.raises(WorkError, match="taken over"):
        loop(source, InThreads(hold={0}))


def test_slots_that_join_later_are_used(tmp_path, loop):
    source, backend = Some(tmp_path, 4), InThreads(Slot("0"))
    source.on_report = lambda training: backend._slots.append(Slot("1")) if len(backend._slots) == 1 else None
    loop(source, backend)
    assert {job.device for job in backend.jobs} == {"0", "1"}


def test_machines_that_leave_are_waited_for_and_the_next_one_goes_on(tmp_path, loop):
    source, backend = Some(tmp_path, 4), InThreads(Slot("0", node="a"), outcomes={0: [KILLED, GOOD]})

    def leave(training):
        if backend._slots == [Slot("0", node="a")]:  # with the first training
            backend._slots = []
            threading.Timer(0.3, join).start()

    def join():
        backend._slots = [Slot("0", node="b")]
        backend.changed()

    source.on_report = leave
    end = loop(source, backend)
    assert not end.interrupted
    assert sorted(source.ends) == [(n, None, 0.5) for n in range(4)]
    assert [job.node for job in backend.jobs] == ["a", "b", "b", "b", "b"]
    assert "no machine is left; waiting for one to join (Ctrl-C to stop)" in source.watcher.messages
    tags = source.trainings[0].record.details["tags"]
    assert (tags["hypevo.node"], tags["hypevo.attempt"]) == ("b", "2")


def test_a_lost_training_goes_to_another_machine_where_there_is_one(tmp_path, loop):
    slots = [Slot("0", node="a"), Slot("1", node="a"), Slot("0", node="b")]
    backend = InThreads(*slots, outcomes={0: [KILLED, GOOD]})
    source = Some(tmp_path, 8)
    loop(source, backend)
    first, second = [job.node for job in backend.jobs if job.out.name == "0"]
    assert {first, second} == {"a", "b"}
    assert [end[1] for end in source.ends] == [None] * 8


def test_one_that_waits_for_another_device_counts_as_under_way(tmp_path, loop):
    source, backend = Some(tmp_path, 9), InThreads(Slot("0"), Slot("1"), hold={0, 1})

    def next_(active):  # as an evolution of two trials
        return source.waiting.popleft() if len(source.ends) + active < 2 else None

    def end_soon(number, outcome):
        def end():
            while number not in backend.held:
                time.sleep(0.01)
            backend.held[number].set_result(outcome)

        threading.Thread(target=end).start()

    def reported(training):
        if (
            training.number == 1
        ):  # both run: the first one is lost, and the device of the second is better for it
            backend.hold.discard(0)
            end_soon(0, KILLED)

    def lost(training, outcome):
        end_soon(1, GOOD)

    source.next, source.on_report, source.lost = next_, reported, lost
    loop(source, backend)
    assert sorted(source.ends) == [(0, None, 0.5), (1, None, 0.5)]
    assert [job.device for job in backend.jobs if job.out.name == "0"] == ["0", "1"]


def test_one_that_shall_have_a_device_alone_is_not_lost_with_the_devices_machine(tmp_path, loop):
    slots = [Slot("0", 0, "a"), Slot("0", 1, "a")]
    backend = InThreads(*slots, outcomes={0: [FULL, GOOD]})
    source = Some(tmp_path, 3)

    def leave(training):
        if training.number == 1:
            backend._slots = [Slot("0", 0, "b"), Slot("0", 1, "b")]

    source.on_report = leave
    loop(source, backend)
    assert sorted(source.ends) == [(n, None, 0.5) for n in range(3)]


def test_threads_are_shared_among_slots_only(tmp_path, loop):
    alone, shared = InThreads(Slot("0")), InThreads(Slot("0"), Slot("1"))
    loop(Some(tmp_path / "a", 1), alone)
    loop(Some(tmp_path / "b", 1), shared)
    assert alone.jobs[0].threads is None
    assert shared.jobs[0].threads == max(1, len(os.sched_getaffinity(0)) // 2)


def test_a_device_that_fails_is_set_aside_and_its_trainings_run_elsewhere(tmp_path, loop):
    source, backend = Some(tmp_path, 12), InThreads(Slot("0"), Slot("1"), devices={"1": ECC})
    end = loop(source, backend)
    assert sorted(source.ends) == [(n, None, 0.5) for n in range(12)]
    assert [job.device for job in backend.jobs].count("1") == 2
    assert not end.interrupted
    assert [text for text in source.watcher.messages if "set aside" in text] == [
        "device 1 is set aside: it failed 2 trainings in a row"
        + source.watcher.messages[0].partition("in a row")[2]
    ]
    assert "uncorrectable ECC" in source.watcher.messages[0]


def test_a_device_that_crashes_what_others_finish_is_set_aside(tmp_path, loop):
    source, backend = Some(tmp_path, 40), InThreads(Slot("0"), Slot("1"), devices={"1": CRASHED})
    loop(source, backend)
    crashed = [end for end in source.ends if end[1] is Failure.CRASHED]
    on_it = [job for job in backend.jobs if job.device == "1"]
    assert len(source.ends) == 40
    assert len(crashed) == len(on_it) - 1  # the one that settled it was repeated elsewhere
    assert len(on_it) < 40


def test_trainings_that_crash_everywhere_set_no_device_aside(tmp_path, loop):
    source, backend = (
        Some(tmp_path, 12),
        InThreads(Slot("0"), Slot("1"), devices={"0": CRASHED, "1": CRASHED}),
    )
    loop(source, backend)
    assert [end[1] for end in source.ends] == [Failure.CRASHED] * 12


def test_without_a_device_left_it_ends_and_says_so(tmp_path, loop):
    source = Some(tmp_path, 3)
    with pytest.raises(
        WorkError, match=r"no device is left: 0 failed 2 trainings in a row: CUDA error: uncorr"
    ):
        loop(source, InThreads(Slot("0"), devices={"0": ECC}))
    assert source.ends == []  # the next start does them


def test_what_found_no_memory_beside_others_is_tried_once_alone(tmp_path, loop):
    slots = [Slot("0", 0), Slot("0", 1)]
    backend = InThreads(*slots, outcomes={1: [FULL, GOOD], 3: [FULL, FULL]})
    source = Some(tmp_path, 6)
    loop(source, backend)
    ends = {number: failure for number, failure, _ in source.ends}
    assert ends == {0: None, 1: None, 2: None, 3: Failure.OUT_OF_MEMORY, 4: None, 5: None}
    assert {job.share for job in backend.jobs} == {0.5, 1.0}
    assert backend.beside[1, 1.0] == backend.beside[3, 1.0] == 0
    assert source.losses == []


def test_alone_on_a_device_it_is_not_tried_again(tmp_path, loop):
    source = Some(tmp_path, 1)
    loop(source, InThreads(Slot("0"), Slot("1"), outcomes={0: [FULL]}))
    assert source.ends == [(0, Failure.OUT_OF_MEMORY, None)]


def test_a_metric_that_never_comes_ends_it_at_the_first_report(tmp_path, loop):
    source, backend = Some(tmp_path, 3), InThreads(Slot("0"), Slot("1"), hold={0, 1})
    end = loop(source, backend, fitness="accuracy", metrics=())
    assert "epoch 1: the fitness «accuracy» reads accuracy; the first report has score" in end.unscored
    assert source.ends == []
    assert backend.closed == 1


def test_a_declared_metric_that_the_result_lacks_ends_it_with_the_metrics_kept(tmp_path, loop):
    source = Some(tmp_path, 3)
    end = loop(source, InThreads(), fitness="accuracy", metrics=("accuracy",), declared=("accuracy",))
    assert end.unscored.startswith("training 0 is trained, and has no fitness: the fitness «accuracy» reads")
    assert source.begun_ == [(0, 1)]
    assert source.trainings[0].record.unscored.metrics == {"score": 0.5}


def test_weights_are_gathered_wherever_the_training_has_put_them(tmp_path, loop):
    source = Some(tmp_path, 2)
    folders = [training.record.folder for training in source.trainings]

    def leave(training):
        for name in ("run/weights/best.pt", "run/best.pt", "weights/own.pt", "run/notes.txt"):
            (training.record.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (training.record.folder / name).write_text(name)

    source.on_report = leave
    loop(
        source,
        InThreads(outcomes={1: [Outcome(failure=Failure.CRASHED)]}),
        weights=("run/**/*.pt", "**/*.pt"),
    )
    for folder in folders:  # of the one that failed too
        found = {path.name: path.read_text() for path in (folder / "weights").iterdir()}
        assert found == {
            "best.pt": "run/best.pt",
            "run-weights-best.pt": "run/weights/best.pt",
            "own.pt": "weights/own.pt",
        }
        assert (folder / "run/notes.txt").exists()
