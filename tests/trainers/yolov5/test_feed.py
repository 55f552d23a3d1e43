from __future__ import annotations

import threading

import pytest
import torch

from trainers.yolov5.feed import Feed

CPU = torch.device("cpu")


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_items_arrive_in_order_made_by_all_threads(threads):
    made = Feed(CPU, threads).ahead(lambda item, share: list(share(lambda x: x * item, range(5))), range(7))
    assert list(made) == [[0, item, 2 * item, 3 * item, 4 * item] for item in range(7)]


def test_the_next_is_made_while_one_is_in_use():
    second = threading.Event()
    made = Feed(CPU, 1).ahead(lambda item, share: second.set() if item == 1 else None, range(2))
    next(made)
    assert second.wait(60)
    made.close()


def test_without_threads_nothing_is_made_before_it_is_asked_for():
    seen = []
    made = Feed(CPU, 0).ahead(lambda item, share: seen.append(item), range(3))
    next(made)
    assert seen == [0]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_reaches_who_asks_and_leaves_no_thread(threads):
    before = threading.active_count()

    def fail(item, share):
        return list(share(lambda x: 1 // x, [1, 0]))

    with pytest.raises(ZeroDivisionError):
        list(Feed(CPU, threads).ahead(fail, range(3)))
    assert threading.active_count() == before


def test_who_asks_for_no_more_leaves_no_thread():
    before = threading.active_count()
    made = Feed(CPU, 2).ahead(lambda item, share: item, range(100))
    assert next(made) == 0
    del made
    assert threading.active_count() == before


def test_a_training_on_one_core_gets_no_thread_and_on_several_one():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert Feed(CPU).threads == 0
        torch.set_num_threads(2)
        assert Feed(CPU).threads == 1
    finally:
        torch.set_num_threads(threads)


def test_bytes_reach_a_device_that_is_no_cuda_without_pinning():
    """As MPS has it: the device without memory stands in, and pinning would ask for CUDA."""
    feed = Feed(torch.device("meta"), 0)
    sent = feed.send(feed.buffer(12)).received()
    assert (sent.device.type, sent.shape) == ("meta", (12,))
