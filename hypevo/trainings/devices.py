"""The devices a study may use, and the environment in which a process sees only its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from hypevo.protocol import InputError


def parse_devices(text: str) -> tuple[str, ...]:
    """«auto», «cpu», «mps», «0» or «0,1,2» as a tuple of devices, one slot each.

    «auto» is the first CUDA device that this process may see, else the CPU: one slot, because a study that takes every
    GPU of a shared machine without being asked would not be welcome.

    Raises:
        InputError: anything else, or the same device twice.
    """
    text = text.strip().lower()
    if text == "auto":
        return ("0",) if _cuda_devices() else ("cpu",)
    if text == "mps" and sys.platform != "darwin":
        raise InputError("--device mps: Apple's GPUs are there on macOS only")
    if text in ("cpu", "mps"):
        return (text,)
    devices = tuple(part.strip().removeprefix("cuda:") for part in text.split(","))
    if not all(device.isdecimal() for device in devices):
        raise InputError(
            f"--device: expected auto, cpu, mps, or CUDA indices such as 0 or 0,1,2; got «{text}»"
        )
    devices = tuple(str(int(device)) for device in devices)
    if len(set(devices)) < len(devices):
        raise InputError(
            f"--device {text}: a device is named twice; use --slots-per-device 2 for two trials on one device"
        )
    available = _cuda_devices()
    absent = [device for device in devices if int(device) >= len(available)]
    if absent:
        there = (
            f"there are {len(available)}, 0 to {len(available) - 1}"
            if available
            else "this machine shows no CUDA device"
        )
        raise InputError(f"--device {text}: no CUDA device {', '.join(absent)}; {there}")
    return devices


def device_name(device: str) -> str:
    """The trainer's name of a slot's device: the slot's process sees only its own GPU, so that one is `cuda:0`."""
    return "cuda:0" if device.isdecimal() else device


def environment(device: str, threads: int | None) -> dict[str, str]:
    """The variables that keep a process on its own device and within its share of CPU threads.

    Index k means the k-th of the devices that this process sees, so a CUDA_VISIBLE_DEVICES set by Slurm is respected.
    """
    variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if device.isdecimal():
        return variables | {"CUDA_VISIBLE_DEVICES": _cuda_devices()[int(device)]}
    return variables | {"CUDA_VISIBLE_DEVICES": ""}


def cpus() -> int:
    """CPUs this process may use: a container or Slurm may give fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cuda_devices(environ: Mapping[str, str] = os.environ) -> list[str]:
    """What CUDA_VISIBLE_DEVICES lists, else every device of `nvidia-smi`; no torch needed."""
    if "CUDA_VISIBLE_DEVICES" in environ:
        return [
            device.strip()
            for device in environ["CUDA_VISIBLE_DEVICES"].split(",")
            if device.strip() not in ("", "-1")
        ]
    tool = shutil.which("nvidia-smi")
    return [] if tool is None else _list_gpus(tool)


@cache  # a GPU that falls off the bus later is the matter of its own trials, not of the driver
def _list_gpus(tool: str) -> list[str]:
    try:
        listing = subprocess.run(
            [tool, "--list-gpus"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"--device: {tool} does not answer ({error}); name the GPUs in CUDA_VISIBLE_DEVICES"
        ) from error
    return [str(index) for index, line in enumerate(listing.stdout.splitlines()) if line.startswith("GPU")]
