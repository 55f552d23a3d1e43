"""The run that a process inherits in MLFLOW_RUN_ID: one made for this study, or somebody else's that stays theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.entities import Run

from hypevo.messages import inline
from hypevo.tracking.runs import PARENT, STUDY, Runs
from hypevo.tracking.titles import NOTE

PIPELINE = "hypevo.pipeline"  # tag: the run of somebody else's that this one was started in
_CONTINUES = "hypevo.continues"
_ENTRY_POINT = "mlflow.project.entryPoint"
# Parameters that only runs of this project's own entry points have, as MLproject declares them: MLflow logs them all.
SIGNATURES: Mapping[str, frozenset[str]] = {
    "main": frozenset({"sampler", "generations"}),
    "train": frozenset({"hyp", "device"}),
    "confirm": frozenset({"top", "seeds"}),
}


@dataclass(frozen=True)
class Inherited:
    """What MLFLOW_RUN_ID names."""

    own: Run | None = None  # made by `mlflow run` for what runs here
    pipeline: Run | None = None  # somebody else's
    notice: str = ""  # what a user should know of it

    @property
    def tags(self) -> dict[str, str]:
        """What our run says of it: it is shown below a pipeline's, which stays as it is."""
        return (
            {PIPELINE: self.pipeline.info.run_id, PARENT: self.pipeline.info.run_id} if self.pipeline else {}
        )

    @property
    def experiment(self) -> str | None:
        """The id of a pipeline's experiment, where our runs belong unless the user names one."""
        return None if self.pipeline is None else str(self.pipeline.info.experiment_id)

    def continued(self, runs: Runs) -> None:
        """Say in a run that `mlflow run` made where the study is that was continued instead."""
        if self.own is not None and self.own.info.run_id != runs.parent:
            note = f"Continued the study «{inline(runs.study)}»: see run {runs.parent}."
            runs.log(self.own.info.run_id, tags={_CONTINUES: runs.parent, NOTE: note})


def taken_from_environment() -> str | None:
    """MLFLOW_RUN_ID, which is removed: a training that logs to MLflow must not write into the study's run."""
    return os.environ.pop("MLFLOW_RUN_ID", None)


def look_up(run_id: str | None, runs: Runs, uri: str) -> Inherited:
    """Find out whose the inherited run is.

    It is ours if it is this study's already, or if `mlflow run` made it for one of this project's entry points and no
    study has it. Any other one, as a pipeline's that has several steps, keeps its name, its status and its tags.
    """
    if not run_id:
        return Inherited()
    run = runs.get(run_id)
    if run is None:
        return Inherited(
            notice=f"MLFLOW_RUN_ID={run_id} is ignored: MLflow at {uri} has no such run, or it was deleted"
        )
    tags = run.data.tags
    ours = STUDY in tags or (
        PARENT not in tags
        and _ENTRY_POINT in tags
        and any(names <= run.data.params.keys() for names in SIGNATURES.values())
    )
    return Inherited(own=run) if ours and runs.belongs(run) else Inherited(pipeline=run)
