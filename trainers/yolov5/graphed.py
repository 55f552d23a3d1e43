"""The network's passes as CUDA graphs: recorded once, replayed with one call each.

A small detector asks a GPU for some 1,500 short operations per batch, and the CPU takes longer to ask than the GPU to
answer. A replay asks once. The operations are the same, and so are their results.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from .model import as_input, mixed

if TYPE_CHECKING:
    from .model import Detector

WORTH_IT = (
    0.25  # of a GPU's memory: larger batches keep it busy without, and a graph keeps its memory for itself
)

Passes = Callable[[Tensor], tuple[Tensor, ...]]


class Network(nn.Module):
    """A detector in training, from bytes to logits in a precision.

    Args:
        model: Whose logits.
        precision: Of its convolutions.
    """

    def __init__(self, model: Detector, precision: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self._precision = precision

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the levels' logits of images (B, 3, H, W) uint8."""
        with mixed(images.device, self._precision):
            return tuple(self.model(as_input(images)))


def recorded(network: Network, images: Tensor) -> Passes | None:
    """Record the network's passes for batches like `images`; None where the GPU's memory is not enough for it.

    The batch statistics stay as they are. The parameters get gradients of zeros, which from then on have to be zeroed
    in place: a replay computes in memory of its own, and a gradient that is taken over from there would change.
    """
    statistics = [buffer.clone() for buffer in network.buffers()]
    passes: Passes | None
    try:
        passes = cast("Passes", torch.cuda.make_graphed_callables(copy.copy(network), (images,)))
    except torch.OutOfMemoryError:
        passes = None
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), statistics, strict=True):
            buffer.copy_(before)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return passes
