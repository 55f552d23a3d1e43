"""The device of a training: its name, and what is said when it cannot be used."""

from __future__ import annotations

import pytest
import torch

from trainers import device
from trainers.device import probe, torch_device


def test_devices_go_by_index_or_name():
    assert torch_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="expected cpu or a CUDA index"):
        torch_device("gpu")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="one of the 2 GPUs that PyTorch sees, got '2'"):
        torch_device("2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    def fails():
        raise RuntimeError("Found no NVIDIA driver on your system.\nMore")

    monkeypatch.setattr(torch.cuda, "init", fails)
    with pytest.raises(
        ValueError,
        match=r"finds no GPU that it can use \(Found no NVIDIA driver on your system\.\)\. .* --torch-backend auto",
    ):
        torch_device("0")
    with pytest.raises(ValueError, match="can't use Apple's GPU here; use cpu"):
        torch_device("mps")


def test_a_build_for_cpus_alone_says_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ValueError, match=r"built for CPUs alone .* --torch-backend auto"):
        probe("0")


def test_a_device_that_works_is_named_with_the_build():
    assert probe("cpu").startswith(f"cpu, PyTorch {torch.__version__} for C")


def test_a_device_that_computes_nonsense_is_refused(monkeypatch):
    right = device._gradient(torch.device("cpu"))
    wrong = iter([right * 1.1, right])
    monkeypatch.setattr(device, "_gradient", lambda place: next(wrong))
    with pytest.raises(ValueError, match="computes nonsense"):
        probe("cpu")
