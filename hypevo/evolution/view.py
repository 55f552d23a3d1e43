"""The chart view of a study: which genes and metrics MLflow's page shows side by side, those that matter first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import optuna

from hypevo.problem.metrics import column
from hypevo.problem.plan import Plan
from hypevo.study.importance import importances
from hypevo.study.storage import PARENT_RUN
from hypevo.tracking.charts import view_tag


def view_of(study: optuna.Study, plan: Plan, *metrics: Iterable[str]) -> tuple[str, str]:
    """Name and value of the tag that holds a study's view.

    Args:
        study: The study, whose run in MLflow is known.
        plan: What it is.
        metrics: Names that its trainer declares, and names that have come.
    """
    names = dict.fromkeys(name for some in metrics for name in some)
    losses = [f"train/{name}" for name in names if name.endswith("_loss") and not name.startswith("train/")]
    shown = dict.fromkeys(["fitness", *map(column, names), *losses])
    genes = [gene.name for gene in plan.space.movable]
    run = study.user_attrs[PARENT_RUN]
    return view_tag(study.study_name, run, genes, list(shown), by_importance(study, genes))


def by_importance(study: optuna.Study, genes: Sequence[str]) -> list[str]:
    """The genes of which the best trials differ most from the others, by PED-ANOVA; none while that is not known."""
    try:
        return [gene for gene, weight in importances(study, genes).items() if weight > 0]
    except ValueError:
        return []  # nothing is known yet
