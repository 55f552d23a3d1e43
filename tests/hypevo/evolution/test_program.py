"""Studies whose trainings are programs of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import InputError

PROGRAM = """
import os, pathlib, signal, sys
rate, act, out = float(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
number = int(out.parent.name) if out.parent.name.isdigit() else -1
mark = pathlib.Path(f"seen-{number}")
if number == 0 and not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
if number == 1:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
for epoch in (1, 2):
    print(f"epoch={epoch} accuracy={rate + (act == 'tanh')}", flush=True)
(out / "model.pt").write_bytes(b"weights")
"""
SPACE = "rate: {low: 0, high: 1, default: 0.5}\nact: {choices: [relu, tanh], default: relu}\n"


@pytest.fixture
def program(arena):
    """The options of a study of the program."""
    (arena / "program.py").write_text(PROGRAM)
    (arena / "space.yaml").write_text(SPACE)
    line = f"{sys.executable} program.py {{rate}} {{act}} {{out}} {{seed}}"
    return {
        "trainer": "trainers.external.command:train",
        "space": Path("space.yaml"),
        "fitness": "accuracy",
        "options": {"command": line, "results": "stdout"},
    }


def test_a_program_is_judged_as_a_training_is(evolution, arena, program):
    summary = evolution(3, **program)
    first, second, *_ = trials = evolution.trials
    assert summary.done == 3
    assert (first.user_attrs["attempts"], first.state) == (2, TrialState.COMPLETE)  # killed, and repeated
    assert (second.state, second.user_attrs["failure"]) == (TrialState.FAIL, "out of memory")
    assert second.user_attrs["reason"].startswith(
        "RuntimeError: CUDA out of memory. Tried to allocate 20 GiB (program.py"
    )
    kept = [path.parts[-3] for path in arena.glob("runs/evolve/s/trials/**/*.pt")]
    assert kept == [f"{summary.best.number:04d}"]
    stored = {path.path for path in evolution.client.list_artifacts(evolution.children[3].info.run_id)}
    assert "weights" not in stored
    assert all(trial.params["act"] in ("relu", "tanh") for trial in trials)


def test_more_epochs_are_refused_where_they_do_not_reach_the_program(evolution, arena, program):
    from hypevo.retraining.confirm import confirm

    evolution(1, **program)
    with pytest.raises(
        InputError, match=r"epochs: the command has no place \{epochs\} to tell the program; got 100"
    ):
        confirm(
            ConfirmSettings(study="s", device="cpu", seeds=2, options={"epochs": "100"}), evolution.watcher
        )


def test_a_gene_without_a_place_is_an_error_beforehand(evolution, arena, program):
    program["options"]["command"] = program["options"]["command"].replace("{act}", "relu")
    with pytest.raises(InputError, match="searched, and without a place: act"):
        evolution(1, **program)
