r"""Any training program as a trainer: a command line that is filled in, and results that are read as they grow.

    hypevo evolve --trainer trainers.external.command --space my_space.yaml --fitness accuracy \
        --command "python train.py --lr {lr} --layers {layers} --out {out} --seed {seed} --device {device}"

Places for the genes, one by one, or {hyp}: a file that holds them all. Results are a csv file, a file of json lines, or
lines such as `epoch=3 loss=0.21 accuracy=0.9` of the program's output.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

import yaml

from .epochs import chosen, follow
from .places import filled, nearest, places_of, words_of
from .program import ProgramError
from .results import read_line, read_results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .. import Report
    from .epochs import Fitness
    from .results import Row

OURS = ("hyp", "out", "seed", "device", "epochs")  # places that are no genes
STDOUT = "stdout"
_OUT = "run"  # in a training's folder: {out}, where no file of hypevo's is in the program's way


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """How to start the program, and where its results are.

    Raises:
        ValueError: The command is empty, names a program that is not there, or does not fit the other options.
    """

    command: str = _option(
        "", f"Command line with places: {' '.join(f'{{{name}}}' for name in OURS)}, and one for each gene."
    )
    epochs: int | None = _option(None, "Epochs of a training, for the place {epochs}.")
    hyp_format: Literal["yaml", "json"] = _option("yaml", "What the file at {hyp} is.")
    results: str = _option(
        "**/results.csv",
        f"A csv file or a file of json lines, as a pattern under {{out}}; {STDOUT}: lines «epoch=3 accuracy=0.9».",
    )
    columns: tuple[str, ...] = _option((), "Names for metrics, as in accuracy=val/top1,loss=val/loss.")
    metrics: tuple[str, ...] = _option((), "Metrics that the first epochs may lack, comma-separated.")
    take: Literal["last", "best"] = _option("last", "The epoch that counts: the last one, or the fittest.")
    weights_files: tuple[str, ...] = _option(
        ("**/*.pt", "**/*.pth", "**/*.ckpt", "**/*.safetensors"),
        "Patterns under {out} of files that --keep-weights is about.",
    )

    def __post_init__(self) -> None:
        words = words_of(self.command)
        if not words:
            raise ValueError(
                "command: expected a command line, as in «python train.py --lr {lr} --out {out}»; got nothing"
            )
        places = places_of(words)
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs: expected 1 or more; got {self.epochs}")
        if self.epochs is not None and "epochs" not in places:
            raise ValueError(
                f"epochs: the command has no place {{epochs}} to tell the program; got {self.epochs}"
            )
        if "epochs" in places and self.epochs is None:
            raise ValueError(
                "epochs: the command has a place for them, {epochs}; expected --epochs with a number"
            )
        if "{" not in words[0] and shutil.which(words[0]) is None:
            raise ValueError(f"command: no program {words[0]!r}; give its full path, or install it")
        renamed(self)
        for pattern in (self.results, *self.weights_files):
            if not pattern or PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
                raise ValueError(
                    f"expected a pattern of files under {{out}}, as in **/*.csv; got «{pattern}»"
                )


def METRICS(settings: Settings) -> tuple[str, ...]:  # noqa: N802 - the name that a trainer's metrics have
    """What the user says of them: the program does not declare any."""
    return settings.metrics


def WEIGHTS(settings: Settings) -> tuple[str, ...]:  # noqa: N802 - the name that a trainer's weights have
    """The files that hold weights, below a training's folder."""
    return tuple(f"{_OUT}/{pattern}" for pattern in settings.weights_files)


