"""How good is the search? Scores of our sampler and of its peers, with paired differences and their intervals.

    python benchmarks/search_quality.py                                      # landscapes, development part, 3 seeds
    python benchmarks/search_quality.py --suite training --trials 100 --methods adaptive,classic,cma,tpe
    python benchmarks/search_quality.py --report                             # of what was measured before

The full tables, each with --part last --seeds 10 --jobs 16, and P for turbo,log-ei,cma,sep-cma,xnes,optuna-cma,tpe,blx:

    --instances 24 --methods adaptive,classic,ultralytics-2026,P             # landscapes @25 to @300
    --instances 24 --trials 100 --seeds 3 --methods adaptive,log-ei,gp,hebo,botorch           # the slow ones
    --instances 24 --trials 100 --report --ours log-ei                       # is our log-ei as good as BoTorch's?
    --instances 24 --slots 8 --methods adaptive,P                            # eight in flight
    --instances 24 --slots 8 --report --beside runs/search_quality/landscapes-last-300.jsonl  # against one in flight
    --instances 12 --trials 1000 --methods adaptive,cma                      # and --trials 5000 --seeds 2
    --suite bbob-noisy --trials 100 --seeds 2 --methods adaptive,P           # or --instances 24: each function once
    --suite mixint --trials 100 --seeds 2 --methods adaptive,cma-margin,catcma-margin,P       # and mixint-noisy
    --suite training --instances 12 --trials 100 --methods adaptive,P
    --suite small --instances 24 --trials 60 --methods adaptive,gp,P
    --suite meaningless --instances 24 --trials 300 --methods adaptive,adaptive-enqueued,P

Suites (`search_suites.py`): ``landscapes`` (25 movable genes, noisy; regret, 1 at the defaults), ``bbob`` (20-d,
COCO's 24 functions; regret relative to the start, geometric mean), ``bbob-noisy`` (the same with Gaussian noise of 5 %
of the start's regret), ``mixint`` and ``mixint-noisy`` (COCO's bbob-mixint in 20-d: 16 integers of 2 to 16 values, 4
floats), ``training`` (real small trainings; score = minus the gain over the defaults), ``small`` (2 to 8 genes of a
landscape or of a training), ``meaningless`` (landscapes searched from any point). All scores are free of noise, and
lower is better. A search is judged by what it would hand over, under two rules: the best trial, and the recommended
point (the rank-weighted mean of the 9 best trials; ``recommend`` for our sampler as well). Peers are taken at their
best setting per number of trials and rule. Results are added to ``--out`` as JSON lines, so that a run that was
interrupted goes on. HEBO is run by `uv`, or by this Python where it has HEBO.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# One thread in this process and in those that it starts: small matrices, to which threads only cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
sys.path.append(str(Path(__file__).parents[1]))  # our sampler, where it is not installed

from search_entrants import all_methods, chosen
from search_report import draw, report
from search_run import Search, measure_all, read
from search_suites import PARTS, SUITES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=SUITES, default="landscapes")
    parser.add_argument("--part", choices=PARTS, default="development")
    parser.add_argument("--seeds", type=int, default=3, help="searches per instance")
    parser.add_argument("--instances", type=int, help="only so many instances, or more of the last part")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--slots", type=int, default=1, help="trials in flight")
    parser.add_argument(
        "--methods", help="names or kinds, separated by commas; default: all but the slow ones"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--ours", default="adaptive", help="the method that is compared with the others")
    parser.add_argument("--out", type=Path, default=Path("runs/search_quality"))
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        help="another file of results: its methods, named after it, are compared too, but are no peers",
    )
    parser.add_argument("--report", action="store_true", help="only report what was measured before")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    marks = tuple(mark for mark in suite.marks if mark < options.trials)
    marks = (*marks, options.trials)
    try:
        places = suite.places(options.part, options.instances)
        methods = chosen(list(all_methods(options.slots, marks)), options.methods)
    except ValueError as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"{options.suite}-{options.part}-{options.trials}" + (
        f"-slots{options.slots}" if options.slots > 1 else ""
    )
    results = options.out / f"{name}.jsonl"
    failed = []
    if not options.report:
        searches = [
            Search(options.suite, options.part, place, seed, method, options.trials, options.slots, marks)
            for seed in range(options.seeds)
            for place in places
            for method in methods
        ]
        failed = measure_all(searches, results, options.jobs)
    own = read(results)
    if not own:
        raise SystemExit(f"expected lines in {results}, got none: run the searches first")
    rows = list(own)
    for other in options.beside:
        if not other.exists():
            parser.error(f"expected a file of results, got {other}: there is none")
        rows += [{**row, "method": f"{other.stem}/{row['method']}"} for row in read(other)]
    report(rows, marks, ours=options.ours, geometric=suite.geometric)
    draw(own, options.out / f"{name}.png", options.trials, geometric=suite.geometric)
    if failed:
        raise SystemExit(f"{len(failed)} searches failed, see above; the same command tries them again")


if __name__ == "__main__":
    main()
