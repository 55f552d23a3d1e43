"""What a study is of: the content of its data and weights, not the paths that a user typed.

The same dataset under another spelling of its path, or moved elsewhere, continues a study; another one does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.protocol import InputError

if TYPE_CHECKING:
    import optuna

    from hypevo.problem.plan import Plan

DATASET, CONTENTS = "dataset_fingerprint", "hypevo_contents"  # user attributes of a study
DATA = "data"  # the setting whose content the trainer's fingerprint tells


def identity_of(settings: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """A trainer's settings with the content of files in the place of their paths.

    Args:
        settings: The trainer's own, as plain values.
        fingerprint: Of the data's content; empty when the trainer offers none.
    """
    found = {name: _content(value) or value for name, value in settings.items()}
    return found | ({DATA: fingerprint} if fingerprint else {})


def spelled_otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that differ and may still mean the same content: paths, and the data."""
    return tuple(
        name
        for name in now
        if before.get(name) != now[name]
        and isinstance(before.get(name), str)
        and (name == DATA or _content(now[name]) is not None)
    )


def settle(study: optuna.Study, stored: Plan, plan: Plan, fingerprint: str) -> list[str]:
    """See that data and weights are those that a study began with, and remember them for a new one.

    Args:
        study: The study, at work.
        stored: The plan it began with.
        plan: What is asked for now.
        fingerprint: Of the data's content now; empty when the trainer offers none.

    Returns:
        What a user should know, in sentences.

    Raises:
        InputError: a path leads to another content than the study's.
    """
    now = {
        name: content
        for name, content in identity_of(plan.settings, fingerprint).items()
        if name in plan.settings
    }
    known = dict(study.user_attrs.get(CONTENTS) or {})
    if study.user_attrs.get(DATASET):  # all that version 0.1 knew
        known.setdefault(DATA, study.user_attrs[DATASET])
    sentences = []
    moved = spelled_otherwise(stored.settings, plan.settings)
    for name, value in plan.settings.items():
        before = known.get(name)
        if before is None and (name != DATA or not fingerprint):
            before = _content(stored.settings.get(name))
        if name in moved and before != now[name] and (name != DATA or _rule(before) == _rule(now[name])):
            raise InputError(
                f"study «{study.study_name}» exists with another plan: --{name} was {stored.settings.get(name)} and is "
                f"now {value}, which has another content; choose another name with --study"
            )
        if name == DATA and _rule(before) != _rule(now[name]):
            continue  # of version 0.1, which identified data in another way: nothing can be said
        if before is not None and before != now[name] and (name == DATA or _content(value)):
            what = "the dataset" if name == DATA else f"--{name} {value}"
            sentences.append(
                f"{what} is not what it was when this study began: its trials' results may not compare"
            )
    if _rule(known.get(DATA)) != _rule(fingerprint):
        known.pop(DATA, None)
    contents = {name: now[name] for name in now if now[name] != plan.settings[name]}
    for key, value in ((CONTENTS, {**contents, **known}), (DATASET, known.get(DATA, fingerprint))):
        if value and study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)
    return sentences


def _rule(fingerprint: object) -> str:
    """By which rule a fingerprint was made: the number before its first dash, empty for none."""
    number, dash, _ = str(fingerprint or "").partition("-")
    return number if dash and number.isdecimal() else ""


def _content(value: Any) -> str | None:
    """A digest of the file that a setting names; None when it names none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        with Path(value).open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None
