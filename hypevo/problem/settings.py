"""What the user may ask of a command: each option once, with its help, its choices and its bounds, and checked.

A field is an option of every command whose settings have it. The command line, its help, MLproject and
docs/options.md are made of these fields (`hypevo.cli.options`, `hypevo.cli.document`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypevo.problem import seeds
from hypevo.problem.options import (
    PLACES,
    RUNNING,
    SEARCH,
    TRAINING,
    Checked,
    check_name,
    option,
    option_name,
)
from hypevo.problem.tracked import InMlflow
from hypevo.protocol import InputError, full_name

BUILT_IN, EMBEDDED = "trainers.yolov5:train", "digits"
LONG, USUAL_SEEDS = 100, 3  # generations from which the noise is measured unasked, and with how many seeds


@dataclass(frozen=True, kw_only=True)
class OnDevice(Checked):
    """Where it computes."""

    device: str = option("auto", "auto, cpu, mps, 0, or 0,1,2 (one slot each).", RUNNING)


@dataclass(frozen=True, kw_only=True)
class Placed(Checked):
    """On which machines it trains."""

    backend: str = option(
        "local",
        "local: on this machine; ray: on all machines of a Ray cluster (pip install hypevo[ray]).",
        RUNNING,
        choices=("local", "ray"),
    )
    address: str = option(
        "auto",
        "Address of the Ray cluster, host:port; auto: the one that this machine is part of.",
        RUNNING,
    )


@dataclass(frozen=True, kw_only=True)
class Retried(Checked):
    """What becomes of a training that is lost."""

    retries: int = option(2, "Repeats of a training that was killed or timed out.", RUNNING, least=0)
    trial_timeout: float | None = option(None, "Seconds that a training may take.", RUNNING, above=0)


@dataclass(frozen=True, kw_only=True)
class InSlots(OnDevice, Placed, Retried):
    """How many trainings run at once."""

    slots_per_device: int = option(1, "Trainings at once on each device.", RUNNING, least=1)
    stagger: float = option(30.0, "Seconds between the first starts of several slots.", RUNNING, least=0)


@dataclass(frozen=True, kw_only=True)
class Stored(Checked):
    """Where the studies are."""

    storage: str = option(
        "mlruns/optuna.journal", "Optuna's storage: a journal file, or any Optuna URL.", PLACES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        scheme, separator, rest = self.storage.partition("://")
        if separator and scheme == "postgres":
            raise InputError(
                f"--storage: SQLAlchemy knows no «{scheme}://»; expected postgresql+psycopg://{rest} "
                "(pip install hypevo[postgresql])"
            )


@dataclass(frozen=True, kw_only=True)
class Trained(Checked):
    """What trains. The trainer's own options are in `options`."""

    trainer: str = option(
        "yolov5",
        "What trains: yolov5, trainers.external.ultralytics, … or your own module:function.",
        TRAINING,
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"hidden": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "trainer", full_name(self.trainer))

    def trainer_words(self) -> list[str]:
        """The words of a command line that say the same trainer and the same options of it."""
        named = [] if self.trainer == BUILT_IN else [f"--trainer={self.trainer}"]
        return [*named, *(f"{option_name(name)}={value}" for name, value in self.options.items())]

    @property
    def embedded(self) -> bool:
        """Whether this is the default that needs no data."""
        return self.trainer == BUILT_IN and self.options.get("data") in (None, EMBEDDED)

    @property
    def usual_name(self) -> str:
        """What a study or a training is called unless the user gives a name: as its dataset, else its trainer."""
        if self.embedded:
            return EMBEDDED
        data = self.options.get("data")
        name = Path(str(data)).stem if data else self.trainer.partition(":")[0].rpartition(".")[2]
        return (
            re.sub(r"[^\w.+-]", "-", name).lstrip(".-") or "data"
        )  # «..» is a folder, and begins like an option


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Trained, OnDevice, Stored):
    """What every training needs that begins with a hyp file: the preflight looks at these."""

    hyp: str | None = option(
        None,
        "A hyp file, «gene: value»; for YOLOv5's genes also scratch-low (their default), -med, -high, voc, finetune.",
        SEARCH,
    )
    space: Path | None = option(
        None, "Space file: «gene: {low: , high: , gain: }» over the trainer's own.", SEARCH
    )
    fitness: str | None = option(
        None,
        "What to maximise: an expression of metrics, or module:function; by default what the trainer names.",
        SEARCH,
    )
    seed: int = option(0, "Everything random derives from it.", RUNNING, least=0)
    out: Path = option(Path("runs/evolve"), "Folder for exports and trial folders.", PLACES)
    cache: Path = option(
        Path("runs/cache"), "Folder for image caches, shared by all trainings.", PLACES, named="--cache-dir"
    )


