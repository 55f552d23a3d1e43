"""A stand-in for the package `ultralytics`: its command line and its files, without a network; none of its code.

`install(folder)` makes an environment with it: `bin/python` and `bin/yolo`. The metrics follow from lr0, so that a
search has something to find.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = {
    "__init__.py": """
import json, os, pathlib
from .utils import SETTINGS as settings
__version__ = "8.4.0"
KNOWN = ("yolo11n.yaml", "yolo11n-seg.yaml")

class YOLO:
    def __init__(self, model, task=None):
        self.ckpt_path = None
        if str(model).endswith(".yaml"):
            if os.path.basename(model) not in KNOWN and not pathlib.Path(model).is_file():
                raise FileNotFoundError(f"'{model}' does not exist")
            self.task = task
            return
        path = pathlib.Path(model)
        if not path.is_file() and path.name == "yolo11n.pt" and os.environ.get("YOLO_OFFLINE") != "true":
            path = pathlib.Path(settings["weights_dir"]) / path.name  # «fetched»
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"task": "detect", "mAP": 0.5}))
        content = json.loads(path.read_text())
        self.ckpt_path, self.task, self.content = str(path), content["task"], content

    def val(self, **given):
        class Metrics:
            results_dict = {"metrics/mAP50(B)": self.content["mAP"], "metrics/mAP50-95(B)": self.content["mAP"] / 2,
                            "metrics/precision(B)": 0.25, "metrics/recall(B)": 0.75, "fitness": 1.0}
        return Metrics()
""",
    "utils.py": """
import json, os, pathlib

class Settings(dict):
    def __init__(self):
        self.file = pathlib.Path(os.environ.get("YOLO_CONFIG_DIR", pathlib.Path.home())) / "settings.json"
        super().__init__({"datasets_dir": os.path.abspath("datasets"), "weights_dir": "weights", "mlflow": True,
                          "wandb": True, "sync": True})
        if self.file.is_file():
            super().update(json.loads(self.file.read_text()))

    def update(self, *given):
        super().update(*given)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self))

SETTINGS = Settings()
DEFAULT_CFG_DICT = {
    "task": "detect", "model": None, "data": None, "epochs": 100, "patience": 100, "batch": 16, "imgsz": 640,
    "cache": False, "device": None, "workers": 8, "project": None, "name": None, "exist_ok": False,
    "pretrained": True, "optimizer": "auto", "seed": 0, "cos_lr": False, "amp": True, "fraction": 1.0, "plots": True,
    "lr0": 0.01, "lrf": 0.01, "momentum": 0.937, "weight_decay": 0.0005, "warmup_epochs": 3.0,
    "warmup_momentum": 0.8, "box": 7.5, "cls": 0.5, "dfl": 1.5, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4,
    "degrees": 0.0, "translate": 0.1, "scale": 0.5, "shear": 0.0, "perspective": 0.0, "flipud": 0.0, "fliplr": 0.5,
    "bgr": 0.0, "mosaic": 1.0, "mixup": 0.0, "copy_paste": 0.0, "close_mosaic": 10,
}
""",
    "data.py": "",
    "cfg.py": """
import csv, json, os, pathlib, signal, sys, time
from . import KNOWN, YOLO
from .utils import DEFAULT_CFG_DICT, SETTINGS

def entrypoint():
    task, mode, *words = sys.argv[1:]
    given = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in DEFAULT_CFG_DICT:
            raise SyntaxError(f"'{name}' is not a valid YOLO argument.")
        given[name] = value
    assert mode == "train" and given["exist_ok"] == "True"
    out = pathlib.Path(given["project"]) / given["name"]
    out.mkdir(parents=True, exist_ok=True)
    network = YOLO(given["model"], task=task)
    if SETTINGS["mlflow"] or SETTINGS["wandb"]:
        (out / "stray_tracker").write_text("")
    (out / "args.yaml").write_text("".join(f"{name}: {value}\\n" for name, value in given.items()))
    told = {name: os.environ.get(name) for name in ("YOLO_CONFIG_DIR", "YOLO_OFFLINE", "YOLO_AUTOINSTALL")}
    (out / "told.json").write_text(json.dumps(told))
    lr0 = float(given["lr0"])
    behaviour = os.environ.get("STAND_IN", "")
    kinds = {"detect": "B", "segment": "BM", "pose": "BP", "obb": "B"}[task]
    names = [f"metrics/{name}({kind})" for kind in kinds for name in ("precision", "recall", "mAP50", "mAP50-95")]
    losses = ("box_loss", "cls_loss", "dfl_loss")
    with (out / "results.csv").open("w") as file:
        head = ["epoch", "time", *(f"train/{name}" for name in losses), *names, *(f"val/{name}" for name in losses)]
        file.write(",".join([*head, "lr/pg0"]) + "\\n")
        for epoch in range(1, int(given["epochs"]) + 1):
            if behaviour == "memory":
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if behaviour == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if behaviour == "slow":
                time.sleep(3600)
            score = round((1 - abs(lr0 - 0.005) * 50) * (0.9 if epoch % 3 == 0 else 1), 5)
            cells = [epoch, 0.1 * epoch, 3, 2, 1, *(score for _ in names), 1.5, 1.25, 1.125, lr0]
            file.write(",".join(map(str, cells)) + "\\n")
            file.flush()
    (out / "weights").mkdir(exist_ok=True)
    for name in ("best.pt", "last.pt"):
        (out / "weights" / name).write_text(json.dumps({"task": task, "mAP": score}))
""",
}
PACKAGE["utils/__init__.py"] = PACKAGE.pop("utils.py")
PACKAGE["utils/checks.py"] = """
import pathlib

def check_file(name, download=True):
    if not pathlib.Path(name).is_file():
        raise FileNotFoundError(f"'{name}' does not exist")
    return name
"""
PACKAGE["data/__init__.py"] = PACKAGE.pop("data.py")
PACKAGE["data/utils.py"] = """
import json, pathlib
from ..utils import SETTINGS
from ..utils.checks import check_file

def check_det_dataset(name, autodownload=True):
    path = pathlib.Path(check_file(name))
    data = {}
    for line in path.read_text().splitlines():  # flat yaml only: there is no other package in this environment
        key, colon, value = line.partition(":")
        if colon and not key.startswith((" ", "#")):
            data[key] = value.strip()
    for key in ("train", "val"):
        if key not in data:
            raise SyntaxError(f"{name} '{key}:' key missing")
    root = pathlib.Path(data.get("path") or path.parent)
    if not root.is_absolute():
        root = pathlib.Path(SETTINGS["datasets_dir"]) / root
    data["path"] = str(root)
    for key in ("train", "val"):
        data[key] = str(root / data[key])
    if not pathlib.Path(data["val"]).exists():
        raise FileNotFoundError(f"Dataset '{name}' images not found, missing path '{data['val']}'")
    data["names"] = {number: str(number) for number in range(10)}
    return data
"""
_YAML = """
def safe_load(text):
    lines = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith((" ", "#")))
    return {key: value.strip() for key, _, value in lines}
"""


def install(folder: Path) -> Path:
    """Make an environment under `folder` that has the stand-in; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (site,) = [*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]
    for name, text in PACKAGE.items():
        path = site / "ultralytics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (site / "yaml.py").write_text(_YAML)
    program = python.with_name("yolo")
    program.write_text(f"#!{python}\nfrom ultralytics.cfg import entrypoint\nentrypoint()\n")
    program.chmod(0o755)
    return python
