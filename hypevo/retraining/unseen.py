"""On which images a confirmation is measured: on ones that the search has not selected on, where there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypevo.problem.plan import Plan
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError
from hypevo.trainings import child
from hypevo.trainings.backend import Backend

SPLIT, VAL, TEST = "split", "val", "test"
# What trainings did that were made before these settings were.
_EARLIER = {SPLIT: VAL, "schedule_epochs": 0, "freeze_norm": False, "freeze_layers": ""}


def options_of(
    settings: ConfirmSettings, plan: Plan, backend: Backend, cache: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The trainer's options over those of the study: as given, and `test` where the study's data.yaml names it.

    Raises:
        InputError: the trainer has no choice of images, or not the one that was asked for.
    """
    options = dict(settings.options)
    if settings.data is not None:
        options["data"] = settings.data
    if settings.split is None and settings.data is not None:
        return options
    wanted = {**plan.settings, **options}
    found = backend.call(child.splits, plan.trainer, wanted, cache)
    if settings.split is not None:
        if found is None:
            raise InputError(
                f"--split: {plan.trainer} validates on the `val` of its data alone; "
                f"give --data a data.yaml whose `val` names the images"
            )
        if why := found.get(settings.split):
            raise InputError(f"--split {settings.split}: {why}")
        return options | {SPLIT: settings.split}
    why = (found or {}).get(TEST)
    if why is None or plan.settings.get(SPLIT, VAL) != VAL:
        return options
    if why:
        tell(f"`test` of the data.yaml cannot be measured on: {why}")
        return options
    tell(
        "measured on `test` of the data.yaml, on which the search did not select; --split val takes the others"
    )
    return options | {SPLIT: TEST}


def telling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that say nothing new: as trainings were before there was such a setting."""
    return {name: value for name, value in settings.items() if (name, value) not in _EARLIER.items()}
