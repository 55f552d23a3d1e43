"""What runs in a trial's own process: resolve the trainer, bind its settings, train, or look and prepare beforehand.

Everything here takes and returns plain data, so that it can be sent between processes and machines.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import re
import sys
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from hypevo.messages import first_line, place
from hypevo.problem.fitness import parse_fitness
from hypevo.protocol import Failure, Finding, Hyp, InputError, Job, Report
from hypevo.trainings.devices import device_name
from hypevo.trainings.offer import SPACE, Pyfunc, fitness_of, metrics_of, pyfunc_of, weights_of
from hypevo.trainings.resolve import resolve

_OUT_OF_MEMORY = re.compile(
    r"out of memory|can.?t allocate memory|cannot allocate memory|unable to allocate pinned memory|bad_alloc|"
    r"unable to find an engine|OutOfMemory|OUT_OF_MEMORY|(CUBLAS|CUDNN)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)",
    re.IGNORECASE,
)
_DEVICE_FAILED = re.compile(
    r"uncorrectable|GPU is lost|fallen off the bus|no CUDA-capable device|"
    r"device(s|\(s\))? (is/)?are busy or unavailable|"
    r"(CUDA|HIP) error: (unspecified launch failure|an illegal memory access|unknown error|initialization error|"
    r"hardware stack error|the launch timed out|misaligned address)|CUDA (unknown error|driver initialization failed)|"
    r"No (CUDA|HIP) GPUs are available|(CUBLAS|CUDNN)_STATUS_(EXECUTION_FAILED|MAPPING_ERROR|INTERNAL_ERROR)",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What the driver needs to know of a trainer, learned without importing it there."""

    trainer: str  # full name, «module:function»
    settings: dict[str, Any]  # resolved, plain values
    neutral: tuple[str, ...]  # settings that change no result, as where a cache is
    metrics: tuple[str, ...]  # the names it returns; empty when it does not say
    fitness: str  # that it names; empty when it names none
    weights: tuple[str, ...]  # patterns of files that hold weights, below a training's folder
    brings_genes: bool
    findings: tuple[Finding, ...]
    validates: bool = False  # whether it can measure the weights that a training would start from


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What all trials of a study share."""

    settings: dict[str, Any]  # that the trials run with, plain values
    fingerprint: str  # of the data's content; empty from a trainer that offers none
    versions: dict[
        str, str
    ]  # of the programs that the trainer runs, by name; empty from a trainer that offers none
    pyfunc: Pyfunc | None = (
        None  # how MLflow loads the weights of a training; None from a trainer that does not say
    )


def train(job: Job, report: Report) -> dict[str, float]:
    """Run one job to its final metrics."""
    trainer = resolve(job.trainer)
    settings = trainer.settings(job.settings)
    function = trainer.bound(settings)
    if job.fitness and "fitness" in signature(trainer.function).parameters:
        rule = parse_fitness(job.fitness, metrics_of(trainer, settings))
        function = functools.partial(function, fitness=rule.of_epoch)
    job.out.mkdir(parents=True, exist_ok=True)
    _limit_memory(job)
    metrics = function(job.hyp, out=job.out, seed=job.seed, device=device_name(job.device), report=report)
    return numbers(metrics, f"{job.trainer} returned")


def _limit_memory(job: Job) -> None:
    """Keep a training on a shared GPU within its share, so that it is the one that fails, not its neighbour."""
    torch = sys.modules.get("torch")
    if torch is not None and job.share < 1 and job.device.isdecimal() and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(job.share)


def numbers(metrics: Any, source: str) -> dict[str, float]:
    """Metrics as plain floats, whatever number type they came as (numpy's, torch's).

    Raises:
        TypeError: not a mapping of names to numbers; the message begins with `source`.
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"{source} {type(metrics).__name__}, expected a mapping of metric names to numbers")
    plain = {}
    for name, value in metrics.items():
        try:
            plain[str(name)] = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{source} {name} = {value!r:.100}, expected a number") from error
    return plain


def inspect(
    trainer: str,
    raw: Mapping[str, Any],
    hyp: Hyp,
    space: Mapping[str, Any],
    cache: Path | None = None,
    device: str | None = None,
    *,
    check: bool = True,
) -> Inspection:
    """Resolve the trainer, build its settings, and run its preflight, which may keep what it reads in `cache`.

    A `device` is one that works; the preflight may look at its memory.

    Raises:
        InputError: the trainer or one of its options does not exist, or its settings refuse a value.
    """
    found = resolve(trainer)
    settings = found.settings(raw)
    findings: list[Finding] = []
    if check and hasattr(found.module, "check"):
        wanted = {"cache": cache, "device": None if device is None else device_name(device)}
        taken = {name: wanted[name] for name in signature(found.module.check).parameters if name in wanted}
        said = found.module.check(settings, hyp, space, **taken)
        findings = [Finding(level, message) for level, message in said]
    return Inspection(
        trainer=found.name,
        settings=_plain(settings),
        neutral=_neutral(settings),
        metrics=metrics_of(found, settings, cache),
        fitness=fitness_of(found, settings, cache),
        weights=weights_of(found, settings, cache),
        brings_genes=getattr(found.module, SPACE, None) is not None,
        findings=tuple(findings),
        validates=hasattr(found.module, "validate") and bool(getattr(settings, "weights", True)),
    )


