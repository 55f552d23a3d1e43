"""Proposal: a proposed individual and its lineage, as a trial records it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

    from optuna.study import Study
    from optuna.trial import FrozenTrial

LINEAGE = "WeightedParentSampler:lineage"  # system attribute of a trial
_IN_WORDS = "lineage"  # and user attribute


@dataclass(frozen=True)
class Proposal:
    """A proposed individual.

    Attributes:
        params: Its parameter values.
        parents: Numbers of the trials it descends from; none for the defaults and their mutants.
        factors: Mutation factors of the genes that were multiplied.
        steps: Steps of the genes that were moved, in units of their (possibly logarithmic) range.
        fitted: Number of finished trials and parameters of a model fitted for this proposal.
    """

    params: dict[str, Any]
    parents: tuple[int, ...] = ()
    factors: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    fitted: tuple[int, list[float]] | None = None

    def without(self, names: Container[str]) -> Proposal:
        """Return the same without the mutations of some parameters."""

        def rest(mutations: dict[str, float]) -> dict[str, float]:
            return {name: value for name, value in mutations.items() if name not in names}

        return replace(self, factors=rest(self.factors), steps=rest(self.steps))

    def lineage(self) -> dict[str, Any]:
        """Return what the system attribute holds: the parents, and of the rest what there is."""
        rest = {"factors": self.factors, "steps": self.steps, "fitted": self.fitted}
        return {"parents": list(self.parents)} | {key: value for key, value in rest.items() if value}

    def record(self, study: Study, trial: FrozenTrial) -> None:
        """Store the lineage with its trial, but of parameters that were enqueued."""
        enqueued = trial.system_attrs.get("fixed_params", {})
        if self.params.keys() <= enqueued.keys():
            return
        own = self.without(enqueued)
        storage = study._storage
        storage.set_trial_system_attr(trial._trial_id, LINEAGE, own.lineage())
        storage.set_trial_user_attr(trial._trial_id, _IN_WORDS, str(own))
        trial.set_user_attr(_IN_WORDS, str(own))  # the running Trial shares this copy's attributes

    def __str__(self) -> str:
        """Return the lineage in words: ``14: lr0 ×1.109, momentum ×0.974`` or ``12, 14: lr0 +0.031``."""
        origin = ", ".join(map(str, self.parents)) or "defaults"
        factors = [f"{name} ×{factor:.4g}" for name, factor in self.factors.items()]
        steps = [f"{name} {step:+.3f}" for name, step in self.steps.items()]
        return ": ".join([origin, ", ".join(factors + steps)]) if factors or steps else origin
