"""The outbox: what is put in arrives once, in order, whatever the other side does meanwhile."""

import signal
import threading

import pytest

from hypevo.tracking import outbox
from hypevo.tracking.outbox import Outbox, Refused, Turn


class Other:
    """The other side: keeps what it gets; `away` makes it raise, `refused` are keys it will never take."""

    def __init__(self):
        self.got = []
        self.away = False
        self.refused = ()
        self.tries = 0

    def take(self, key, item):
        self.tries += 1
        if key in self.refused:
            raise Refused(f"{key[0]} {key[1]}: bad name")
        if self.away:
            raise ConnectionError("nobody there")
        self.got.append((key, item))


@pytest.fixture
def other():
    return Other()


@pytest.fixture
def box(other, monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    return Outbox("MLflow", other.take)


def test_what_is_stopped_sends_only_what_is_on_its_way():
    sent, begun, go_on = [], threading.Event(), threading.Event()

    def send(key, item):
        begun.set()
        go_on.wait()
        sent.append(item)

    box = Outbox("MLflow", send)
    box.start()
    for number in range(3):
        box.put(("trial", number), number)
    assert begun.wait(10)
    threading.Timer(0.1, go_on.set).start()
    box.stop()
    assert sent == [0]
    box.stop()


def test_urgent_items_go_first_and_the_latest_form_counts(box, other):
    box.put(("file", 1), "old")
    box.put(("file", 2), "x")
    box.put(("trial", 0), "y", Turn.FIRST)
    box.put(("file", 1), "new")
    box.start()
    assert box.close(1.0) == set()
    assert other.got == [(("trial", 0), "y"), (("file", 1), "new"), (("file", 2), "x")]
    assert box.notices() == []


def test_what_could_not_be_sent_arrives_when_the_other_side_is_back(box, other):
    other.away = True
    box.start()
    for number in range(3):
        box.put(("trial", number), number)
    while other.tries < 5:
        pass
    other.away = False
    assert box.close(10.0) == set()
    assert sorted(item for _, item in other.got) == [0, 1, 2]
    away, back = box.notices()
    assert "MLflow does not answer (ConnectionError: nobody there)" in away
    assert back == "MLflow answers again"
    assert box.notices() == []


def test_closing_gives_up_in_time_and_names_what_is_left(box, other):
    other.away = True
    box.put(("trial", 1), "a")
    box.put(("file", "x"), "b")
    box.start()
    assert box.close(0.05) == {("trial", 1), ("file", "x")}
    assert other.got == []


def test_what_is_refused_is_dropped_and_said(box, other):
    other.refused = [("trial", 1)]
    box.put(("trial", 1), "a")
    box.put(("trial", 2), "b")
    box.start()
    assert box.close(1.0) == set()
    assert other.got == [(("trial", 2), "b")]
    assert box.notices() == ["MLflow refuses trial 1: bad name"]


def test_one_item_that_always_fails_holds_up_no_other(other, monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)

    def take(key, item):
        if item == "poison":
            raise KeyError("a bug")
        other.take(key, item)

    box = Outbox("MLflow", take)
    box.start()
    box.put(("trial", 0), "poison")
    for number in range(1, 4):
        box.put(("trial", number), number)
    assert box.close(0.3) == {("trial", 0)}
    assert [item for _, item in other.got] == [1, 2, 3]
    assert len(box.notices()) == 1  # said once


def test_a_newer_form_put_in_while_the_older_one_fails_is_the_one_sent(other, monkeypatch):
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)
    failing = threading.Event()
    go_on = threading.Event()

    def take(key, item):
        if item == "old":
            failing.set()
            go_on.wait(10)
            raise ConnectionError
        other.take(key, item)

    box = Outbox("MLflow", take)
    box.start()
    box.put(("trial", 0), "old")
    failing.wait(10)
    box.put(("trial", 0), "new")
    go_on.set()
    assert box.close(5.0) == set()
    assert other.got == [(("trial", 0), "new")]


def slow_box(count, *, last=None):
    """An outbox with many items, the other side of which takes until `answer` is set for each."""
    answer, begun, sent = threading.Event(), threading.Event(), []

    def send(key, item):
        begun.set()
        if key[0] != "end":
            answer.wait(60)
        sent.append(key)

    box = Outbox("MLflow", send)
    for number in range(count):
        box.put(("trial", number), number)
    if last:
        box.put(last, None, Turn.LAST)
    box.start()
    assert begun.wait(10)
    return box, answer, sent


def test_closing_leaves_a_slow_other_side_in_time_and_says_what_is_left():
    box, answer, sent = slow_box(20_000)
    assert len(box.close(0.2)) == 20_000  # the one on its way included: nobody knows whether it arrives
    assert sent == []
    answer.set()


def test_what_closing_waits_for_is_told(monkeypatch):
    monkeypatch.setattr(outbox, "TELL_FIRST", 0.01)
    box, answer, _ = slow_box(812)
    told = []

    def tell(words):
        told.append(words)
        answer.set()

    assert box.close(60.0, tell) == set()
    assert "MLflow: 812 items left, waiting 60 s at most; Ctrl-C leaves at once" in told[0]


def test_an_interrupt_ends_the_waiting_and_the_sending(monkeypatch, request):
    monkeypatch.setattr(outbox, "TELL_FIRST", 0.01)
    box, answer, sent = slow_box(20_000)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored by what a shell starts with «&»
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def interrupt(_):
        signal.raise_signal(signal.SIGINT)  # as a user does while a message is shown

    with pytest.raises(KeyboardInterrupt):
        box.close(3600.0, interrupt)
    answer.set()
    box.stop()
    assert len(sent) <= 1


def test_what_comes_last_is_sent_before_the_patience_is_over(monkeypatch):
    """A study's run is ended although 20,000 items are left."""
    monkeypatch.setattr(outbox, "TELL_FIRST", 0.01)
    monkeypatch.setattr(outbox, "LAST_SHARE", 0.0)  # so that the moment has come when it begins to wait
    box, answer, sent = slow_box(20_000, last=("end", ""))
    box.close(60.0, lambda _: answer.set())
    assert sent[:2] == [("trial", 0), ("end", "")]


def test_what_comes_last_waits_for_all_others(box, other):
    box.put(("end", ""), "end", Turn.LAST)
    box.start()
    box.put(("trial", 0), "first")
    assert box.close(10.0) == set()
    assert [item for _, item in other.got] == ["first", "end"]
