"""The options that several commands share, each said once."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from hypevo.problem.settings import BUILT_IN, EvolveSettings
from hypevo.protocol import InputError, full_name

TRAINING, SEARCH, RUNNING, PLACES = "The training", "The search", "How it runs", "Where things are"


def _option(text: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel)


Data = Annotated[
    str | None, _option("data.yaml of the dataset; «digits», the default, is embedded.", TRAINING)
]
Weights = Annotated[str | None, _option("Checkpoint to start from: yolov5*.pt, or one of ours.", TRAINING)]
Model = Annotated[str | None, _option("Model size to train from scratch: p, n, s, m, l or x.", TRAINING)]
Epochs = Annotated[
    int | None, _option("Epochs of one training; 0, the default, is 10 (embedded dataset: 6).", TRAINING)
]
Img = Annotated[
    int | None,
    _option("Image size in pixels, a multiple of 32; 0, the default, is 640 (embedded: 160).", TRAINING),
]
Batch = Annotated[int | None, _option("Images in a batch; 0, the default, is 16.", TRAINING)]
Optimizer = Annotated[str | None, _option("SGD, Adam or AdamW.", TRAINING)]
Trainer = Annotated[str, _option("What trains: «yolov5», or your own module:function.", TRAINING)]

Hyp = Annotated[str | None, _option("A YOLOv5 hyp file, or scratch-low (default), -med, -high, voc.", SEARCH)]
Space = Annotated[
    str | None, _option("Space file: «gene: {low: , high: , gain: }» over the default.", SEARCH)
]
Freeze = Annotated[str | None, _option("Genes to hold at their value, comma-separated.", SEARCH)]
Only = Annotated[str | None, _option("The only genes to move, comma-separated.", SEARCH)]
Fitness = Annotated[str, _option("What to maximise: an expression of metrics, or module:function.", SEARCH)]
Generations = Annotated[
    int | None,
    _option("Trainings in all, earlier calls included; 300 (embedded: 12). 0: until stopped.", SEARCH),
]
Hours = Annotated[float | None, _option("Start no more trainings after so many hours.", SEARCH)]
GpuHours = Annotated[
    float | None,
    _option("Start no more once the study has used so many device hours, earlier calls included.", SEARCH),
]
Patience = Annotated[int | None, _option("Stop after so many generations without a gain.", SEARCH)]
MinGain = Annotated[
    float | None,
    _option(
        "Smallest gain of fitness that --patience counts; by default the noise, known from some 12 trainings on.",
        SEARCH,
    ),
]
Sampler = Annotated[str, _option("adaptive, classic (as YOLOv5 7.0), tpe, cmaes or random.", SEARCH)]
Pruner = Annotated[str, _option("none, median or hyperband: stop hopeless trainings early.", SEARCH)]

FromTrial = Annotated[
    int | None, _option("Repeat this trial of a study, and say how the results differ.", SEARCH)
]
FromStudy = Annotated[str | None, _option("The study of --from-trial; the only one by default.", SEARCH)]

Device = Annotated[str, _option("auto, cpu, mps, 0, or 0,1,2 (one slot each).", RUNNING)]
SlotsPerDevice = Annotated[int, _option("Trainings at once on each device.", RUNNING)]
Stagger = Annotated[float, _option("Seconds between the first starts of several slots.", RUNNING)]
Seed = Annotated[int, _option("Everything random derives from it.", RUNNING)]
TrialSeed = Annotated[
    str, _option("fixed: one seed for all trainings, as YOLOv5; per-trial: seed + number.", RUNNING)
]
Retries = Annotated[int, _option("Repeats of a training that was killed or timed out.", RUNNING)]
TrialTimeout = Annotated[float | None, _option("Seconds a training may take.", RUNNING)]
MaxFailures = Annotated[int, _option("Failures in a row that stop the study.", RUNNING)]

Study = Annotated[str | None, _option("Name of the study; the dataset's name by default.", PLACES)]
Name = Annotated[
    str | None, _option("Name of the training; the dataset's name and a number by default.", PLACES)
]
Storage = Annotated[str, _option("Optuna's storage: a journal file, or any Optuna URL.", PLACES)]
Out = Annotated[Path, _option("Folder for exports and trial folders.", PLACES)]
Cache = Annotated[Path, _option("Folder for image caches, shared by all trainings.", PLACES, "--cache-dir")]
Experiment = Annotated[
    str | None, _option("MLflow experiment; $MLFLOW_EXPERIMENT_NAME by default, else hypevo.", PLACES)
]
KeepWeights = Annotated[str, _option("Whose weights stay on disk: best, all or none.", PLACES)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

TRAINER_OPTIONS = ("data", "weights", "model", "img", "epochs", "batch", "optimizer")
PASS_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
}  # what we don't know may be the trainer's


def settings(context: typer.Context) -> EvolveSettings:
    """The settings that a command's options stand for; options without a value keep the settings' defaults.

    Raises:
        InputError: an option has a wrong value.
    """
    given = {name: value for name, value in context.params.items() if value not in (None, "")}
    fields = {field.name for field in dataclasses.fields(EvolveSettings)}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if name in fields}
    for name in ("freeze", "only"):
        chosen[name] = tuple(part.strip() for part in given.get(name, "").split(",") if part.strip())
    for name in ("space", "out", "cache"):
        if name in chosen:
            chosen[name] = Path(chosen[name])
    return EvolveSettings(**chosen, options=trainer_options(context))


def trainer_options(context: typer.Context) -> dict[str, Any]:
    """The trainer's own options: ours that it takes, and every `--name value` that we don't know.

    Raises:
        InputError: an argument that is no option, or one that looks like a mistyped option of ours. A user's own
            trainer may have such options; it is asked later.
    """
    given = {name: context.params.get(name) for name in TRAINER_OPTIONS}
    options = {name: value for name, value in given.items() if value not in (None, "", 0)}
    ours = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
    builtin = full_name(context.params.get("trainer") or BUILT_IN) == BUILT_IN
    waiting = list(context.args)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or word == "--":
            raise InputError(f"unexpected argument «{word}»; options are given as --name value (see --help)")
        name, equals, value = word.partition("=")
        near = difflib.get_close_matches(name, ours, n=1, cutoff=0.85) if builtin else []
        if near:
            raise InputError(f"no option {name}; did you mean {near[0]}?")
        if not equals:
            value = waiting.pop(0) if waiting and not waiting[0].startswith("--") else "true"
        options[name.removeprefix("--").replace("-", "_")] = value
    return options
