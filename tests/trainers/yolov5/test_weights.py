from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from trainers.yolov5.model import Detector
from trainers.yolov5.weights import (
    Checkpoint,
    load_checkpoint,
    portable_state,
    save_checkpoint,
    start_detector,
    transfer,
    transferable,
)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.fixture(scope="module")
def official(data_folder):
    return load_checkpoint(data_folder / "yolov5n.pt")


def test_official_file_loads_every_tensor(official):
    model, copied, total = start_detector(official, size="", classes=80, anchors=3)
    assert copied == total
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_872_157
    assert (official.size, official.classes, official.names[0]) == ("n", 80, "person")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in official.state.items())


@pytest.mark.parametrize(
    ("classes", "anchors", "left_out"),
    [
        (10, 3, 6),  # weight and bias of three output convolutions
        (80, 5, 7),  # and the anchors
    ],
)
def test_other_classes_or_anchors_keep_what_fits(official, classes, anchors, left_out):
    _, copied, total = start_detector(official, size="", classes=classes, anchors=anchors)
    assert total - copied == left_out


def test_another_anchor_count_starts_the_output_layer_fresh_even_where_shapes_agree():
    model = Detector("p", 7, anchors=3)  # 3 * (5 + 7) channels
    state = {**model.state_dict(), "model.24.anchors": torch.ones(3, 4, 2)}
    _, copied, total = start_detector(Checkpoint(state, ()), size="", classes=7, anchors=3)
    assert total - copied == 7


def test_own_file_round_trips_in_half_precision(tmp_path):
    model = Detector("p", 10, anchors=4)
    model.anchors.copy_(torch.rand(3, 4, 2))
    save_checkpoint(tmp_path / "weights" / "last.pt", model, [f"digit {i}" for i in range(10)])
    checkpoint = load_checkpoint(tmp_path / "weights" / "last.pt")
    assert (checkpoint.size, checkpoint.classes, checkpoint.names[9]) == ("p", 10, "digit 9")
    for name, tensor in model.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(checkpoint.state[name], expected), name
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["last.pt"]


def test_plain_state_dict_loads(tmp_path):
    torch.save(Detector("s", 2).state_dict(), tmp_path / "plain.pt")
    checkpoint = load_checkpoint(tmp_path / "plain.pt")
    assert (checkpoint.size, checkpoint.classes) == ("s", 2)


def test_moving_average_goes_before_the_weights(tmp_path):
    first, second = Detector("p", 2), Detector("p", 2)
    torch.save({"model": first.state_dict(), "ema": second.state_dict()}, tmp_path / "both.pt")
    bias = load_checkpoint(tmp_path / "both.pt").state["model.24.m.0.bias"]
    assert torch.equal(bias, second.state_dict()["model.24.m.0.bias"])


def test_transfer_counts_tensors():
    source, target = Detector("p", 3), Detector("p", 5)
    copied, total = transfer(source.state_dict(), target)
    assert (copied, total) == (len(source.state_dict()) - 6, len(target.state_dict()))


def test_malicious_pickle_is_refused_by_name_and_does_not_run(tmp_path):
    torch.save({"model": Touch(tmp_path / "touched")}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match=r"evil\.pt wants to import \w+\.system.*nothing was run"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()


def test_names_beside_the_allowed_modules_are_refused(tmp_path):
    """A class called models.yolo.Model passes as a stand-in; models.yolov9.Model is nobody we know."""
    payload = b"\x80\x02cmodels.yolov9\nModel\n)\x81."
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as file:
        file.writestr("archive/data.pkl", payload)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    with pytest.raises(ValueError, match=r"wants to import models\.yolov9\.Model"):
        load_checkpoint(tmp_path / "other.pt")


def test_numpy_values_in_a_training_checkpoint_do_no_harm(tmp_path):
    content = {"model": Detector("p", 2).state_dict(), "best_fitness": np.float64(0.5), "r": np.ones(3)}
    torch.save(content, tmp_path / "trained.pt")
    assert load_checkpoint(tmp_path / "trained.pt").classes == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt does not exist"):
        load_checkpoint(tmp_path / "nowhere.pt")


def make_text(path):
    path.write_text("not a checkpoint")


def make_foreign_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "x")


