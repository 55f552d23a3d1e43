"""Batches made ahead of their use: threads fill memory that a GPU copies from, on a stream of its own."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor

Item = TypeVar("Item")
Made = TypeVar("Made")

Map = Any  # `map`, or one that works in threads; its calls may be of any signature

MOST_THREADS = 4  # from which on reading and copying images no longer gets faster


class Feed:
    """Makes batches for a device while it works on earlier ones.

    Args:
        device: Where the tensors are wanted.
        threads: That make them; 0 makes each batch when it is asked for. By default up to 4 beside a GPU. A
            training on a CPU gets one where it may use several cores, and none where it has one.
    """

    def __init__(self, device: torch.device, threads: int | None = None) -> None:
        self.device = device
        on_cpu = device.type == "cpu"
        if threads is None:
            threads = int(torch.get_num_threads() > 1) if on_cpu else min(MOST_THREADS, os.cpu_count() or 1)
        self.threads = threads
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def ahead(self, make: Callable[[Item, Map], Made], items: Iterable[Item]) -> Iterator[Made]:
        """Yield what is made of each item, in order; the next is being made meanwhile.

        `make` gets, besides the item, a `map` whose calls the threads share.
        """
        if not self.threads:
            yield from (make(item, map) for item in items)
            return
        workers, maker = ThreadPoolExecutor(self.threads), ThreadPoolExecutor(1)
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(maker.submit(make, item, workers.map))
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also where nobody asks for the rest
            maker.shutdown(cancel_futures=True)
            workers.shutdown(cancel_futures=True)

    def buffer(self, size: int) -> Tensor:  # (size,) uint8
        """Return memory that the device copies from fastest."""
        with self._on_device():
            return torch.empty(size, dtype=torch.uint8, pin_memory=self._stream is not None)

    def send(self, tensor: Tensor) -> Sent:
        """Begin to copy a tensor from `buffer` to the device, beside what the device computes."""
        if self._stream is None:
            return Sent(tensor.to(self.device))
        with self._on_device(), torch.cuda.stream(self._stream):
            return Sent(tensor.to(self.device, non_blocking=True), self._stream.record_event())

    def _on_device(self) -> AbstractContextManager[object]:
        """Threads begin on the first GPU; a context there would cost its memory."""
        return torch.cuda.device(self.device) if self._stream is not None else nullcontext()


class Sent:
    """A tensor on its way to a device."""

    def __init__(self, tensor: Tensor, arrival: torch.cuda.Event | None = None) -> None:
        self._tensor = tensor
        self._arrival = arrival

    def received(self) -> Tensor:
        """Return the tensor; what the device does with it from here on waits for its arrival, the CPU does not."""
        if self._arrival is not None:
            stream = torch.cuda.current_stream(self._tensor.device)
            stream.wait_event(self._arrival)
            self._tensor.record_stream(stream)
        return self._tensor
