"""Which devices a study may use, and what its processes see of them."""

import pytest

from hypevo.preflight import probe
from hypevo.protocol import InputError
from hypevo.trainings import devices, make_backend
from hypevo.trainings.devices import device_name, environment, parse_devices, visible_gpus


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
    [("3", "no GPU 3; there are 3, 0 to 2"), ("0,0", "named twice"), ("0,00", "named twice"),
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
    with pytest.raises(InputError, match="shows no GPU"):
        parse_devices("0")


def test_only_the_devices_given_to_this_process_count(gpus, monkeypatch):
    """As Slurm gives them: index 0 is the first of those, whatever its number in the machine."""
    gpus(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-2")
    assert parse_devices("0,1") == ("0", "1")
    assert environment("0", None) == {"CUDA_VISIBLE_DEVICES": "5"}
    assert environment("1", 4)["CUDA_VISIBLE_DEVICES"] == "GPU-2"
    with pytest.raises(InputError, match="no GPU 2"):
        parse_devices("2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_devices("auto") == ("cpu",)
    with pytest.raises(InputError, match=r"no GPU 0; this machine shows no GPU .CUDA_VISIBLE_DEVICES is «»"):
        parse_devices("0")


def test_a_trial_sees_its_own_device_and_its_share_of_threads(gpus):
    gpus(2)
    assert environment("1", 3) == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "GPU-1",
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
    assert environment("1", None)["CUDA_VISIBLE_DEVICES"] == "GPU-1"


LISTING = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-11aa)
  MIG 3g.40gb     Device  0: (UUID: MIG-aaaa)
  MIG 3g.40gb     Device  1: (UUID: MIG-bbbb)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-22bb)
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A machine whose `nvidia-smi` does as it is told."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def say(text="", error="", code=0):
        (tmp_path / "text").write_text(text)
        (tmp_path / "error").write_text(error)
        script = tmp_path / "bin" / "nvidia-smi"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ncat {tmp_path}/text; cat {tmp_path}/error >&2; exit {code}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent), prepend=":")
        devices._list_gpus.cache_clear()

    return say


def test_parts_of_a_gpu_are_devices_and_the_gpu_is_none(tool):
    tool(LISTING)
    assert [gpu.key for gpu in visible_gpus()] == ["MIG-aaaa", "MIG-bbbb", "GPU-22bb"]
    assert visible_gpus()[0].name == "3g.40gb Device 0:"
    assert environment("1", None)["CUDA_VISIBLE_DEVICES"] == "MIG-bbbb"
    assert parse_devices("2,MIG-AAAA,mig-b") == ("2", "0", "1")


@pytest.mark.parametrize(
    ("visible", "keys"),
    [("0,1", ["0", "1"]), ("1", ["1"]), (" 1 , 0 ", ["1", "0"]), ("GPU-22", ["GPU-22"]), ("MIG-bbbb", ["MIG-bbbb"]),
     ("MIG-GPU-11aa/1/0", []), ("", []), ("-1", []), ("NoDevFiles", []), ("none", []), ("all", []), ("void", []),
     ("0,-1,1", ["0"]), ("0,7", ["0"]), ("0,0", []), ("GPU-99", [])],
)  # fmt: skip
def test_cuda_visible_devices_as_cuda_reads_it(tool, monkeypatch, visible, keys):
    tool(LISTING)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.key for gpu in visible_gpus()] == keys


def test_devices_named_by_the_user_are_believed_where_no_tool_lists_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-abc,MIG-GPU-11aa/1/0,3")
    assert parse_devices("0,1,2") == ("0", "1", "2")
    assert environment("2", None)["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize(
    ("text", "words"),
    [("GPU-9", "no GPU begins with GPU-9; there are 3"), ("MIG-", "expected auto, cpu"),
     ("gpu-22bb,2", "named twice"), ("٣", "expected auto")],
)  # fmt: skip
def test_uuids_that_are_not_there(tool, text, words):
    tool(LISTING)
    with pytest.raises(InputError, match=words):
        parse_devices(text)


def test_a_tool_that_fails_is_no_machine_without_gpus(tool, monkeypatch):
    tool(error="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", code=9)
    with pytest.raises(
        InputError, match=r"failed \(exit code 9\): NVIDIA-SMI has failed because .* --device cpu"
    ):
        parse_devices("auto")
    assert parse_devices("cpu") == ("cpu",)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert parse_devices("auto") == ("0",)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tool("No devices were found\n", code=6)
    assert parse_devices("auto") == ("cpu",)


def test_amds_gpus_are_counted_without_a_tool(tmp_path, monkeypatch):
    for node, number in enumerate(["0", "51140", "51141"]):  # a processor and two GPUs
        (tmp_path / str(node)).mkdir()
        (tmp_path / str(node) / "gpu_id").write_text(number)
    monkeypatch.setattr(devices, "_AMD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert parse_devices("0,1") == ("0", "1")
    assert environment("1", None) == {"HIP_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert [gpu.key for gpu in visible_gpus()] == ["1"]
    assert environment("cpu", None) == {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "")
    assert parse_devices("auto") == ("cpu",)


def test_auto_is_apples_gpu_on_a_mac_that_has_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert parse_devices("auto") == ("mps",)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert parse_devices("auto") == ("cpu",)


def test_a_gpu_that_torch_cannot_use_is_named_before_anything_is_trained(tool, bare_arena):
    """`nvidia-smi` lists it and PyTorch does not see it: no driver for this PyTorch, or one built for CPUs."""
    tool(LISTING)
    backend = make_backend("trainers.yolov5:train", device="0,1")
    findings = probe("trainers.yolov5:train", {}, backend)
    assert [finding.level for finding in findings] == ["error", "error"]
    assert findings[1].message.startswith("device 1 cannot be used: device: PyTorch ")
    assert "torch-backend auto" in findings[1].message


def test_a_gpu_that_was_chosen_for_the_user_gives_way_to_the_cpu(tool, bare_arena):
    tool(LISTING)
    backend = make_backend("trainers.yolov5:train", device="auto", slots_per_device=2)
    (finding,) = probe("trainers.yolov5:train", {}, backend)
    assert finding.level == "warning"
    assert finding.message.endswith("; going on with cpu")
    assert [slot.device for slot in backend.slots()] == ["cpu", "cpu"]
    (finding,) = probe("trainers.yolov5:train", {}, backend)
    assert finding.message.startswith("device cpu: cpu, PyTorch ")


def test_a_tool_in_the_working_folder_is_not_run(tool, tmp_path, monkeypatch):
    """Windows would look there first."""
    tool(LISTING)
    monkeypatch.chdir(tmp_path / "bin")
    assert visible_gpus() == []
