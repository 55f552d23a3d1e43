"""What is said of the installed PyTorch."""

from __future__ import annotations

import importlib.metadata

import pytest

from hypevo.trainings.pytorch import INSTALL, Build, build_finding, has_nvidia_driver, installed


def test_the_installed_one_is_read_without_importing_it():
    import torch

    build = installed()
    assert (build.version, build.cuda) == (torch.__version__, torch.version.cuda)
    assert build.version.startswith(importlib.metadata.version("torch").partition("+")[0])


@pytest.mark.parametrize(
    ("build", "driver", "level", "words"),
    [
        (Build("2.9.0+cpu", None), True, "warning", INSTALL),
        (Build("2.9.0+cpu", None), False, "note", "for CPUs"),
        (Build("2.9.0+cu128", "12.8"), True, "note", "for CUDA 12.8"),
        (Build("2.9.0+cu128", "12.8"), False, "note", "for CUDA 12.8"),
        (Build("2.9.0+rocm6.4", None, "6.4"), True, "note", "for ROCm 6.4"),
    ],
)
def test_only_a_gpu_that_would_lie_idle_is_a_warning(build, driver, level, words):
    finding = build_finding(build, driver=driver)
    assert finding.level == level
    assert words in finding.message


def test_where_there_is_no_pytorch_nothing_is_said():
    assert build_finding(None, driver=True) is None


def test_a_driver_is_known_by_its_tool(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_nvidia_driver()


def test_a_driver_is_known_by_its_library_on_windows(tmp_path, monkeypatch):
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvcuda.dll").touch()
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert has_nvidia_driver()
