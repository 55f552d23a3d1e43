"""The genes of Ultralytics: those that its own tuner moves, with its bounds, and its own defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# As the tuner of release 8.4 states its search space (`Tuner(...).space`): low, high, and the gain where it is not 1.
BOUNDS: Mapping[str, tuple[float, ...]] = {
    "lr0": (1e-5, 1e-2),
    "lrf": (0.01, 1.0),
    "momentum": (0.7, 0.98, 0.3),
    "weight_decay": (0.0, 0.001),
    "warmup_epochs": (0.0, 5.0),
    "warmup_momentum": (0.0, 0.95),
    "box": (1.0, 20.0),
    "cls": (0.1, 4.0),
    "cls_pw": (0.0, 1.0),
    "dfl": (0.4, 12.0),
    "hsv_h": (0.0, 0.1),
    "hsv_s": (0.0, 0.9),
    "hsv_v": (0.0, 0.9),
    "degrees": (0.0, 45.0),
    "translate": (0.0, 0.9),
    "scale": (0.0, 0.95),
    "shear": (0.0, 10.0),
    "perspective": (0.0, 0.001),
    "flipud": (0.0, 1.0),
    "fliplr": (0.0, 1.0),
    "bgr": (0.0, 1.0),
    "mosaic": (0.0, 1.0),
    "mixup": (0.0, 1.0),
    "cutmix": (0.0, 1.0),
    "copy_paste": (0.0, 1.0),
    "close_mosaic": (0, 10),
}
WHOLE = ("close_mosaic",)  # epochs


def genes(defaults: Mapping[str, Any], *, masks: bool) -> dict[str, dict[str, Any]]:
    """The search space, in the form of a space file.

    Args:
        defaults: The installed version's own configuration; a gene that it lacks is left out.
        masks: Whether the labels have outlines; without them copy_paste has nothing to cut out, and is frozen.
    """
    space: dict[str, dict[str, Any]] = {}
    for name, (low, high, *gain) in BOUNDS.items():
        if defaults.get(name) is None:
            continue
        kind = int if name in WHOLE else float
        start = kind(defaults[name])
        space[name] = {
            "low": kind(min(low, start)),
            "high": kind(max(high, start)),
            "gain": gain[0] if gain else 1.0,
            "default": start,
        }
        if name in WHOLE:
            space[name]["type"] = "int"
    if not masks and "copy_paste" in space:
        space["copy_paste"]["gain"] = 0.0
    return space


def lacking(defaults: Mapping[str, Any]) -> list[str]:
    """The genes that the installed version does not know."""
    return [name for name in BOUNDS if defaults.get(name) is None]
