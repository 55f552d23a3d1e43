"""What a second slot brings: trials per hour with two trainings at once, one thread each, against one.

    python benchmarks/slots.py                                                   the embedded dataset
    python benchmarks/slots.py --data coco128.yaml --weights yolov5n.pt          a real one

Both evolve the same study with the real command, in folders of their own, with caches filled beforehand. Time counts
from the first start of a training to the end of the last one. The aim is 1.8 times as many trials per hour.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--img", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--trials", type=int, default=8)
    options = parser.parse_args()
    training: list[object] = ["--epochs", options.epochs, "--img", options.img, "--batch", options.batch]
    for name in ("data", "weights"):
        value = getattr(options, name)
        if value is not None:
            training += [f"--{name}", Path(value).resolve() if Path(value).exists() else value]
    with tempfile.TemporaryDirectory() as folder:
        shared = ["--cache-dir", Path(folder) / "cache", *training]
        evolve(Path(folder) / "warm", 1, 1, shared)
        rates = {slots: evolve(Path(folder) / str(slots), slots, options.trials, shared) for slots in (1, 2)}
    for slots, rate in rates.items():
        print(f"{slots} slots: {rate:.1f} trials per hour")
    print(f"ratio {rates[2] / rates[1]:.2f}")


def evolve(folder: Path, slots: int, trials: int, training: list[object]) -> float:
    """Evolve a study; returns its trials per hour."""
    folder.mkdir()
    command: list[object] = ["-m", "hypevo", "evolve", "--study", "slots", "--device", "cpu"]
    command += ["--slots-per-device", slots, "--stagger", 0, "--generations", trials]
    command += ["--baseline-seeds", 0, *training]
    # One thread a training in both: hypevo divides the CPUs among slots, and these are its CPUs.
    subprocess.run(
        ["taskset", "--cpu-list", ",".join(map(str, sorted(os.sched_getaffinity(0))[:slots])), sys.executable]
        + [str(word) for word in command],
        cwd=folder, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    records = folder / "runs/evolve/slots/trials"
    begun: int = min(json.loads(path.read_text())["time_ms"] for path in records.glob("*/trial.json"))
    ended: int = max(json.loads(path.read_text())["time_ms"] for path in records.glob("*/result.json"))
    return trials / (ended - begun) * 3_600_000


if __name__ == "__main__":
    main()
