"""What several trainers have to say before a search, in the same words."""

from __future__ import annotations

Finding = tuple[str, str]  # "error" | "warning" | "note" | "absent", message

NO_POLYGONS = "copy_paste: has no effect, the labels are boxes and it needs polygons"
HIGHEST_FOR_ADAM = 0.01  # learning rate from which on Adam and its relatives tend to diverge


def rate_for_sgd(optimizer: str, lr0: float) -> Finding:
    """Warn of a learning rate of `HIGHEST_FOR_ADAM` or more for an optimizer of Adam's kind."""
    return (
        "warning",
        f"lr0: {lr0} is a rate for SGD; {optimizer} usually starts at 0.001, higher ones tend to diverge",
    )
