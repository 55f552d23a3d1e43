"""Options that users of YOLOv5 and Ultralytics know, and what is their name here.

Answered from this table and not by spelling: `--imgsz` is far from `--img`, and `--workers` has no likeness here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypevo.messages import did_you_mean, nearest_name
from hypevo.problem.options import options_of
from hypevo.problem.settings import BUILT_IN, EvolveSettings

CHECKOUT = "trainers.external.yolov5_repo:train"
ULTRALYTICS = "trainers.external.ultralytics:train"
_MORE = {  # how a trainer of another program takes the options that are not its own
    CHECKOUT: 'options of train.py are given in --extra "--{name}{value}"',
    ULTRALYTICS: "options of yolo train are given in --extra {python_name}=VALUE",
}
_EXTRA = f'a YOLOv5 checkout has it: --trainer {CHECKOUT.partition(":")[0]} --repo FOLDER --extra "--{{name}}{{value}}"'
_IN_HYP = "it is a hyperparameter, and those are in a file: --hyp my_hyp.yaml"
_NO_UPLOAD = "nothing is uploaded: results are in the study's folder and in MLflow, at $MLFLOW_TRACKING_URI"
_RESUMES = "there is no need: the same command goes on with the same study"

# What follows «no option --NAME; ». {name} is what was typed, {value} its value behind a blank, or nothing.
FOREIGN = {
    "imgsz": "it is --img{value} here",
    "img-size": "it is --img{value} here",
    "batch-size": "it is --batch{value} here",
    "name": "it is --study{value} here",
    "project": "it is --out{value} here",
    "cfg": "a model's size is --model (n, s, m, l, x), a file of hyperparameters is --hyp",
    "evolve": "it is --generations{value} here",
    "iterations": "it is --generations{value} here",
    "adam": "it is --optimizer Adam here",
    "noautoanchor": "it is --autoanchor false here",
    "noplots": "it is --pictures false here",
    "noval": "it is --val-every 0 here: after the last epoch only",
    "linear-lr": "the learning rate falls along a line unless --cos-lr is given",
    "close-mosaic": "mosaic stays on to the end, as in YOLOv5",
    "fraction": "the whole training set is used; a smaller one is a data.yaml with fewer images",
    "pretrained": "it is --weights CHECKPOINT to fine-tune, --model SIZE to train from scratch",
    "save-period": "no weights are kept of single epochs; which trials keep theirs is --keep-weights (best, all, none)",
    "freeze": "it is --freeze-layers{value} here",
    "nosave": "it is --keep-weights none here",
    "use-ray": "it is --backend ray here, on a running cluster",
    "gpu-per-trial": "it is --slots-per-device here: trainings at once on each device",
    "grace-period": "trials are stopped early by --pruner median, halving or hyperband",
    "plots": "it is --pictures{value} here",
    "val": "it is --val-every here: 1 after each epoch, 0 after the last one only",
    **dict.fromkeys(("bucket", "entity", "upload-dataset", "bbox-interval", "artifact-alias"), _NO_UPLOAD),
    "local-rank": "there is no need: a training runs on one device, several trainings at once on several",
    "workers": "there are no loader processes here: images come from a cache that all trainings share, or from threads",
    "resume": _RESUMES,
    "exist-ok": _RESUMES,
    **dict.fromkeys(("rect", "single-cls", "multi-scale", "image-weights", "quad", "sync-bn"), _EXTRA),
    **dict.fromkeys(
        ("lr0", "lrf", "momentum", "weight-decay", "warmup-epochs", "box", "cls", "obj"), _IN_HYP
    ),
    **dict.fromkeys(("mosaic", "mixup", "hsv-h", "hsv-s", "hsv-v", "degrees", "translate", "scale"), _IN_HYP),
    **dict.fromkeys(("shear", "perspective", "flipud", "fliplr", "copy-paste"), _IN_HYP),
}
_NEAR = 0.85  # likeness from which an option counts as mistyped; a trainer's own may well be less like ours


def answer(name: str, value: str, known: Sequence[str], trainer: str | None) -> str | None:
    """What to say of an option that a command does not have; None when it may be the trainer's own.

    Args:
        name: As it was typed: `--imgsz`.
        value: What was typed as its value; empty when nothing was.
        known: The options that the command has.
        trainer: Its full name; empty for a command without one, None when a study will say it.
    """
    if not knows_yolov5(trainer):
        return None
    plain = name.removeprefix("--").replace("_", "-")
    if plain == "study" and "--name" in known:
        return f"no option {name}; a single training's name is --name {value}".rstrip()
    if plain == "cache" and value == "true" and trainer == BUILT_IN:
        return "--cache: expected auto, disk, ram or none with it; YOLOv5's --cache alone is --cache ram"
    if plain == "workers" and trainer in _MORE:
        return None  # theirs
    if plain in FOREIGN:
        return f"no option {name}; {_says(plain, value, known, trainer)}"
    near = nearest_name(name, known, at_least=_NEAR)
    return f"no option {name}{did_you_mean(name, [near])}" if near else None


def answer_word(word: str, known: Sequence[str], trainer: str | None) -> str:
    """What to say of a word that is neither an option nor the value of one: `300`, `epochs=10`."""
    name, equals, value = word.partition("=")
    plain = name.replace("_", "-")
    if not equals or not re.fullmatch(r"\w[\w-]*", plain):
        return f"unexpected argument «{word}»; options are given as --name value (see --help)"
    if knows_yolov5(trainer) and f"--{plain}" not in known and plain in FOREIGN:
        return f"unexpected argument «{word}»; {_says(plain, value, known, trainer)}"
    if plain == "space":
        return (
            f"unexpected argument «{word}»; expected --space FILE.yaml with «gene: {{low: , high: , gain: }}»"
        )
    if plain == "model" and value.endswith((".pt", ".pth")):
        plain = "weights"
    return f"unexpected argument «{word}»; expected --{plain} {value}"


def knows_yolov5(trainer: str | None) -> bool:
    """Whether the table speaks of this trainer: one of a user's own may have an option of the same name."""
    return trainer in ("", BUILT_IN, *_MORE)


def _says(plain: str, value: str, known: Sequence[str], trainer: str | None) -> str:
    says = FOREIGN[plain]
    if trainer in _MORE and not says.startswith(("it is", _RESUMES)):
        says = _MORE[trainer]
    given = f" {value}" if value and value != "true" else ""
    says = says.format(name=plain, python_name=plain.replace("-", "_"), value=given)
    of_evolve = {one.name for one in options_of(EvolveSettings)} - set(known)
    elsewhere = [name for name in re.findall(r"--[a-z0-9-]+", says) if name in of_evolve]
    return says + (
        f", and {elsewhere[0]} is an option of `hypevo evolve`, not of this command" if elsewhere else ""
    )
