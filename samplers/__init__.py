"""Optuna samplers of hypevo: evolution from fitness-weighted parents."""

from ._minimal import Minimal, minimal
from ._verdict import noise, recommend
from .weighted_parent import WeightedParentSampler

__all__ = ["Minimal", "WeightedParentSampler", "minimal", "noise", "recommend"]
