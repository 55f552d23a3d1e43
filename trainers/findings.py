"""What several trainers have to say before a search, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Finding = tuple[str, str]  # "error" | "warning" | "note" | "absent", message

NO_POLYGONS = "copy_paste: has no effect, the labels are boxes and it needs polygons"
_NAMED = 12  # classes without a box
HIGHEST_FOR_ADAM = 0.01  # learning rate from which on Adam and its relatives tend to diverge


def rate_for_sgd(optimizer: str, lr0: float) -> Finding:
    """Warn of a learning rate of `HIGHEST_FOR_ADAM` or more for an optimizer of Adam's kind."""
    return (
        "warning",
        f"lr0: {lr0} is a rate for SGD; {optimizer} usually starts at 0.001, higher ones tend to diverge",
    )


def contents(
    part: str, *, images: int, labelled: int, boxes: Mapping[int, int], names: Sequence[str]
) -> Finding:
    """Say what a part of a dataset holds.

    Args:
        part: Its key in the data.yaml; of `train`, the classes without a box are named.
        images: How many there are.
        labelled: How many of them have a box.
        boxes: How many there are of each class that has one.
        names: Of the classes.
    """
    background = images - labelled
    text = (
        f"{part}: {images:,} images"
        + (f", {background:,} of them background (no box)" if background else ", all with boxes")
        + f"; {sum(boxes.values()):,} boxes of {len(boxes):,} of {len(names):,} classes"
    )
    lacking = [printable(name) for number, name in enumerate(names) if number not in boxes]
    if part == "train" and lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        text += f"; no box here of {', '.join(lacking[:_NAMED])}{more}"
    return "note", text
