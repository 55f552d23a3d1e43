"""The devices a study may use, and the environment in which a process sees only its own."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from hypevo.protocol import Failure, InputError, Outcome

_NAMED = 2  # failures in a row, for each slot, that name the device as their cause
_IN_A_ROW = 3  # failures in a row, for each slot, where other devices meanwhile finish as many trainings
_OF_A_DEVICE = (Failure.DEVICE_FAILED, Failure.CRASHED, Failure.KILLED)  # that a broken device may be behind

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_HIP = ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_WSL = "/usr/lib/wsl/lib"  # where Windows puts its tools for Linux; not on every path
_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-z/-]+", re.IGNORECASE)  # older MIG names hold slashes: MIG-GPU-…/1/0
_LISTED = re.compile(r"^(\s*)(GPU|MIG)\b(.*?)\(UUID: ([^)]+)\)")
_AMD = Path("/sys/class/kfd/kfd/topology/nodes")  # AMD's driver lists processors and GPUs here


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a part of one, that processes of this user may see.

    Attributes:
        key: What makes a process see this one alone: a UUID, or an index in the runtime's own order.
        name: As its maker calls it; empty where nobody says.
        variable: The variable that takes the key.
    """

    key: str
    name: str = ""
    variable: str = _VISIBLE


def parse_devices(text: str) -> tuple[str, ...]:
    """«auto», «cpu», «mps», «0», «0,1,2» or UUIDs as a tuple of devices, one slot each.

    An index counts the devices that this process may see: in CUDA_VISIBLE_DEVICES if that is set, else as `nvidia-smi`
    counts them. «auto» is the first of them, else Apple's GPU, else the CPU: one slot, because a study that takes every
    GPU of a shared machine without being asked would not be welcome.

    Raises:
        InputError: anything else, or the same device twice.
    """
    text = text.strip()
    if text.lower() == "auto":
        return ("0",) if visible_gpus() else ("mps",) if _apple() else ("cpu",)
    if text.lower() == "mps" and sys.platform != "darwin":
        raise InputError("--device mps: Apple's GPUs are there on macOS only")
    if text.lower() in ("cpu", "mps"):
        return (text.lower(),)
    gpus = visible_gpus()
    devices = tuple(_index(part.strip(), text, gpus) for part in text.split(","))
    if len(set(devices)) < len(devices):
        raise InputError(
            f"--device {text}: a device is named twice; use --slots-per-device 2 for two trials on one device"
        )
    return devices


def _index(device: str, text: str, gpus: list[Gpu]) -> str:
    """The index of the device that was named; `text` is the whole of what was given."""
    there = "this machine shows no GPU"
    if gpus:
        there = f"there are {len(gpus)}, 0 to {len(gpus) - 1}" if len(gpus) > 1 else "there is one, 0"
    if _VISIBLE in os.environ:
        there += f" (CUDA_VISIBLE_DEVICES is «{os.environ[_VISIBLE]}»)"
    if _UUID.fullmatch(device):
        found = [index for index, gpu in enumerate(gpus) if gpu.key.lower().startswith(device.lower())]
        if len(found) != 1:
            what = "several GPUs begin" if found else "no GPU begins"
            raise InputError(f"--device {text}: {what} with {device}; {there} (nvidia-smi -L lists them)")
        return str(found[0])
    index = device.lower().removeprefix("cuda:")
    if not (index.isascii() and index.isdecimal()):
        raise InputError(
            f"--device: expected auto, cpu, mps, GPU indices such as 0 or 0,1,2, or UUIDs such as GPU-1234…; "
            f"got «{text}»"
        )
    if int(index) >= len(gpus):
        raise InputError(f"--device {text}: no GPU {int(index)}; {there}")
    return str(int(index))


def device_name(device: str) -> str:
    """The trainer's name of a slot's device: the slot's process sees only its own GPU, so that one is `cuda:0`."""
    return "cuda:0" if device.isdecimal() else device


def environment(device: str, threads: int | None) -> dict[str, str]:
    """The variables that keep a process on its own device and within its share of CPU threads."""
    variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if not device.isdecimal():
        return variables | {_VISIBLE: ""} | {name: "" for name in _HIP if name in os.environ}
    gpu = visible_gpus()[int(device)]
    return variables | {gpu.variable: gpu.key}


def cpus() -> int:
    """CPUs this process may use: a container or Slurm may give fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs that this process may use, without torch.

    Raises:
        InputError: `nvidia-smi` is there and does not answer.
    """
    tool = shutil.which("nvidia-smi", path=os.pathsep.join([environ.get("PATH", os.defpath), _WSL]))
    if tool is not None and Path(tool).resolve().parent == Path.cwd():
        tool = None  # Windows looks into the working folder first, where a stranger's program may lie
    if _VISIBLE in environ:
        listed = environ[_VISIBLE]
        try:
            return _named(listed, _list_gpus(tool)) if tool and listed.strip() else _named(listed, [])
        except InputError:  # whoever named them knows them
            return _named(listed, [])
    if tool:
        _list_gpus(tool)
        # A whole GPU that is cut into parts, which follow it, can't be used itself.
        pairs = pairwise([*_list_gpus(tool), Gpu("")])
        return [gpu for gpu, after in pairs if _is_part(gpu) or not _is_part(after)]
    return _amd_gpus(environ)