@dataclass(frozen=True, kw_only=True)
class StudySettings(TrainingSettings):
    """What makes a study, before any of its trainings: `import` needs no more."""

    freeze: tuple[str, ...] = option((), "Genes to hold at their value, comma-separated.", SEARCH)
    only: tuple[str, ...] = option((), "The only genes to move, comma-separated.", SEARCH)
    sampler: str = option(
        "adaptive",
        "Proposes the hyperparameters; classic is YOLOv5 7.0's.",
        SEARCH,
        choices=("adaptive", "classic", "tpe", "cmaes", "random"),
    )
    trial_seed: str = option(seeds.FIXED, seeds.HELP, RUNNING)
    study: str | None = option(None, "Name of the study; the dataset's name by default.", PLACES)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("--study", self.study)
        object.__setattr__(self, "trial_seed", seeds.policy(self.trial_seed))
        layers = [name for name in self.freeze if name.isdecimal()]
        if layers:
            raise InputError(
                f"--freeze {','.join(layers)}: expected names of genes to hold, as lr0,momentum; layers of the network "
                f"are held by --freeze-layers {','.join(layers)}, of other programs in --extra (`hypevo trainer NAME`)"
            )
        if self.freeze and self.only:
            raise InputError(
                "--freeze and --only exclude each other: name the genes to hold, or the genes to move"
            )

    @property
    def name(self) -> str:
        """The study's name: as given, else the dataset's, else the trainer's."""
        return self.study or self.usual_name

    @property
    def folder(self) -> Path:
        """Where the study's exports and trials are."""
        return self.out / self.name


