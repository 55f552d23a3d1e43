"""Weights for others: a checkpoint that YOLOv5's own val.py, detect.py and train.py load.

Such a file holds the network as an object of YOLOv5's classes, so only a checkout can write it. A few lines of ours,
run inside the checkout by its own Python, build the network from its yaml and fill in our tensors.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from ..checkout import ask_checkout, checkout, python_for
from .settings import SIZES
from .weights import load_checkpoint

STRIDES = (8, 16, 32)
_LINES = """
import torch, yaml
from models.yolo import Model
ours = torch.load(question["source"], map_location="cpu")
with open("models/yolov5s.yaml", encoding="utf-8") as file:
    network = yaml.safe_load(file)
network.update(question["network"])
model = Model(network, ch=3, nc=len(ours["names"]))
model.load_state_dict({name: tensor.float() for name, tensor in ours["model"].items()})
model.nc, model.names = len(ours["names"]), dict(enumerate(ours["names"]))
model.eval().half()
for parameter in model.parameters():
    parameter.requires_grad_(False)
torch.save({"model": model, "ema": None, "updates": None, "optimizer": None, "epoch": -1, "best_fitness": None,
            "opt": None, "git": None, "date": None}, question["target"])
answer(sum(parameter.numel() for parameter in model.parameters()))
"""


def export_weights(weights: Path, target: Path, *, repo: str, python: str = "") -> str:
    """Write a checkpoint of ours, or an official one, as YOLOv5 writes its own; return what was written, in words.

    Args:
        weights: The checkpoint.
        target: The `.pt` to write; it appears whole or not at all.
        repo: The checkout.
        python: Its Python; that of the environment in its folder unless given.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It holds no detector, the checkout is none, or its Python cannot build the network.
    """
    folder = checkout(repo)
    checkpoint = load_checkpoint(weights)
    depth, width = SIZES[checkpoint.size]
    anchors = checkpoint.anchors * torch.tensor(STRIDES).view(3, 1, 1)  # in pixels
    network = {
        "nc": checkpoint.classes,
        "depth_multiple": depth,
        "width_multiple": width,
        "anchors": anchors.reshape(3, -1).tolist(),
    }
    names = checkpoint.names or tuple(str(number) for number in range(checkpoint.classes))
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unfinished-") as temporary:
        source, unfinished = Path(temporary) / "ours.pt", Path(temporary) / target.name
        state = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in checkpoint.state.items()
        }
        torch.save({"model": state, "names": list(names)}, source)
        question = {"source": str(source), "target": str(unfinished), "network": network}
        parameters = ask_checkout(folder, python_for(folder, python), _LINES, question)
        unfinished.replace(target)
    return (
        f"a YOLOv5{checkpoint.size} of {checkpoint.classes} classes, {parameters:,} parameters, for {folder}"
    )
