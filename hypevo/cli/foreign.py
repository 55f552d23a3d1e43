"""Options that users of YOLOv5 and Ultralytics know, and what is their name here.

Answered from this table and not by spelling: `--imgsz` is far from `--img`, and `--workers` has no likeness here.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypevo.messages import did_you_mean, nearest_name

_CHECKOUT = (
    "the built-in trainer has none; a YOLOv5 checkout does: "
    '--trainer trainers.external.yolov5_repo --repo FOLDER --extra "--{name}"'
)
_DEFAULT = "hyperparameters are in a file: --hyp my_hyp.yaml; --only {name} moves this one alone"

# What follows «no option --NAME; ». {name} is what was typed, {value} its value with a blank before it, or nothing.
FOREIGN = {
    "imgsz": "it is --img{value} here",
    "img-size": "it is --img{value} here",
    "image-size": "it is --img{value} here",
    "batch-size": "it is --batch{value} here",
    "name": "it is --study{value} here",
    "project": "it is --out{value} here",
    "cfg": "a model's size is --model (n, s, m, l, x), a file of hyperparameters is --hyp",
    "evolve": "it is --generations{value} here; the command is `hypevo evolve`",
    "iterations": "it is --generations{value} here",
    "adam": "it is --optimizer Adam here",
    "noautoanchor": "it is --autoanchor false here",
    "half": "it is --amp true here, which is the default",
    "noplots": "it is --pictures false here",
    "cache": "images are cached on disk always; --cache-dir names the folder",
    "workers": "there are no loader processes here: images come from a cache that all trainings share",
    "resume": "there is no need: the same command goes on with the same study",
    "exist-ok": "there is no need: the same command goes on with the same study",
    "pretrained": "it is --weights CHECKPOINT to fine-tune, --model SIZE to train from scratch",
    "task": "measuring a checkpoint is a command here: `hypevo val`",
    "save-period": "--keep-weights says whose weights stay",
    "nosave": "it is --keep-weights none here",
    "noval": "it is --val-every 0 here: after the last epoch only",
    **dict.fromkeys(
        ("rect", "single-cls", "multi-scale", "image-weights", "quad", "linear-lr", "sync-bn"), _CHECKOUT
    ),
    **dict.fromkeys(
        ("lr0", "lrf", "momentum", "weight-decay", "warmup-epochs", "box", "cls", "obj"), _DEFAULT
    ),
    **dict.fromkeys(
        ("mosaic", "mixup", "hsv-h", "hsv-s", "hsv-v", "degrees", "translate", "scale"), _DEFAULT
    ),
    **dict.fromkeys(("shear", "perspective", "flipud", "fliplr", "copy-paste"), _DEFAULT),
}
_WORDS = {"model": "weights"}  # in `model=yolov5s.pt`, where a name without dashes stands before a «=»
_NEAR = 0.85  # a likeness from which an option counts as mistyped; a trainer's own may well be less like ours


def answer(name: str, value: str, known: Sequence[str]) -> str | None:
    """What to say of an option that a command does not have; None when it may be a trainer's own.

    Args:
        name: As it was typed: `--imgsz`.
        value: What was typed as its value; empty when nothing was.
        known: The options that the command has.
    """
    plain = name.removeprefix("--").replace("_", "-")
    if f"--{plain}" in known:
        return None
    if plain in FOREIGN:
        says = FOREIGN[plain]
        if plain == "name" and "--study" not in known:
            says = "it is not needed here"
        return f"no option {name}; " + says.format(name=plain, value=f" {value}" if value else "")
    if plain == "study" and "--name" in known:
        return f"no option {name}; a single training's name is --name {value}".rstrip()
    near = nearest_name(name, known, at_least=_NEAR)
    return f"no option {name}{did_you_mean(name, [near])}" if near else None


def answer_word(word: str, known: Sequence[str]) -> str:
    """What to say of a word that is neither an option nor the value of one: `300`, `epochs=10`."""
    name, equals, value = word.partition("=")
    if not equals or not name.replace("_", "").isalnum():
        return f"unexpected argument «{word}»; options are given as --name value (see --help)"
    plain = name.replace("_", "-")
    if plain == "model" and not value.endswith((".pt", ".pth")):
        return f"unexpected argument «{word}»; expected --model {value}"
    plain = _WORDS.get(plain, plain)
    if f"--{plain}" not in known and plain in FOREIGN:
        says = answer(f"--{plain}", value, known)
        return f"unexpected argument «{word}»; {(says or '').partition('; ')[2]}"
    return f"unexpected argument «{word}»; expected --{plain} {value}"
