"""The trainer's part of `hypevo fetch`: bring what its settings name and is not here, each download said before."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypevo.messages import hidden, printable
from hypevo.protocol import InputError
from hypevo.trainings.resolve import resolve


def fetch(trainer: str, raw: Mapping[str, Any]) -> dict[str, str]:
    """Fetch what is not here; returns the settings that name a file which was fetched, or found, elsewhere than given.

    Raises:
        InputError: the trainer fetches nothing, or what it names cannot be fetched or is not what was expected.
    """
    found = resolve(trainer)
    if not hasattr(found.module, "fetch"):
        raise InputError(
            f"trainer {found.name} fetches nothing: its module has no fetch(settings, cache, *, say)"
        )
    asked = found.settings(raw)
    with (
        tempfile.TemporaryDirectory() as temporary
    ):  # for what a trainer makes by itself, as the embedded dataset
        try:
            settings = found.module.fetch(asked, Path(temporary), say=_say)
        except (OSError, ValueError) as error:
            raise InputError(str(error)) from error
        if asked is None or settings is None:
            return {}
        values = {field.name: str(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
        return {
            name: value
            for name, value in values.items()
            if value != str(getattr(asked, name)) and not value.startswith(temporary)
        }


def _say(text: str) -> None:
    print(printable(hidden(text)), file=sys.stderr, flush=True)
