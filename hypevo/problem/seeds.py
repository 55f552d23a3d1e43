"""Which seed each training of a study has: one for all, a fresh one for each, or a few in turn."""

from __future__ import annotations

import re

from hypevo.protocol import InputError

FIXED, PER_TRIAL = "fixed", "per-trial"
USUAL, MOST = 3, 100  # seeds in turn
HELP = (
    "fixed: one seed for all trainings, as in YOLOv5 (no other policy found better points); per-trial: seed + number; "
    f"rotate:K: K seeds in turn (rotate: {USUAL}), which adaptive tells apart."
)


def policy(text: str) -> str:
    """A policy of seeds in its one spelling.

    Raises:
        InputError: It is none.
    """
    if text in (FIXED, PER_TRIAL):
        return text
    found = re.fullmatch(r"rotate(?::(\d{1,6}))?", text)
    if found is None or not 2 <= (turn := int(found[1] or USUAL)) <= MOST:
        raise InputError(
            f"--trial-seed: expected fixed, per-trial, rotate or rotate:K with K from 2 to {MOST}, got «{text}»"
        )
    return f"rotate:{turn}"


def training_seed(policy: str, seed: int, number: int) -> int:
    """The seed of a trial's training, whatever slot it runs on and however often it is resumed.

    Args:
        policy: As `policy` spells it.
        seed: The study's.
        number: The trial's.
    """
    if policy == FIXED:
        return seed
    _, _, turn = policy.partition(":")
    return seed + (number % int(turn) if turn else number)
