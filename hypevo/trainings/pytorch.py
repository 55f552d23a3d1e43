"""Which PyTorch is installed, for what it was built, and the command for another one where a GPU would lie idle.

Read from the file that PyTorch says it in, without importing PyTorch, which takes seconds and memory.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hypevo.protocol import Finding

INSTALL = "uv pip install --reinstall torch torchvision --torch-backend auto"


@dataclass(frozen=True)
class Build:
    """A build of PyTorch."""

    version: str
    cuda: str | None  # that it was built for; None for CPUs alone
    rocm: str | None = None

    @property
    def purpose(self) -> str:
        """What it computes on, in words."""
        if self.cuda or self.rocm:
            return f"for CUDA {self.cuda}" if self.cuda else f"for ROCm {self.rocm}"
        return "for CPUs and Apple's GPUs" if sys.platform == "darwin" else "for CPUs alone"


def installed() -> Build | None:
    """The PyTorch of this environment; None without one, or where it does not say."""
    found = importlib.util.find_spec("torch")
    says = None if found is None or found.origin is None else Path(found.origin).with_name("version.py")
    if says is None or not says.is_file():
        return None
    values = runpy.run_path(str(says))
    return Build(str(values.get("__version__", "?")), values.get("cuda"), values.get("hip"))


def has_nvidia_driver() -> bool:
    """Whether a driver for NVIDIA's GPUs is here, by its tool or its files."""
    windows = Path(os.environ.get("SYSTEMROOT", "/")) / "System32" / "nvcuda.dll"
    files = (Path("/proc/driver/nvidia/version"), Path("/usr/lib/wsl/lib/libcuda.so.1"), windows)
    return shutil.which("nvidia-smi") is not None or any(file.exists() for file in files)


def build_finding(build: Build | None, *, driver: bool) -> Finding | None:
    """What `hypevo check` says of it: a warning when there is a GPU that it cannot use."""
    if build is None:
        return None
    if driver and not (build.cuda or build.rocm):
        return Finding(
            "warning",
            f"PyTorch {build.version} was built {build.purpose}, and this machine has an NVIDIA driver: "
            f"trainings would not use the GPU. The build for it: {INSTALL}",
        )
    return Finding("note", f"PyTorch {build.version}, built {build.purpose}")
