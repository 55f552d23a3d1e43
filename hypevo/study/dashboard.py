"""Notes in optuna-dashboard, of a study and of a trial, where that looks for them: to import it takes seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import optuna

_VERSION, _PART, _OURS = "dashboard:note_ver", "dashboard:note_str:", "hypevo:note"
_LONGEST = 2045  # characters of a part, as optuna-dashboard cuts them


def write_note(study: optuna.Study, body: str) -> bool:
    """Write the study's note, in Markdown; returns False where a user has written one, which stays."""
    storage, which = study._storage, study._study_id
    known = storage.get_study_system_attrs(which)
    parts = _parts(known)
    before = "".join(known[key] for key in parts)
    if before == body:
        return True
    if before and known.get(_OURS) != _digest(before):
        return False
    cut = [body[at : at + _LONGEST] for at in range(0, len(body), _LONGEST)]
    cut += [""] * (len(parts) - len(cut))
    storage.set_study_system_attr(which, _OURS, _digest(body))
    storage.set_study_system_attr(which, _VERSION, int(known.get(_VERSION, 0)) + 1)
    for index, part in enumerate(cut):
        storage.set_study_system_attr(which, f"{_PART}{index}", part)
    return True


def change_note(study: optuna.Study, change: Callable[[str], str]) -> None:
    """Change the study's note, if it is ours."""
    known = study._storage.get_study_system_attrs(study._study_id)
    if parts := _parts(known):
        write_note(study, change("".join(known[key] for key in parts)))


def _parts(known: Mapping[str, Any]) -> list[str]:
    return sorted(
        (key for key in known if key.startswith(_PART)), key=lambda key: int(key.removeprefix(_PART))
    )


def write_trial_note(study: optuna.Study, trial: int, body: str) -> None:
    """Write a trial's note, in Markdown, unless it has one.

    Args:
        study: Its study, where optuna-dashboard looks for it.
        trial: Its number in the storage.
        body: The note; no more than one part of it is kept.
    """
    version, part = (f"dashboard:{trial}:{what}" for what in ("note_ver", "note_str:0"))
    storage, which = study._storage, study._study_id
    if version not in storage.get_study_system_attrs(which):
        storage.set_study_system_attr(which, part, body[:_LONGEST])
        storage.set_study_system_attr(which, version, 1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
