"""Offspring: a proposed individual as an array, and how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._genes import Genes
    from ._history import History


class Offspring(NamedTuple):
    """A new individual; exactly one of ``factors`` and ``steps`` is given."""

    vector: NDArray[np.float64]  # (genes,) allowed values
    parents: tuple[int, ...]  # numbers of the trials it descends from
    factors: NDArray[np.float64] | None = None  # (genes,) of multiplication, 1 = not mutated
    steps: NDArray[np.float64] | None = None  # (genes,) in the unit cube, 0 = not mutated
    fitted: tuple[int, list[float]] | None = None  # finished trials and parameters of a newly fitted model


class Strategy(Protocol):
    """A way to make offspring."""

    @property
    def n_parents(self) -> int:
        """Number of best trials whose common parameters evolve together."""

    def individual(self, values: NDArray[np.float64], genes: Genes) -> NDArray[np.float64]:
        """Return values (genes,) as an allowed individual."""

    def offspring(
        self,
        history: History,
        genes: Genes,
        gains: NDArray[np.float64],  # (genes,) 0 = frozen
        number: int,
        rng: np.random.Generator,
        *,
        together: bool,
    ) -> Iterator[Offspring]:
        """Yield offspring of finished trials for trial ``number``, in the order they should be tried.

        ``together`` says that these genes are all that the parents share, not one gene alone.
        """

    def mutants(
        self,
        individual: NDArray[np.float64],
        genes: Genes,
        gains: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> Iterator[Offspring]:
        """Yield mutants of an individual (genes,) that no trial has measured."""
