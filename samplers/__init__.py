"""Optuna samplers of hypevo: evolution from fitness-weighted parents."""

from ._minimal import Minimal, minimal
from ._seeds import TRAINING_SEED
from ._verdict import noise, recommend
from .weighted_parent import WeightedParentSampler

__all__ = ["TRAINING_SEED", "Minimal", "WeightedParentSampler", "minimal", "noise", "recommend"]
