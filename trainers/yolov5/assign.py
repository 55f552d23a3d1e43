"""Which anchors and cells answer for which targets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Assignment:
    """The n predictions of one level that could answer for a target, and whether they do."""

    valid: Tensor  # (n,) bool: the prediction answers
    image: Tensor  # (n,) index in the batch
    anchor: Tensor  # (n,) index in the level's anchors
    row: Tensor  # (n,) cell
    column: Tensor  # (n,) cell
    box: Tensor  # (n, 4) centre relative to the cell's corner, width, height; in cells
    shape: Tensor  # (n, 2) the anchor's width and height, in cells
    label: Tensor  # (n,) class

    def compact(self) -> Assignment:
        """Drop the rows that are not valid; on a GPU this waits for their count."""
        return Assignment(*(getattr(self, field.name)[self.valid] for field in fields(self)))


def assign(
    targets: Tensor, grids: Sequence[tuple[int, int]], anchors: Tensor, threshold: float
) -> list[Assignment]:
    """Assign targets to predictions.

    An anchor answers for a target when no side is `threshold` times longer or shorter; it does so in the
    target's own cell and in the neighbours that begin within half a cell of its centre.

    Args:
        targets: (t, 6) image, class, centre x, y, width, height; boxes as fractions of the input.
        grids: Rows and columns of each level.
        anchors: (levels, anchors, 2) in cells.
        threshold: The hyperparameter anchor_t.

    Returns:
        One assignment per level, ordered by cell (own, left, up, right, down), then anchor, then target.
    """
    return [_level(targets, grid, level, threshold) for grid, level in zip(grids, anchors, strict=True)]


def _level(targets: Tensor, grid: tuple[int, int], anchors: Tensor, threshold: float) -> Assignment:
    rows, columns = grid
    x, y = targets[:, 2] * columns, targets[:, 3] * rows
    w, h = targets[:, 4] * columns, targets[:, 5] * rows
    ratio = torch.stack((w, h), 1) / anchors[:, None]  # (a, t, 2)
    fits = torch.maximum(ratio, 1 / ratio).amax(2) < threshold

    own = torch.ones_like(x, dtype=torch.bool)
    reached = torch.stack((own, _near(x), _near(y), _near(columns - x), _near(rows - y)))  # (5, t)
    column = torch.stack((x, x - 0.5, x, x + 0.5, x)).long().clamp(0, columns - 1)
    row = torch.stack((y, y, y - 0.5, y, y + 0.5)).long().clamp(0, rows - 1)
    box = torch.stack((x - column, y - row, w.expand(5, -1), h.expand(5, -1)), 2)  # (5, t, 4)

    all_ = (5, len(anchors), len(targets))
    index = torch.arange(len(anchors), device=targets.device)
    return Assignment(
        valid=(reached[:, None] & fits).flatten(),
        image=targets[:, 0].long().expand(all_).flatten(),
        anchor=index[:, None].expand(all_).flatten(),
        row=row[:, None].expand(all_).flatten(),
        column=column[:, None].expand(all_).flatten(),
        box=box[:, None].expand(*all_, 4).flatten(0, 2),
        shape=anchors[:, None].expand(*all_, 2).flatten(0, 2),
        label=targets[:, 1].long().expand(all_).flatten(),
    )


def _near(distance: Tensor) -> Tensor:
    """Whether a centre this far from the input's border is close to the next cell on that side."""
    return (distance % 1 < 0.5) & (distance > 1)