@dataclass(frozen=True, kw_only=True)
class EvolveSettings(StudySettings, InSlots, InMlflow):
    """The options of `hypevo evolve`."""

    generations: int | None = option(
        None,
        "Trials in all, those of earlier calls included, failed ones not; 300 by default (embedded dataset: 12). "
        "0: until stopped.",
        SEARCH,
        least=0,
    )
    hours: float | None = option(
        None, "Start no more trainings after this many hours of this call.", SEARCH, above=0
    )
    gpu_hours: float | None = option(
        None,
        "Start no more trainings after this many device hours of the study, earlier calls included.",
        SEARCH,
        above=0,
    )
    patience: int | None = option(
        None, "Stop after N generations in a row without a gain beyond --min-gain.", SEARCH, least=1
    )
    min_gain: float | None = option(
        None,
        "Smallest gain of fitness that --patience counts; by default the noise, known from some 12 trainings on.",
        SEARCH,
        least=0,
    )
    rescore: str | None = option(
        None,
        "Begin a new --study with another --fitness from all finished trials of this study of the same --storage, "
        "scored anew; all else must be the same. (If it differs: --from-study, which takes the recommendation alone.)",
        SEARCH,
    )
    from_study: str | None = option(
        None,
        "Begin where this study of the same --storage ended, on other data too: its recommendation is measured "
        "after the default, and the search goes on around the better one.",
        SEARCH,
    )
    from_csv: Path | None = option(
        None,
        "Begin from an evolve.csv, YOLOv5's own too, as --from-study does from a study.",
        SEARCH,
        named="--from",
    )
    baseline_seeds: int | None = option(
        None,
        "How many more seeds the default is trained with at the start, to tell a gain from noise; by default 3 from "
        "100 generations on, else none.",
        SEARCH,
        least=0,
    )
    pruner: str = option(
        "none", "Stops hopeless trainings early.", SEARCH, choices=("none", "median", "halving", "hyperband")
    )
    max_failures: int = option(5, "Failures in a row that stop the study.", RUNNING, least=1)
    keep_weights: str = option(
        "best", "Trials whose weights stay on disk.", PLACES, choices=("best", "all", "none")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        begins = {"--from-study": self.from_study, "--from": self.from_csv, "--rescore": self.rescore}
        given = [name for name, value in begins.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} exclude each other: a study begins in one way")
        if self.register and self.keep_weights == "none":
            raise InputError("--register: expected weights to register, got --keep-weights none")

    @property
    def total(self) -> int | None:
        """How many generations the study shall have; None for no end."""
        if self.generations is None:
            return 12 if self.embedded else 300
        return self.generations or None

    @property
    def noise_seeds(self) -> int:
        """With how many further seeds the default is trained."""
        if self.baseline_seeds is None:
            return USUAL_SEEDS if self.total is None or self.total >= LONG else 0
        return self.baseline_seeds


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainingSettings, Placed, Retried, InMlflow):
    """The options of `hypevo train`: one training, without a search."""

    name: str | None = option(
        None, "Name of the training; the dataset's name and a number by default.", PLACES
    )
    from_trial: int | None = option(
        None, "Repeat this trial of a study, and say how the results differ.", SEARCH, least=0
    )
    from_study: str | None = option(
        None, "The study that --from-trial is of; the only one in --storage by default.", SEARCH
    )
    out: Path = option(Path("runs/train"), "Folder in which the training gets a folder of its own.", PLACES)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("--name", self.name)
        if self.from_study is not None and self.from_trial is None:
            raise InputError("--from-study: expected --from-trial with it, the number of the trial to repeat")

    @property
    def training_name(self) -> str:
        """What the training is called: as given, else after its dataset."""
        return self.name or self.usual_name

    def refuse_what_the_trial_says(self) -> None:
        """Refuse options that a repeated trial decides; left alone they would be dropped in silence.

        Raises:
            InputError: One is given with --from-trial.
        """
        for name in ("trainer", "hyp", "space", "fitness", "seed"):
            default = BUILT_IN if name == "trainer" else getattr(TrainSettings, name)
            if getattr(self, name) != default:
                raise InputError(f"{option_name(name)}: expected none with --from-trial, which has its own")


@dataclass(frozen=True, kw_only=True)
class ConfirmSettings(InSlots, Stored):
    """The options of `hypevo confirm`. `options` are the trainer's, over those of the study: more epochs, say."""

    study: str | None = option(None, "Name of the study; the only one in --storage by default.", PLACES)
    top: int = option(1, "How many of the best trials are candidates.", SEARCH, least=0)
    recommended: bool = option(False, "One more candidate: the mean of the best trials.", SEARCH)
    hyp: tuple[str, ...] = option((), "More candidates: hyp files of your own, comma-separated.", SEARCH)
    seeds: int = option(
        5, "Fresh seeds, 2 or more; each trains the default and every candidate.", SEARCH, least=2
    )
    data: str | None = option(
        None,
        "Other data to train and validate on, as the study's trainer takes it; the study's by default.",
        TRAINING,
    )
    split: str | None = option(
        None,
        "val or test: validate on these images of the data.yaml; by default test where the study's data.yaml names it, "
        "else val.",
        TRAINING,
        choices=("val", "test"),
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"hidden": True})
    keep_weights: str = option(
        "best",
        "Trainings whose weights stay on disk; best: the fittest of the default's and of each candidate's.",
        PLACES,
        choices=("best", "all", "none"),
    )
    out: Path = option(Path("runs/evolve"), "Folder that holds the study's.", PLACES)
    cache: Path = option(
        Path("runs/cache"), "Folder for image caches, shared by all trainings.", PLACES, named="--cache-dir"
    )
    experiment: str | None = option(
        None, "MLflow experiment; by default that of the study's run, below which it is shown.", PLACES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.top or self.recommended or self.hyp):
            raise InputError("--top 0: expected --hyp or --recommended with it, else there is no candidate")
