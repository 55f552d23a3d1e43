from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import stand_in_yolov5
import torch

from trainers.digits import write_digits
from trainers.yolov5 import Settings, export_weights, validate
from trainers.yolov5.model import Detector
from trainers.yolov5.weights import load_checkpoint, save_checkpoint

LOAD = """
import json, sys, torch
found = torch.load(sys.argv[1], weights_only=False)
model = found["model"]
dtype = str(next(model.parameters()).dtype)
print(json.dumps([type(model).__module__, model.names, model.nc, found["epoch"], found["ema"], dtype]))
torch.save(model.state_dict(), sys.argv[2])
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return stand_in_yolov5.install(tmp_path_factory.mktemp("place") / "yolov5")


def load(checkout, path, state):
    """What a program of the checkout finds in a file."""
    command = [sys.executable, "-c", LOAD, str(path), str(state)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("anchors", [3, 2])
def test_a_checkout_loads_our_weights_as_its_own(checkout, tmp_path, anchors):
    model = Detector("p", 2, anchors)
    save_checkpoint(tmp_path / "ours.pt", model, ("cat", "dog"))
    said = export_weights(tmp_path / "ours.pt", tmp_path / "out" / "theirs.pt", repo=str(checkout))
    assert "YOLOv5p of 2 classes" in said
    kind, names, classes, epoch, ema, dtype = load(
        checkout, tmp_path / "out" / "theirs.pt", tmp_path / "state.pt"
    )
    assert kind == "models.yolo"
    assert (names, classes, epoch, ema, dtype) == ({"0": "cat", "1": "dog"}, 2, -1, None, "torch.float16")
    theirs, ours = torch.load(tmp_path / "state.pt"), load_checkpoint(tmp_path / "ours.pt").state
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name].float(), ours[name].float()) for name in ours)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs.pt"]


def test_what_cannot_be_exported_is_said(checkout, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        export_weights(tmp_path / "no.pt", tmp_path / "x.pt", repo=str(checkout))
    with pytest.raises(ValueError, match="there is no train"):
        export_weights(tmp_path / "no.pt", tmp_path / "x.pt", repo=str(tmp_path))


def test_a_checkout_that_cannot_build_the_network_is_said_and_leaves_no_file(tmp_path):
    checkout = stand_in_yolov5.install(tmp_path / "yolov5")
    (checkout / "models" / "yolo.py").write_text("raise ImportError('this checkout needs another torch')\n")
    save_checkpoint(tmp_path / "ours.pt", Detector("p", 2), ("cat", "dog"))
    with pytest.raises(ValueError, match="ImportError: this checkout needs another torch"):
        export_weights(tmp_path / "ours.pt", tmp_path / "out" / "theirs.pt", repo=str(checkout))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.heavy
def test_a_real_checkout_measures_what_we_measure(tmp_path):
    """HYPEVO_TEST_YOLOV5 names a checkout of release 7.0 that runs."""
    repo = os.environ.get("HYPEVO_TEST_YOLOV5") or pytest.skip("HYPEVO_TEST_YOLOV5 names no checkout")
    from trainers.external import yolov5_repo

    weights = Path(__file__).parents[3] / "trainers" / "digits.pt"
    export_weights(weights, tmp_path / "theirs.pt", repo=repo)
    data = str(write_digits(tmp_path / "digits"))
    ours = validate(Settings(data=data, weights=str(weights), img=160, batch=32))
    theirs = yolov5_repo.validate(
        yolov5_repo.Settings(
            repo=repo, data="digits", weights=str(tmp_path / "theirs.pt"), img=160, batch=32, workers=0
        )
    )
    for name in ("precision", "recall", "mAP_0.5", "mAP_0.5:0.95"):
        assert theirs[name] == pytest.approx(ours[name], abs=1e-4), name
