from __future__ import annotations

import base64
import json
import zlib

import pytest

from hypevo.protocol import Outcome
from hypevo.tracking.charts import LONGEST, view_key, view_path, view_tag
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.record import Record


def unpacked(value: str) -> dict:
    packed = json.loads(value)["state"]
    kind, _, text = packed.partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(text)))


def charts(genes, metrics):
    return unpacked(view_tag("s", "p", genes, metrics)[1])["compareRunCharts"]


def test_view_shows_the_trials_of_one_study_by_fitness():
    _, value = view_tag("coco128", "abc", ["lr0", "momentum"], ["fitness"])
    state = unpacked(value)
    assert state["searchFilter"] == "tags.mlflow.parentRunId = 'abc'"
    assert state["orderByKey"] == "metrics.`fitness`"
    assert state["orderByAsc"] is False


def test_every_metric_has_its_curve_in_its_section():
    metrics = ["fitness", "mAP_0.5", "val/box_loss", "train/box_loss"]
    curves = [chart for chart in charts(["lr0"], metrics) if chart["type"] == "LINE"]
    assert [(chart["metricKey"], chart["metricSectionId"]) for chart in curves] == [
        ("fitness", "validation"),
        ("metrics/mAP_0.5", "validation"),
        ("val/box_loss", "losses"),
        ("train/box_loss", "losses"),
    ]


def test_curves_and_axes_bear_the_names_that_a_trial_s_run_has_in_mlflow(arena):
    """Names that MLflow does not take everywhere are sent under others, and the charts must follow."""
    names, genes = ["mAP_0.5:0.95", "a:b", "recall (small)"], ["head:depth", "lr0"]
    tracker = Tracker("s", Store.default())
    tracker.open(None, experiment=None, params={}, tags={}, dataset=None)
    record = Record(arena / "trials" / "0000", 0)
    record.start(dict.fromkeys(genes, 0.5), {"attempt": 1})
    record.end(Outcome(dict.fromkeys(names, 0.5)), 0.5)
    tracker.update(record)
    assert tracker.close("FINISHED", "complete") == 0
    run = Store.default().client().get_run(tracker.run_id(0))
    shown = charts(genes, ["fitness", *names])
    assert {chart["metricKey"] for chart in shown if chart["type"] == "LINE"} == set(run.data.metrics)
    parallel = next(chart for chart in shown if chart["type"] == "PARALLEL")
    assert set(parallel["selectedParams"]) <= set(run.data.params)
    columns = unpacked(view_tag("s", "p", genes, ["fitness", *names])[1])["selectedColumns"]
    assert "metrics.`metrics/mAP_0.5-0.95`" in columns


def test_every_chart_stands_in_a_section_of_the_view():
    state = unpacked(view_tag("s", "p", ["a", "b", "c"], ["fitness", "train/x"])[1])
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
    uuids = [chart["uuid"] for chart in state["compareRunCharts"]]
    assert len(set(uuids)) == len(uuids)


def test_genes_that_people_look_at_first_are_shown_first():
    state = unpacked(view_tag("s", "p", ["shear", "mosaic", "lr0"], ["fitness"])[1])
    parallel = next(chart for chart in state["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert parallel["selectedParams"] == ["lr0", "mosaic"]


def test_genes_of_another_trainer_are_shown_as_they_come():
    state = unpacked(view_tag("s", "p", ["depth", "width"], ["fitness"])[1])
    parallel = next(chart for chart in state["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert parallel["selectedParams"] == ["depth", "width"]


def test_a_view_longer_than_mlflow_accepts_is_refused():
    many = [f"metrics/{index:060d}-{index * 7919 % 104729}" for index in range(3000)]
    with pytest.raises(ValueError, match=str(LONGEST)):
        view_tag("s", "p", ["lr0"], many)


def test_the_link_names_the_view_that_was_saved():
    name, _ = view_tag("my study", "run7", ["lr0"], ["fitness"])
    assert name == f"mlflow.sharedViewState.{view_key('run7')}"
    assert f"viewStateShareKey={view_key('run7')}" in view_path("7", "run7")
    assert view_path("7", "run7").startswith("/#/experiments/7/runs?")


def test_genes_that_matter_go_before_those_that_people_look_at():
    state = unpacked(view_tag("s", "p", ["shear", "mosaic", "lr0"], ["fitness"], ["shear", "lr0"])[1])
    parallel = next(chart for chart in state["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert parallel["selectedParams"] == ["shear", "lr0"]
    section = next(one for one in state["compareRunSections"] if one["uuid"] == parallel["metricSectionId"])
    assert section["columns"] == 1
    assert state["selectedColumns"][:2] == ["metrics.`fitness`", "params.`shear`"]


def test_the_same_view_opens_as_a_table():
    assert "compareRunsMode" not in view_path("7", "run7", charts=False)
    assert f"viewStateShareKey={view_key('run7')}" in view_path("7", "run7", charts=False)
