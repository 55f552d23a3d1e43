"""Optuna samplers of hypevo: evolution from fitness-weighted parents."""

from ._recommend import recommend
from .weighted_parent import WeightedParentSampler

__all__ = ["WeightedParentSampler", "recommend"]
