"""What the user asks of an evolution, checked before anything starts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypevo.messages import did_you_mean
from hypevo.problem.fitness import DEFAULT_FITNESS
from hypevo.protocol import InputError, full_name

SAMPLERS = ("adaptive", "classic", "tpe", "cmaes", "random")
PRUNERS = ("none", "median", "hyperband")
KEEP_WEIGHTS = ("best", "all", "none")
TRIAL_SEEDS = ("fixed", "per-trial")
BUILT_IN, EMBEDDED = "trainers.yolov5:train", "digits"


@dataclass(frozen=True)
class EvolveSettings:
    """The options of `hypevo evolve`; the trainer's own are in `options`."""

    trainer: str = BUILT_IN
    options: Mapping[str, Any] = field(default_factory=dict)
    hyp: str | None = None  # a file or a preset; None: each gene's default
    space: Path | None = None
    freeze: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    fitness: str = DEFAULT_FITNESS
    generations: int | None = None  # None: 12 for the embedded dataset, 300 otherwise
    hours: float | None = None
    gpu_hours: float | None = None  # of the whole study, earlier calls included
    patience: int | None = None  # generations without a gain of more than `min_gain`
    min_gain: float | None = None  # of fitness; None: the noise that the study itself shows
    device: str = "auto"
    slots_per_device: int = 1
    stagger: float = 30.0
    sampler: str = "adaptive"
    seed: int = 0
    trial_seed: str = "fixed"
    pruner: str = "none"
    study: str | None = None  # None: the dataset's name
    storage: str = "mlruns/optuna.journal"
    out: Path = Path("runs/evolve")
    cache: Path = Path("runs/cache")
    experiment: str | None = None  # None: MLFLOW_EXPERIMENT_NAME, else a name of ours
    retries: int = 2
    trial_timeout: float | None = None
    max_failures: int = 5
    keep_weights: str = "best"

    def __post_init__(self) -> None:
        object.__setattr__(self, "trainer", full_name(self.trainer))
        for name, choices in (
            ("sampler", SAMPLERS),
            ("pruner", PRUNERS),
            ("keep_weights", KEEP_WEIGHTS),
            ("trial_seed", TRIAL_SEEDS),
        ):
            value = getattr(self, name)
            if value not in choices:
                hint = did_you_mean(value, choices)
                raise InputError(
                    f"{_option(name)}: expected one of {', '.join(choices)}; got «{value}»{hint}"
                )
        for name, least in (
            ("generations", 0),
            ("patience", 1),
            ("min_gain", 0),
            ("slots_per_device", 1),
            ("stagger", 0),
            ("seed", 0),
            ("retries", 0),
            ("max_failures", 1),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise InputError(f"{_option(name)}: expected {least} or more; got {value}")
        for name in ("hours", "gpu_hours", "trial_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{_option(name)}: expected more than 0; got {value}")
        if self.freeze and self.only:
            raise InputError(
                "--freeze and --only exclude each other: name the genes to hold, or the genes to move"
            )
        if self.study is not None and not re.fullmatch(r"[\w][\w. +-]*", self.study):
            raise InputError(
                f"--study: expected letters, digits, «.», «_», «+», «-» and blanks; got «{self.study}»"
            )

    @property
    def embedded(self) -> bool:
        """Whether this is the default that needs no data."""
        return self.trainer == BUILT_IN and self.options.get("data") in (None, EMBEDDED)

    @property
    def name(self) -> str:
        """The study's name: as given, else the dataset's, else the trainer's."""
        if self.study:
            return self.study
        if self.embedded:
            return EMBEDDED
        data = self.options.get("data")
        name = Path(str(data)).stem if data else self.trainer.partition(":")[0].rpartition(".")[2]
        return re.sub(r"[^\w.+-]", "-", name)

    @property
    def total(self) -> int | None:
        """How many generations the study shall have; None for no end."""
        if self.generations is None:
            return 12 if self.embedded else 300
        return self.generations or None

    @property
    def folder(self) -> Path:
        """Where the study's exports and trials are."""
        return self.out / self.name


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
