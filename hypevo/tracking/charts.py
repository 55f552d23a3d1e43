"""The saved chart view that MLflow's page opens a study with: one link from the terminal to the whole evolution.

MLflow keeps such views in experiment tags, `mlflow.sharedViewState.<key>`. The layout of the state is MLflow's own and
not documented (seen in 3.15 to 3.17), so it is built in this file alone; without it the link still opens the runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

from hypevo.tracking.names import metric_name, plain_name

_TELLING = (
    "lr0",
    "momentum",
    "weight_decay",
    "box",
    "cls",
    "obj",
    "scale",
    "mosaic",
)  # shown, where they move
LONGEST = 20_000  # characters MLflow accepts for a view


def view_key(parent_run: str) -> str:
    """The key of a study's view: a resumed study replaces its own, and no other person's study of the same name."""
    return hashlib.sha256(f"hypevo:{parent_run}".encode()).hexdigest()[:16]


def view_tag(
    study: str, parent_run: str, genes: Sequence[str], metrics: Sequence[str], first: Sequence[str] = ()
) -> tuple[str, str]:
    """Name and value of the experiment tag that holds the view of a study's trials.

    Args:
        study: Its name.
        parent_run: The id of its run.
        genes: Names of what is searched.
        metrics: Names of what is measured, with or without their prefixes.
        first: Genes to be shown first, if it is known which ones matter.

    Raises:
        ValueError: it is longer than MLflow accepts.
    """
    told = first or [gene for gene in _TELLING if gene in genes] or genes
    shown = [plain_name(gene) for gene in told]
    measured = [metric_name(metric) for metric in metrics]
    state = json.dumps(_state(parent_run, shown, measured), separators=(",", ":"))
    packed = "deflate;" + base64.b64encode(zlib.compress(state.encode(), 9)).decode()
    if len(packed) > LONGEST:
        raise ValueError(f"the chart view takes {len(packed)} characters, MLflow accepts {LONGEST}")
    now = round(time.time() * 1000)
    view = {"name": f"hypevo: {study}", "createdAt": now, "updatedAt": now, "state": packed}
    return f"mlflow.sharedViewState.{view_key(parent_run)}", json.dumps(view)


def view_path(experiment: str, parent_run: str, *, charts: bool = True) -> str:
    """The part of the address after the server: a study's trials, known by its run, as charts or as a table."""
    mode = "workflowType=machine_learning" + "&compareRunsMode=CHART" * charts
    return f"/#/experiments/{experiment}/runs?{mode}&viewStateShareKey={view_key(parent_run)}"


def run_path(experiment: str, run: str) -> str:
    """The part of the address after the server: one run, on the pages for trainings (MLflow has others for GenAI)."""
    return f"/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"


def artifact_path(experiment: str, run: str, name: str) -> str:
    """The part of the address after the server: a file of a run."""
    return f"/#/experiments/{experiment}/runs/{run}/artifacts/{name}?workflowType=machine_learning"


def _state(parent_run: str, shown: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    first = shown[0] if shown else "lr0"
    second = shown[1] if len(shown) > 1 else first
    validation = [name for name in metrics if not name.startswith(("train/", "val/"))]
    losses = [name for name in metrics if name.startswith(("train/", "val/"))]
    charts = [
        _chart(
            "parallel", "PARALLEL", "genes", displayName="Hyperparameters → fitness",
            selectedParams=list(shown[:8]), selectedMetrics=["fitness"], showAllRuns=False,
        ),
        _chart("bar", "BAR", "search", metricKey="fitness"),
        *(
            _chart(
                f"scatter-{gene}", "SCATTER", "search",
                xaxis=_axis(gene, "PARAM"), yaxis=_axis("fitness", "METRIC"), tooltipDisplay=[],
            )
            for gene in shown[:4]
        ),
        _chart(
            "contour", "CONTOUR", "search",
            xaxis=_axis(first, "PARAM"), yaxis=_axis(second, "PARAM"), zaxis=_axis("fitness", "METRIC"),
        ),
        *(_curve(name, "validation") for name in validation),
        *(_curve(name, "losses") for name in losses),
    ]  # fmt: skip
    sections = {  # key: name, charts in a row, their height in pixels
        "genes": ("Genes", 1, 480),
        "search": ("Search", 3, 360),
        "validation": ("Validation", 3, 360),
        "losses": ("Losses", 3, 360),
    }
    return {
        "searchFilter": f"tags.mlflow.parentRunId = '{parent_run}'",
        "orderByKey": "metrics.`fitness`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            "metrics.`fitness`",
            *(f"metrics.`{name}`" for name in validation if name != "fitness"),
            *(f"params.`{gene}`" for gene in shown[:6]),
            "tags.`hypevo.state`",
        ],
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": charts,
        "compareRunSections": [
            {
                "uuid": key,
                "name": name,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": False,
                "columns": columns,
                "cardHeight": height,
            }
            for key, (name, columns, height) in sections.items()
        ],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


def _chart(uuid: str, kind: str, section: str, **content: Any) -> dict[str, Any]:
    common = {"runsCountToCompare": 1000, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "type": kind, "metricSectionId": section, **common, **content}


def _curve(name: str, section: str) -> dict[str, Any]:
    return _chart(
        f"curve-{name}", "LINE", section, displayName=name, metricKey=name, lineSmoothness=0, xAxisScaleType="linear",
        scaleType="linear", range={}, xAxisKey="step", selectedXAxisMetricKey="", yAxisKey="metric",
        yAxisExpressions=[], ignoreOutliers=False, useGlobalXaxisKey=True, useGlobalLineSmoothing=True,
    )  # fmt: skip


def _axis(key: str, kind: str) -> dict[str, str]:
    return {"key": key, "type": kind}