def probe(trainer: str, raw: Mapping[str, Any], device: str) -> str:
    """What the trainer has to say of a device after it has computed on it; empty if it does not look.

    Raises:
        InputError: the device cannot be used; the message says why.
    """
    found = resolve(trainer)
    if not hasattr(found.module, "probe"):
        return ""
    try:
        return str(found.module.probe(found.settings(raw), device=device_name(device)))
    except ValueError as error:
        raise InputError(str(error)) from error
    except (RuntimeError, OSError) as error:
        raise InputError(first_line(error)) from error


def estimate(
    trainer: str,
    raw: Mapping[str, Any],
    hyp: Hyp,
    cache: Path,
    device: str,
    seconds: float,
    threads: int | None,
) -> tuple[float, float, str] | None:
    """What the trainer's `estimate` says of a training's seconds; None from a trainer that offers none.

    Args:
        trainer: Its full name.
        raw: Its settings.
        hyp: What is trained.
        cache: The folder of `prepare`.
        device: Where.
        seconds: That it may take.
        threads: That a training will have; None leaves it to the trainer.
    """
    found = resolve(trainer)
    if not hasattr(found.module, "estimate"):
        return None
    if threads is not None and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    settings, name = found.settings(raw), device_name(device)
    low, high, timed = found.module.estimate(settings, hyp, cache=cache, device=name, seconds=seconds)
    return float(low), float(high), str(timed)


def prepare(trainer: str, settings: Mapping[str, Any], cache: Path) -> Prepared:
    """Build what all trials of a study share, as far as the trainer has something to share.

    Raises:
        InputError: the data cannot be used.
    """
    found = resolve(trainer)
    bound = found.settings(settings)
    fingerprint, versions = "", {}
    try:
        if hasattr(found.module, "prepare"):
            cache.mkdir(parents=True, exist_ok=True)
            bound = found.module.prepare(bound, cache) or bound
        if hasattr(found.module, "fingerprint"):
            fingerprint = str(found.module.fingerprint(bound))
        if hasattr(found.module, "versions"):
            versions = {str(name): str(value) for name, value in found.module.versions(bound).items()}
    except (ValueError, FileNotFoundError) as error:
        raise InputError(str(error)) from error
    return Prepared(_plain(bound), fingerprint, versions, pyfunc_of(found, bound))


def validate(trainer: str, raw: Mapping[str, Any], device: str) -> dict[str, float]:
    """The metrics of a checkpoint on a dataset, from the trainer's `validate(settings, device=)`."""
    found = resolve(trainer)
    if not hasattr(found.module, "validate"):
        raise InputError(f"trainer {found.name} offers no validate(settings, device=)")
    try:
        metrics = found.module.validate(found.settings(raw), device=device_name(device))
        return numbers(metrics, f"validate of {found.name} returned")
    except (ValueError, FileNotFoundError) as error:
        raise InputError(str(error)) from error


def splits(trainer: str, raw: Mapping[str, Any], cache: Path) -> dict[str, str] | None:
    """Which images the trainer's setting `split` can name, each with why it can't be used; None if it has no choice."""
    found = resolve(trainer)
    if not hasattr(found.module, "splits"):
        return None
    try:
        return {
            str(key): str(why) for key, why in found.module.splits(found.settings(raw), cache=cache).items()
        }
    except (ValueError, OSError):
        return {}  # the preflight says what is wrong with the data


def export_weights(trainer: str, weights: Path, target: Path, options: Mapping[str, str]) -> str:
    """Have a trainer write weights in another program's form; returns what was written, in words."""
    found = resolve(trainer)
    try:
        return str(found.module.export_weights(weights, target, **options))
    except (ValueError, FileNotFoundError) as error:
        raise InputError(str(error)) from error


def failure_of(error: BaseException) -> tuple[Failure, str]:
    """The kind of failure an exception stands for, or what it was raised from, and one line that says what happened."""
    cause: BaseException | None = error
    while cause is not None:
        said = getattr(cause, "failure", None)
        if isinstance(said, str) and said in tuple(Failure):  # a trainer knows, of a program that it started
            return Failure(said), str(cause).strip().split("\n")[0][:500]
        kind = _kind_of(cause)
        if kind is not None:
            return kind, first_line(cause)
        cause = cause.__cause__
    return Failure.CRASHED, first_line(error) + place(error)


def _kind_of(error: BaseException) -> Failure | None:
    """The kind of failure that an exception names; None for any other."""
    if isinstance(error, FloatingPointError):
        return Failure.DIVERGED
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
        return Failure.DISK_FULL
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return Failure.OUT_OF_MEMORY
    if type(error).__name__ in ("OutOfMemoryError", "CUDAOutOfMemoryError"):
        return Failure.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)):
        return Failure.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and _DEVICE_FAILED.search(str(error)):
        return Failure.DEVICE_FAILED
    return None


def _plain(settings: Any) -> dict[str, Any]:
    if settings is None:
        return {}
    return {
        field.name: _text(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.init
    }


def _neutral(settings: Any) -> tuple[str, ...]:
    """The fields whose metadata say `changes_results: False`."""
    if settings is None:
        return ()
    return tuple(
        field.name
        for field in dataclasses.fields(settings)
        if not field.metadata.get("changes_results", True)
    )


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