def make_cut_file(path):
    torch.save(Detector("p", 2).state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


def make_cut_pickle(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}")
        file.writestr("archive/version", "3\n")


@pytest.mark.parametrize("make", [make_text, make_foreign_zip, make_cut_file, make_cut_pickle])
def test_what_is_no_checkpoint_says_so(tmp_path, make):
    make(tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"bad\.pt is (damaged or )?no checkpoint"):
        load_checkpoint(tmp_path / "bad.pt")


def test_altered_bytes_load_or_say_so(tmp_path):
    torch.save(Detector("p", 2).state_dict(), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as file:
        entries = {name: file.read(name) for name in file.namelist()}
    (pickled,) = (name for name in entries if name.endswith("data.pkl"))
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(40):
        altered = bytearray(entries[pickled])
        for place in rng.integers(1000, size=3):
            altered[place] = rng.integers(256)
        with zipfile.ZipFile(tmp_path / "altered.pt", "w") as file:
            for name, content in entries.items():
                file.writestr(name, bytes(altered) if name == pickled else content)
        try:
            load_checkpoint(tmp_path / "altered.pt")
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(message.startswith(f"weights: {tmp_path}") for message in messages)


@pytest.mark.parametrize("content", [{"a": torch.ones(1)}, [1, 2], {"model": 3}])
def test_a_file_without_detector_says_so(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="holds no YOLOv5 detector"):
        load_checkpoint(tmp_path / "other.pt")


def state_with(**tensors):
    return {**Detector("p", 2).state_dict(), **{name.replace("__", "."): t for name, t in tensors.items()}}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"model__24__anchors": torch.zeros(3, 0, 2)}, "no fitting tensor model.24.anchors"),
        ({"model__24__m__0__weight": torch.zeros(())}, r"no fitting tensor model.24.m.0.weight"),
        (
            {"model__0__conv__weight": torch.zeros(1).expand(10**9, 3, 6, 6)},
            "claims more values than the file",
        ),
        ({"model__0__bn__bias": torch.tensor([torch.nan] * 8)}, "model.0.bn.bias holds NaN"),
        ({"model__0__bn__bias": torch.full((8,), 1e300, dtype=torch.float64)}, "holds NaN or infinity"),
        ({"model__0__bn__bias": torch.empty(8, device="meta")}, "model.0.bn.bias is a meta tensor"),
        ({"model__0__bn__bias": torch.zeros(8, dtype=torch.complex64)}, "is a complex tensor"),
        ({"model__0__bn__bias": torch.zeros(8).to_sparse()}, "is a sparse tensor"),
        ({"model__24__anchors": torch.zeros(3, 3, 2)}, "expected anchors of up to 1000 cells, got 0 to 0"),
        ({"model__24__anchors": -torch.ones(3, 3, 2)}, "got -1 to -1"),
        ({"model__24__anchors": torch.full((3, 3, 2), 1e30)}, r"got 1e\+30 to 1e\+30"),
        ({"model__24__anchors": torch.ones(3, 7, 2)}, "7 anchors per level do not fit an output layer of 21"),
        ({"model__24__anchors": torch.ones(3, 4, 2)}, "4 anchors per level do not fit an output layer of 21"),
    ],
)
def test_tensors_that_no_detector_has_are_refused(tmp_path, tensors, words):
    torch.save(state_with(**tensors), tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=words):
        load_checkpoint(tmp_path / "odd.pt")


@pytest.mark.filterwarnings("ignore")  # PyTorch's, on quantised tensors
def test_quantised_tensors_are_refused(tmp_path):
    quantised = torch.quantize_per_tensor(torch.rand(8), 0.1, 0, torch.quint8)
    torch.save(state_with(model__0__bn__bias=quantised), tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"model\.0\.bn\.bias is a quantised tensor"):
        load_checkpoint(tmp_path / "odd.pt")


def test_many_names_for_one_tensor_are_refused_before_they_fill_the_memory(tmp_path):
    shared = torch.rand(1000, 1000)
    torch.save(state_with(**{f"more{i}": shared for i in range(1000)}), tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"more\d+ claims more values than the file holds"):
        load_checkpoint(tmp_path / "odd.pt")


@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder")])
def test_what_is_no_file_is_told_what_it_is(tmp_path, make, kind):
    make(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=rf"a\.pt: expected a file, got {kind}"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("size", "classes", "anchors"), [("", 10, 3), ("", 80, 5), ("s", 80, 3), ("", 80, 3)]
)
def test_what_would_be_taken_is_known_without_taking_it(official, size, classes, anchors):
    options = {"size": size, "classes": classes, "anchors": anchors}
    assert transferable(official, **options) == start_detector(official, **options)[1:]


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/data.pkl", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match=r"would grow to 0\.3 GB"):
        load_checkpoint(path)


@pytest.mark.parametrize("module", ["evil\x1b]52;c;bHM=\x07", "evil\u202egod", "evil\x9b2J"])
def test_a_name_in_a_pickle_reaches_no_terminal_as_it_is(tmp_path, module):
    torch.save({}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "a.pt", "w") as hostile:
        for entry in plain.namelist():
            pickled = b"\x80\x02c" + module.encode() + b"\nrun\n."
            hostile.writestr(entry, pickled if entry.endswith("data.pkl") else plain.read(entry))
    with pytest.raises(ValueError, match=r"wants to import evil\\.*\.run, which") as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert str(caught.value).isprintable()


def test_class_names_of_a_checkpoint_are_fit_for_a_terminal(tmp_path):
    save_checkpoint(tmp_path / "a.pt", Detector("p", 1), ["\x1b]52;c;bHM=\x07"])
    assert load_checkpoint(tmp_path / "a.pt").names == (r"\x1b]52;c;bHM=\x07",)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([torch.nan]),
        torch.empty(8, device="meta"),
        torch.zeros(1).expand(10**9),
    ],
)
def test_a_name_of_a_tensor_reaches_no_terminal_as_it_is(tmp_path, tensor):
    torch.save(state_with(**{"\x1b[2J\n\u202e": tensor}), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"\\x1b\[2J\\n\\u202e (is a|holds|claims)") as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"text",
        {},
        {"model": torch.ones(1)},
        {"model.33.anchors": torch.ones(1)},
        state_with(model__24__anchors=torch.zeros(3, 3, 2)),
        state_with(model__24__anchors=torch.ones(3, 7, 2)),
    ],
)
def test_the_name_of_a_checkpoint_reaches_no_terminal_as_it_is(tmp_path, content):
    path = tmp_path / "a\x1b[2J\n\u202e.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / "a.pt")
        (tmp_path / "a.pt").rename(path)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_checkpoint(path)
    assert r"a\x1b[2J\n\u202e.pt" in str(caught.value)
    assert str(caught.value).isprintable()


def test_tensors_of_a_gpu_are_saved_as_a_cpus():
    """Tensors without memory, which may say that they are on CUDA where there is none."""
    with FakeTensorMode(), torch.device("cuda"):
        state = portable_state(Detector("p", 3))
    assert {tensor.device.type for tensor in state.values()} == {"cpu"}
    assert {tensor.dtype for tensor in state.values()} == {torch.float16, torch.int64}
