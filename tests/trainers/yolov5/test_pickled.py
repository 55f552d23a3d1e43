from __future__ import annotations

import os
import sys
import types

import pytest
import torch

from trainers.yolov5.model import Detector
from trainers.yolov5.pickled import detector


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.fixture
def foreign(monkeypatch):
    """Makes an object of a class of that full name, as a file from elsewhere holds it."""

    def make(name: str, **attributes):
        module, _, kind = name.rpartition(".")
        parents = module.split(".")
        for end in range(1, len(parents) + 1):
            path = ".".join(parents[:end])
            if path not in sys.modules:
                monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
        home = sys.modules[module]
        if not hasattr(home, kind):
            monkeypatch.setattr(home, kind, type(kind, (), {"__module__": module}), raising=False)
        made = getattr(home, kind)()
        made.__dict__.update({"_parameters": {}, "_buffers": {}, "_modules": {}} | attributes)
        return made

    return make


@pytest.fixture
def saved(tmp_path):
    def write(content):
        torch.save(content, tmp_path / "a.pt")
        return tmp_path / "a.pt"

    return write


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("models.yolo.SegmentationModel", "a YOLOv5 segmentation model"),
        ("models.yolo.ClassificationModel", "a YOLOv5 classification model"),
        ("models.common.Focus", "a YOLOv5 detector of release 5 or earlier"),
        ("models.yolo.IDetect", "a YOLOv7 detector"),
        ("ultralytics.nn.tasks.DetectionModel", "an Ultralytics model (YOLOv8 or later, or a YOLOv5u)"),
        ("ultralytics.nn.tasks.SegmentationModel", "an Ultralytics segmentation model (YOLOv8 or later)"),
        ("ultralytics.nn.tasks.ClassificationModel", "an Ultralytics classification model (YOLOv8 or later)"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_its_name(foreign, saved, tmp_path, name, kind):
    path = saved({"model": foreign(name), "harm": Touch(tmp_path / "touched")})
    with pytest.raises(ValueError, match="expected a YOLOv5 detector") as caught:
        detector(path)
    assert f"a.pt is {kind};" in str(caught.value)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.24.proto.cv1.conv.weight", "a YOLOv5 segmentation model"),
        ("model.9.linear.weight", "a YOLOv5 classification model"),
        ("model.22.dfl.conv.weight", "an Ultralytics model (YOLOv8 or later, or a YOLOv5u)"),
        ("model.0.conv.conv.weight", "a YOLOv5 detector of release 5 or earlier"),
        ("model.33.anchors", "a YOLOv5 detector of four levels (P6)"),
    ],
)
@pytest.mark.parametrize("key", ["model", "ema", None])
def test_tensors_alone_tell_it_too(saved, name, kind, key):
    state = {**Detector("p", 2).state_dict(), name: torch.ones(1)}
    with pytest.raises(ValueError, match="expected a YOLOv5 detector") as caught:
        detector(saved({key: state} if key else state))
    assert f"a.pt is {kind};" in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # that TorchScript is old
def test_a_torchscript_export_is_refused_by_its_name(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt is a TorchScript export"):
        detector(tmp_path / "a.pt")


def test_a_child_that_two_modules_share_is_read_under_both_names(foreign, saved):
    child = foreign("models.common.Conv", _parameters={"weight": torch.ones(2)})
    model = foreign("models.yolo.Model", _modules={"a": child, "b": child}, names={0: "cat"})
    state, names = detector(saved({"model": model}))
    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        "a.weight": [1, 1],
        "b.weight": [1, 1],
    }
    assert names == ("cat",)


def cycle(model):
    top = model()
    top._modules["a"] = model(_modules={"b": top})
    return top


def chain(model):
    made = model()
    for _ in range(5000):
        made = model(_modules={"a": made})
    return made


def doubled(model):
    made = model()
    for _ in range(40):  # 2⁴⁰ paths lead to the innermost
        made = model(_modules={"a": made, "b": made})
    return made


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (cycle, "more than 50 deep, or in themselves"),
        (chain, "more than 50 deep"),
        (doubled, "more than 20,000"),
    ],
)
def test_modules_that_no_detector_has_are_refused(foreign, tmp_path, shape, words):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # to write it
    try:
        torch.save({"model": shape(lambda **more: foreign("models.yolo.Model", **more))}, tmp_path / "a.pt")
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(ValueError, match=r"a\.pt holds no YOLOv5 detector") as caught:
        detector(tmp_path / "a.pt")
    assert words in str(caught.value)


def test_a_tensor_in_the_place_of_a_model_is_passed_over(saved):
    state = {"a": torch.ones(1)}
    assert list(detector(saved({"ema": torch.ones(3), "model": state}))[0]) == ["a"]


@pytest.mark.parametrize("names", [torch.tensor(1), 7, "cat", [[["cat"]]], None])
def test_names_that_are_none_are_none(saved, names):
    assert detector(saved({"model": {"a": torch.ones(1)}, "names": names}))[1] == ()
