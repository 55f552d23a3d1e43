"""A detector training whose 29 hyperparameters mean what they mean in YOLOv5 release 7.0.

    from trainers.yolov5 import Settings, train

    metrics = train(hyp, out=Path("runs/one"), seed=0, device="cpu", report=print_report, settings=Settings())

Importing this package loads no torch; calling its functions does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .. import Report

__all__ = [
    "FITNESS",
    "METRICS",
    "PRELOAD",
    "SPACE",
    "Settings",
    "check",
    "estimate",
    "export_weights",
    "fetch",
    "fingerprint",
    "prepare",
    "probe",
    "pyfunc",
    "splits",
    "train",
    "validate",
]

SPACE = "yolov5"  # its genes, bounds and defaults are a preset of hypevo
FITNESS = "0.1*mAP_0.5 + 0.9*mAP_0.5:0.95"
METRICS = ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95", "box_loss", "obj_loss", "cls_loss")
PRELOAD = ("trainers.yolov5.loop",)


def train(
    hyp: Mapping[str, float], *, out: Path, seed: int, device: str, report: Report, settings: Settings
) -> dict[str, float]:
    """Train once and return the metrics of the last epoch (or the best, as the settings say).

    Args:
        hyp: Value of every gene.
        out: Folder to write into: results.csv, weights/best.pt, weights/last.pt, pictures.
        seed: Everything random derives from it.
        device: `cpu`, a CUDA index such as `0`, or any torch device name.
        report: Called after each epoch with the metrics so far.
        settings: What all trainings of a study share.

    Raises:
        FloatingPointError: The loss became NaN or infinite.
        ValueError: The data, the weights or a hyperparameter can't be used.
    """
    from .loop import train as run

    return run(hyp, out=out, seed=seed, device=device, report=report, settings=settings)


def validate(settings: Settings, *, device: str = "cpu") -> dict[str, float]:
    """Return the metrics of the settings' weights on the validation images of their dataset."""
    from .loop import validate as run

    return run(settings, device=device)


def splits(settings: Settings, cache: Path) -> dict[str, str]:
    """Return the keys of the data.yaml whose images `--split` can name, each with why it can't be used, else nothing.

    Nothing is fetched, and nothing is returned of a dataset that isn't here.
    """
    from .preflight import splits as run

    return run(settings, cache)


def check(
    settings: Settings,
    hyp: Mapping[str, float],
    space: Mapping[str, Mapping[str, object]],
    cache: Path | None = None,
    device: str | None = None,
) -> list[tuple[str, str]]:
    """Return findings before a search starts: ("error" | "warning" | "absent" | "note", message).

    Under `cache`, the folder that `prepare` will get, it keeps what it has read of the dataset. It fetches nothing:
    what isn't here is «absent», which says what `prepare` will fetch, from where, how large, and into which place. A
    `device` that is named, as `train` takes it, has to have the memory for a batch.
    """
    from .preflight import check as run

    return run(settings, hyp, space, cache, device)


def estimate(
    settings: Settings, hyp: Mapping[str, float], *, cache: Path, device: str, seconds: float
) -> tuple[float, float, str]:
    """Return the seconds that a training will take, at least and at most, and in words what was timed.

    Some real batches are trained on and validated within about `seconds`, of fewer images where full ones take
    longer. Loading, the first batch's warm-up and what is written are left out.
    """
    from .timing import estimate as run

    return run(settings, hyp, cache=cache, device=device, seconds=seconds)


def probe(settings: Settings, *, device: str) -> str:  # noqa: ARG001 - of the contract
    """Return a line on the device after a convolution and its gradient, in half precision on a GPU.

    Raises:
        ValueError: There is no such device, or it computes nonsense.
        RuntimeError: As PyTorch raises it.
    """
    from ..device import probe as run

    return run(device)


def fetch(settings: Settings, cache: Path, *, say: Callable[[str], None]) -> Settings:
    """Fetch what the settings name and isn't here, and return settings that name files.

    Args:
        settings: Data and weights that may be published names, or a data.yaml with a `download` address.
        cache: Folder for the embedded dataset; what is fetched goes to the user's cache.
        say: Gets a sentence before each download: what, from where, how large, and into which place. What it raises
            ends the fetching before it begins, so that a command can ask first.

    Raises:
        ConnectionError: Something can't be fetched; the message says where to put it by hand.
        FileNotFoundError: There is no such file, here or published.
        ValueError: What was fetched isn't what was expected.
    """
    from .data import at_hand

    return at_hand(settings, cache, say)


def prepare(settings: Settings, cache: Path) -> Settings:
    """Build what all trainings of a study share under `cache`; return the settings they run with.

    What isn't here is fetched, each download said on standard error before it begins.
    """
    from .preflight import prepare as run

    return run(settings, cache)


def fingerprint(settings: Settings) -> str:
    """Identify the content of the settings' dataset, wherever it lies.

    It is `2-` and the 64 hexadecimal digits of a hash of the class names and, image after image, of its file's name,
    its size in bytes and in pixels and its labels; pixels are not read.

    The number before the hash tells the kind of fingerprint. Those of version 0.1, digits alone, are of another kind:
    they followed the folder too and other rules for labels, so the two can't be compared.
    """
    from .preflight import fingerprint as run

    return run(settings)


def export_weights(weights: Path, target: Path, *, repo: str, python: str = "") -> str:
    """Write a checkpoint as YOLOv5's own programs load it; return what was written, in words.

    Args:
        weights: The checkpoint.
        target: The `.pt` to write.
        repo: A YOLOv5 checkout, whose Python builds the network.
        python: That Python, if it is not the one of the environment in the checkout.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It holds no detector, or the checkout can't write it.
    """
    from .interchange import export_weights as run

    return run(weights, target, repo=repo, python=python)


def pyfunc(settings: Settings) -> dict[str, object]:
    """Return how MLflow loads a training's weights; the file is the one whose metrics the training returns."""
    return {
        "loader": "trainers.yolov5.predict",
        "weights": f"{settings.report_epoch}.pt",
        "config": {"img": settings.img, "confidence": 0.25, "device": "cpu"},
        "requirements": ["numpy>=2.0", "pillow>=10.4", "torch>=2.6", "torchvision>=0.21"],
        "says": "predict(image) takes (height, width, 3) RGB, 0 to 255, and returns a list of boxes in its pixels: "
        "x1, y1, x2, y2, confidence, class, name. Several images give a list for each.",
    }
