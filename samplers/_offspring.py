"""Offspring: a proposed individual and its lineage, as a trial records it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Offspring:
    """A proposed individual.

    Attributes:
        params: Its parameter values.
        parents: Numbers of the trials it descends from; none for the defaults and their mutants.
        factors: Mutation factors of the genes that mutated.
    """

    params: dict[str, Any]
    parents: tuple[int, ...] = ()
    factors: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the lineage in words: ``14: lr0 ×1.109, momentum ×0.974``."""
        origin = ", ".join(map(str, self.parents)) or "defaults"
        mutations = ", ".join(f"{name} ×{factor:.4g}" for name, factor in self.factors.items())
        return f"{origin}: {mutations}" if mutations else origin