def _named(listed: str, known: list[Gpu]) -> list[Gpu]:
    """What CUDA makes of CUDA_VISIBLE_DEVICES: entries up to the first that is no device of this machine.

    «-1», «NoDevFiles» (Slurm), «none» and «all» are no devices. An index stays what it is, in CUDA's own order.
    """
    found: list[Gpu] = []
    whole = [gpu for gpu in known if not _is_part(gpu)]
    for entry in map(str.strip, listed.split(",")):
        if _UUID.fullmatch(entry):
            names = [gpu.name for gpu in known if gpu.key.lower().startswith(entry.lower())]
            if known and not names:
                break
            gpu = Gpu(entry, names[0] if names else "")
        elif entry.isascii() and entry.isdecimal() and (not known or int(entry) < len(whole)):
            names = sorted({gpu.name for gpu in whole})
            gpu = Gpu(str(int(entry)), names[0] if len(names) == 1 else "")
        else:
            break
        if gpu in found:  # CUDA then shows no device at all
            return []
        found.append(gpu)
    return found


def _is_part(gpu: Gpu) -> bool:
    return gpu.key.upper().startswith("MIG-")


@cache  # a GPU that falls off the bus later is the matter of its own trials, not of the driver
def _list_gpus(tool: str) -> list[Gpu]:
    """GPUs, each followed by the parts it is cut into."""
    try:
        listing = subprocess.run(
            [tool, "-L"], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"--device: {tool} does not answer ({error}); name the GPUs in {_VISIBLE}, or train with --device cpu"
        ) from error
    found = [_LISTED.match(line) for line in listing.stdout.splitlines()]
    gpus = [Gpu(one[4], " ".join(one[3].split(":", 1)[-1].split() or one[3].split())) for one in found if one]
    words = " ".join((listing.stderr or listing.stdout).split())
    if not gpus and listing.returncode and "No devices were found" not in words:
        raise InputError(
            f"--device: {tool} failed (exit code {listing.returncode}): {words[:200] or 'it said nothing'}. "
            f"Put the driver right, or train with --device cpu"
        )
    return gpus


def _amd_gpus(environ: Mapping[str, str]) -> list[Gpu]:
    """AMD's GPUs as ROCm numbers them for this process."""
    gpus = 0
    for node in sorted(_AMD.glob("*/gpu_id")):
        try:
            gpus += node.read_text(encoding="ascii").strip() not in ("", "0")  # 0 is a processor
        except OSError:
            continue
    for variable in _HIP[::-1]:  # the outer one first
        if variable in environ:
            entries = [entry.strip() for entry in environ[variable].split(",")]
            gpus = min(gpus, sum(entry not in ("", "-1") for entry in entries))
    keys = [entry.strip() for entry in environ.get(_HIP[0], "").split(",") if entry.strip()]
    keys = keys or [str(index) for index in range(gpus)]
    return [Gpu(key, "AMD GPU", _HIP[0]) for key in keys[:gpus]]


def _apple() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


@dataclass
class _Row:
    """Failures of a device in a row."""

    failures: int = 0
    named: int = 0  # those that name the device as their cause
    elsewhere: int = 0  # trainings that other devices have finished meanwhile


class Health:
    """Which devices still work, told from how trainings end on them.

    A device is set aside after failures in a row that name it as their cause (an error of CUDA's that no tensor can
    bring about), or after more of other kinds while other devices finish as many trainings.

    Attributes:
        aside: Devices that get no more trainings, and what they did.
    """

    def __init__(self) -> None:
        self.aside: dict[str, str] = {}
        self._rows: dict[str, _Row] = {}  # by device, since its last good training

    def count(self, device: str, outcome: Outcome, *, slots: int) -> bool:
        """Count how a training ended on a device of so many slots; True if the device is set aside for it."""
        if outcome.failure is None:
            self._rows.pop(device, None)
            for row in self._rows.values():
                row.elsewhere += 1
            return False
        if outcome.failure not in _OF_A_DEVICE:
            return False
        row = self._rows.setdefault(device, _Row())
        row.failures += 1
        row.named += outcome.failure is Failure.DEVICE_FAILED
        alone = row.failures >= _IN_A_ROW * slots and row.elsewhere >= _IN_A_ROW
        if row.named < _NAMED * slots and not alone:
            return False
        beside = f" while others finished {row.elsewhere}" if row.elsewhere else ""
        self.aside[device] = f"failed {row.failures} trainings in a row{beside}: {outcome.reason}"
        return True
