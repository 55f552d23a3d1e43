# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["HEBO==0.3.6", "GPy==1.15.0", "torch>=2.6"]
# [tool.uv]
# # It asks for numpy < 1.25 and pymoo 0.6.0, which have no wheels for newer Pythons, and runs with these.
# override-dependencies = ["numpy>=2", "scipy>=1.13", "pymoo==0.6.1.5"]
# ///
"""HEBO as its authors have it, in an environment of its own, asked and told by lines of JSON.

    uv run --no-project --script benchmarks/peers/hebo_mace.py    # what method `hebo` of search_quality.py starts

The first line that it reads says {"space": parameters as HEBO's DesignSpace reads them, "together": points that one
model proposes, "seed": …}. After it, {"ask": true} is answered by {"params": …}, and {"params": …, "loss": lower is
better} is learnt; until its input ends.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

_LEAST = 4  # observations of the first model; the start around the default is the benchmark's


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what else is printed is no answer
    asked = json.loads(sys.stdin.readline())
    np.random.seed(asked["seed"])  # noqa: NPY002  HEBO and pymoo draw from the global generators
    torch.manual_seed(asked["seed"])
    space = DesignSpace().parse(asked["space"])
    search = HEBO(space, rand_sample=_LEAST, scramble_seed=asked["seed"])
    proposed: list[dict[str, float]] = []
    for line in sys.stdin:
        said = json.loads(line)
        if "params" in said:
            search.observe(pd.DataFrame([said["params"]]), np.array([[said["loss"]]]))
            continue
        if not proposed:
            proposed = search.suggest(n_suggestions=asked["together"]).to_dict("records")
        params = {name: float(value) for name, value in proposed.pop(0).items()}
        print(json.dumps({"params": params}), file=answers, flush=True)


if __name__ == "__main__":
    main()
