"""The loop that keeps slots busy: what it starts, repeats, scores, and how it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from concurrent.futures import Future

import pytest

from hypevo.problem.fitness import parse_fitness
from hypevo.protocol import Failure, Outcome, WorkError
from hypevo.trainings.backend import Slot
from hypevo.trainings.record import Record
from hypevo.trainings.slots import Slots, Work
from hypevo.trainings.source import Training

GOOD = Outcome({"score": 0.5}, seconds=1.0)
KILLED = Outcome(failure=Failure.KILLED, reason="by somebody")


class InThreads:
    """A backend whose jobs answer with the outcomes they are told to, in threads of this process."""

    def __init__(self, *slots, outcomes=None, hold=()):
        self._slots = list(slots) or [Slot("cpu")]
        self.outcomes = {number: deque(ends) for number, ends in (outcomes or {}).items()}
        self.hold = set(hold)  # jobs that end only when they are stopped
        self.jobs = []
        self.held = {}
        self.most_at_once = 0
        self.running = set()
        self.closed = 0

    def slots(self):
        return self._slots

    def submit(self, job, events):
        self.jobs.append(job)
        number = int(job.out.name)
        self.running.add(number)
        self.most_at_once = max(self.most_at_once, len(self.running))
        future = Future()

        def work():
            events.started(job.device)
            events.report(0, {"score": 0.1})
            if number in self.hold:
                self.held[number] = future
                return
            self.running.discard(number)
            ends = self.outcomes.get(number)
            future.set_result(ends.popleft() if ends else GOOD)

        threading.Thread(target=work).start()
        return future

    def cancel(self, future, failure):
        future.set_result(Outcome(failure=failure))

    def call(self, function, *args, slot=None):
        return function(*args)

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
    end = loop(source, backend)
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


def test_threads_are_shared_among_slots_only(tmp_path, loop):
    alone, shared = InThreads(Slot("0")), InThreads(Slot("0"), Slot("1"))
    loop(Some(tmp_path / "a", 1), alone)
    loop(Some(tmp_path / "b", 1), shared)
    assert alone.jobs[0].threads is None
    assert shared.jobs[0].threads == max(1, len(os.sched_getaffinity(0)) // 2)


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
