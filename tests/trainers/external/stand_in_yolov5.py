"""A stand-in for a YOLOv5 checkout: its command line, its files, the functions that it is asked by; none of its code.

`install(folder)` writes it. It runs with hypevo's own Python. Its network is ours under YOLOv5's names, and the metrics
of a training follow from lr0, so that a search has something to find.
"""

from __future__ import annotations

from pathlib import Path

FILES = {
    "train.py": """
import argparse, os, pathlib, signal, time
from utils.general import check_yaml

def main():
    parser = argparse.ArgumentParser()
    for name in ("hyp", "data", "weights", "cfg", "epochs", "imgsz", "batch-size", "optimizer", "workers", "cache",
                 "seed", "device", "project", "name", "label-smoothing"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--noplots", action="store_true")
    parser.add_argument("--exist-ok", action="store_true")
    given = parser.parse_args()
    hyp = dict(line.split(": ") for line in pathlib.Path(given.hyp).read_text().splitlines())
    out = pathlib.Path(given.project) / given.name
    out.mkdir(parents=True, exist_ok=True)
    told = {name: os.environ.get(name) for name in ("YOLOv5_AUTOINSTALL", "GIT_ALLOW_PROTOCOL")}
    (out / "opt.yaml").write_text("".join(f"{name}: {value}\\n" for name, value in {**vars(given), **told}.items()))
    lr0 = float(hyp["lr0"])
    with (out / "results.csv").open("w") as file:
        names = "epoch train/box_loss train/obj_loss train/cls_loss metrics/precision metrics/recall metrics/mAP_0.5"
        names += " metrics/mAP_0.5:0.95 val/box_loss val/obj_loss val/cls_loss x/lr0"
        file.write(",".join(f"{name:>20}" for name in names.split()) + "\\n")
        for epoch in range(int(given.epochs)):
            if os.environ.get("STAND_IN") == "memory":
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if os.environ.get("STAND_IN") == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            score = round((1 - abs(lr0 - 0.02) * 10) * (0.9 if epoch % 3 == 2 else 1), 5)
            cells = [epoch, 0.1, 0.2, 0.3, 0.25, 0.75, score, score / 2, 0.4, 0.5, 0.6, lr0]
            file.write(",".join(f"{cell:>20.5g}" for cell in cells) + "\\n")
            file.flush()
    (out / "weights").mkdir(exist_ok=True)
    for name in ("best.pt", "last.pt"):
        (out / "weights" / name).write_bytes(b"weights")

if __name__ == "__main__":
    main()
""",
    "val.py": """
import pathlib

def run(data, weights, batch_size, imgsz, device, workers, half, plots, project, name, exist_ok):
    assert pathlib.Path(weights).is_file() and pathlib.Path(data).is_file() and not plots
    return (0.25, 0.75, 0.5, 0.125, 0.0, 0.0, 0.0), [0.125], (1.0, 1.0, 1.0)
""",
    "models/__init__.py": "",
    "models/yolo.py": """
from trainers.yolov5.model import Detector
from trainers.yolov5.settings import SIZES

class Model(Detector):
    def __init__(self, cfg, ch=3, nc=None):
        if not isinstance(cfg, dict):
            cfg = {"depth_multiple": 0.33, "width_multiple": 0.25, "nc": 80, "anchors": [[0] * 6] * 3}
        (size,) = [key for key, pair in SIZES.items() if pair == (cfg["depth_multiple"], cfg["width_multiple"])]
        super().__init__(size, nc or cfg["nc"], len(cfg["anchors"][0]) // 2)
""",
    "models/experimental.py": """
def attempt_load(weights, device=None, fuse=True):
    import torch
    try:
        found = torch.load(weights, map_location=device, weights_only=False)
    except Exception as error:
        raise RuntimeError(f"{weights} cannot be read: {type(error).__name__}")
    return found["model"].to(device)
""",
    "models/yolov5s.yaml": "nc: 80\ndepth_multiple: 0.33\nwidth_multiple: 0.50\nanchors: []\nbackbone: []\nhead: []\n",
    "models/yolov5n.yaml": "nc: 80\n",
    "utils/__init__.py": "",
    "utils/general.py": """
import pathlib, yaml
ROOT = pathlib.Path(__file__).resolve().parents[1]

def check_file(name):
    if pathlib.Path(name).is_file():
        return name
    found = [*ROOT.rglob(name)] if name else []
    assert found, f"File not found: {name}"
    return str(found[0])

check_yaml = check_file

def check_dataset(path, autodownload=True):
    data = yaml.safe_load(pathlib.Path(path).read_text())
    root = ROOT / (data.get("path") or "")
    data["path"] = root
    for part in ("train", "val"):
        data[part] = str(root / data[part])
    if not pathlib.Path(data["val"]).exists():
        raise Exception("Dataset not found")
    if isinstance(data["names"], list):
        data["names"] = dict(enumerate(data["names"]))
    return data
""",
    "utils/downloads.py": """
def attempt_download(name):
    raise Exception(f"{name}: no network")
""",
    "data/mine.yaml": "path: ../images_of_the_checkout\ntrain: images\nval: images\nnames: [thing]\n",
    "data/elsewhere.yaml": "path: nowhere\ntrain: images\nval: images\nnames: [thing]\n",
    "data/published.yaml": "path: nowhere\ntrain: images\nval: images\nnames: [thing]\ndownload: https://example.org/a.zip\n",
}


def install(folder: Path) -> Path:
    """Write the stand-in, and beside it a dataset that its `mine.yaml` leads to; return the folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    images = folder.parent / "images_of_the_checkout" / "images"
    images.mkdir(parents=True)
    (images / "a.jpg").write_bytes(b"picture")
    return folder
