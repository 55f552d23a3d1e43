# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["neural-pipeline-search==0.17.0"]
# ///
"""PriorBand as its authors' package NePS has it, in an environment of its own, asked and told by lines of JSON.

    uv run --no-project --script benchmarks/peers/neps_priorband.py    # what method `neps` of device_hours.py starts

The first line that it reads says {"epochs": of a training in full, "prior": the default in the unit cube, "seed": …}.
Then it writes {"key": of a training, "point": …, "epochs": to train it to}, reads its {"fitness": …}, and so on until
its input ends. A training that comes again goes on where it had stopped. Its confidence in the prior is high: a
standard deviation of 0.25 of each range.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import neps
import numpy as np
import torch


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what else is printed is no answer
    asked = json.loads(sys.stdin.readline())
    np.random.seed(asked["seed"])  # noqa: NPY002  NePS draws from the global generators
    torch.manual_seed(asked["seed"])

    class Space(neps.PipelineSpace):  # type: ignore[misc]  # not installed where types are checked
        epochs = neps.IntegerFidelity(1, asked["epochs"])

    for i, centre in enumerate(asked["prior"]):
        setattr(Space, f"x{i:02}", neps.Float(0.0, 1.0, prior=centre, prior_confidence="high"))
    search = neps.AskAndTell(neps.algorithms.priorband(Space(), sample_prior_first="highest_fidelity"))
    while True:
        trial = search.ask()
        config = dict(trial.config)
        said = {
            "key": int(trial.id.split("_rung_")[0]),
            "point": [float(config[f"x{i:02}"]) for i in range(len(asked["prior"]))],
            "epochs": int(config["epochs"]),
        }
        print(json.dumps(said), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        search.tell(trial.id, -float(json.loads(line)["fitness"]))


if __name__ == "__main__":
    main()