def check(
    settings: Settings, hyp: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Whether each place has a value and each gene reaches the program."""
    words = words_of(settings.command)
    places = places_of(words)
    known = [*OURS, *hyp]
    findings = [
        ("error", f"command: {{{name}}} is neither a gene nor one of hypevo's places{nearest(name, known)}")
        for name in places
        if name not in known
    ]
    shadowed = [name for name in OURS if name in hyp]
    if shadowed:
        findings.append(
            ("error", f"command: {{{shadowed[0]}}} is a place of its own; call the gene otherwise")
        )
    if "hyp" not in places:
        lost = [name for name in hyp if name not in places]
        moved = [name for name in lost if _moves(space.get(name, {}))]
        if moved:
            findings.append(
                (
                    "error",
                    f"command: searched, and without a place: {', '.join(moved)}; write {{{moved[0]}}} where its value "
                    f"belongs, {{hyp}} for a file of all values, or hold it with --freeze {moved[0]}",
                )
            )
        held = [name for name in lost if name not in moved]
        if held:
            findings.append(("note", f"command: held, and not told to the program: {', '.join(held)}"))
    if "seed" not in places:
        findings.append(
            (
                "warning",
                "command: no place {seed}, so that the program's own seed stays, whatever hypevo asks for",
            )
        )
    script = next(iter(words[1:]), "")
    if (
        script.endswith((".py", ".sh", ".pl", ".R", ".jl"))
        and "{" not in script
        and not Path(script).exists()
    ):
        findings.append(("error", f"command: no file {script} in {Path.cwd()}"))
    return findings


def train(
    hyp: Mapping[str, Any],
    *,
    out: Path,
    seed: int,
    device: str,
    report: Report,
    settings: Settings,
    fitness: Fitness | None = None,
) -> dict[str, float]:
    """Run the program to its end, and return the metrics of its last epoch, or of the fittest.

    Raises:
        ProgramError: The program failed, or ended without results.
    """
    folder = out / _OUT
    folder.mkdir(parents=True, exist_ok=True)
    words = words_of(settings.command)
    file = folder / f"hyp.{settings.hyp_format}"
    places = {
        **hyp,
        "hyp": write_hyp(hyp, file) if "hyp" in places_of(words) else file,
        "out": folder,
        "seed": seed,
        "device": "0" if device.startswith("cuda") else device,  # the process sees one GPU only
        "epochs": settings.epochs or 0,  # a command with the place has a number for it
    }
    columns = renamed(settings)
    heard: list[Row] = []

    def hear(line: str) -> None:
        row = read_line(line, columns, apart_from=(*OURS, *hyp))
        if row is not None:
            heard.append(row)

    from_output = settings.results in (STDOUT, "-")
    command = filled(words, places)
    epochs = follow(
        command,
        rows=lambda ended: (
            heard if from_output else read_results(folder, settings.results, columns, ended=ended)
        ),
        report=report,
        heard=hear,
    )
    if not epochs:
        where = f"{settings.results} under {folder}"
        expected = (
            "a line such as «accuracy=0.9» in its output" if from_output else f"lines of numbers in {where}"
        )
        hint = f"; there are some in its output: --results {STDOUT}" if heard and not from_output else ""
        raise ProgramError(f"the program ended without results: expected {expected}{hint}")
    return chosen(epochs, settings.take, fitness)


def write_hyp(hyp: Mapping[str, Any], path: Path) -> Path:
    """Write the hyperparameters where the program finds them, each as what it is; a json file by its ending."""
    dump = (
        json.dumps(dict(hyp), indent=1)
        if path.suffix == ".json"
        else yaml.safe_dump(dict(hyp), sort_keys=False)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump, encoding="utf-8")
    return path


def renamed(settings: Settings) -> dict[str, str]:
    """The name that a metric shall have, by the name that the program gives it.

    Raises:
        ValueError: An entry is no pair of names.
    """
    pairs = [entry.partition("=") for entry in settings.columns]
    wrong = [
        entry
        for entry, (ours, _, theirs) in zip(settings.columns, pairs, strict=True)
        if not (ours and theirs)
    ]
    if wrong:
        raise ValueError(f"columns: expected name=column, as in accuracy=val/top1; got «{wrong[0]}»")
    return {theirs.strip(): ours.strip() for ours, _, theirs in pairs}


def _moves(entry: Mapping[str, Any]) -> bool:
    return float(entry.get("gain", 1)) > 0 and entry.get("low", 0) < entry.get("high", 1)
