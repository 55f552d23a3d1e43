"""Which devices a study may use, and what its processes see of them."""

import pytest

from hypevo.protocol import InputError
from hypevo.trainings.devices import device_name, environment, parse_devices


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """A machine with so many GPUs, as `nvidia-smi` tells."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def have(count):
        tool = tmp_path / "nvidia-smi"
        lines = "".join(f"echo 'GPU {index}: NVIDIA X (UUID: GPU-{index})'\n" for index in range(count))
        tool.write_text(f"#!/bin/sh\n{lines}")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return have


@pytest.mark.parametrize(
    ("text", "devices"),
    [("0", ("0",)), ("0,2", ("0", "2")), (" 1, 0 ", ("1", "0")), ("cuda:1", ("1",)), ("cpu", ("cpu",)),
     ("CPU", ("cpu",)), ("00", ("0",)), ("auto", ("0",))],
)  # fmt: skip
def test_devices_that_are_there(gpus, text, devices):
    gpus(3)
    assert parse_devices(text) == devices


@pytest.mark.parametrize(
    ("text", "words"),
    [("3", "no CUDA device 3; there are 3, 0 to 2"), ("0,0", "named twice"), ("0,00", "named twice"),
     ("gpu", "expected auto, cpu, mps"),
     ("0,cpu", "expected auto"), ("", "expected auto"), ("-1", "expected auto"), ("0,", "expected auto")],
)  # fmt: skip
def test_devices_that_are_not(gpus, text, words):
    gpus(3)
    with pytest.raises(InputError, match=words):
        parse_devices(text)


def test_a_machine_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert parse_devices("auto") == ("cpu",)
    with pytest.raises(InputError, match="shows no CUDA device"):
        parse_devices("0")


def test_only_the_devices_given_to_this_process_count(gpus, monkeypatch):
    """As Slurm gives them: index 0 is the first of those, whatever its number in the machine."""
    gpus(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    assert parse_devices("0,1") == ("0", "1")
    assert environment("0", None) == {"CUDA_VISIBLE_DEVICES": "5"}
    assert environment("1", 4)["CUDA_VISIBLE_DEVICES"] == "GPU-abc"
    with pytest.raises(InputError, match="no CUDA device 2"):
        parse_devices("2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_devices("auto") == ("cpu",)


def test_a_trial_sees_its_own_device_and_its_share_of_threads(gpus):
    gpus(2)
    assert environment("1", 3) == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert environment("cpu", None) == {"CUDA_VISIBLE_DEVICES": ""}
    assert device_name("1") == "cuda:0"  # the only one it sees
    assert device_name("cpu") == "cpu"


def test_apples_devices_are_those_of_macos(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert parse_devices("mps") == ("mps",)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(InputError, match="macOS only"):
        parse_devices("mps")


def test_a_gpu_that_is_lost_later_does_not_end_the_driver(gpus):
    gpus(2)
    assert parse_devices("0,1") == ("0", "1")
    gpus(1)
    assert environment("1", None)["CUDA_VISIBLE_DEVICES"] == "1"
