"""What Ray costs a trial: the same study on one slot of this machine, and on one slot of a cluster on this machine.

    python benchmarks/ray_overhead.py --trials 10

The trainer trains nothing; what a trial takes is its start, its process and its books. On Ray a trial is a task in a
process of its own, which starts the training's process. The local backend starts the latter only, from a server that
has the trainer imported already.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from machines import Machines

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10)
    trials = parser.parse_args().trials
    machines = Machines()
    try:
        machines.start("head", gpus=1)
        on_ray = ["--backend", "ray", "--address", machines.address, "--device", "auto"]
        local = evolve(trials, ["--device", "cpu"], {})
        cluster = evolve(trials, on_ray, machines.environ)
    finally:
        machines.stop()
    print(f"{trials} trials that train nothing, a trial from start to start:")
    for name, seconds in (("local", local), ("ray", cluster)):
        print(f"  {name:6}{seconds:6.2f} s")
    print(f"  Ray costs a trial {cluster - local:.2f} s")


def evolve(trials: int, options: Sequence[str], environ: Mapping[str, str]) -> float:
    """Seconds between the starts of trials."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        shutil.copy(HERE / "office.py", folder)
        command = [sys.executable, "-m", "hypevo", "evolve", "--trainer", "office:train", "--study", "s"]
        command += ["--generations", str(trials), "--baseline-seeds", "0", "--stagger", "0", *options]
        subprocess.run(
            command, cwd=folder, check=True, env={**os.environ, **environ}, stdout=subprocess.DEVNULL
        )
        starts = Path(folder).glob("runs/evolve/s/trials/*/trial.json")
        moments: list[int] = sorted(json.loads(path.read_text())["time_ms"] for path in starts)
        return (moments[-1] - moments[1]) / (len(moments) - 2) / 1000


if __name__ == "__main__":
    main()
