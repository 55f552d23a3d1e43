"""The best model in MLflow: logged once, loadable where the trainer has a loader, registered where that is asked."""

import mlflow
import pytest

from hypevo.tracking.titles import NOTE

MINE = """
from landscape import *

def pyfunc(settings):
    return {"loader": "served", "weights": "best.pt", "config": {"times": 2}, "says": "predict(text) repeats it."}
"""
SERVED = """
from pathlib import Path

class Model:
    def __init__(self, path, times):
        self.weights, self.times = Path(path).read_bytes(), times

    def predict(self, data, params=None):
        return data * self.times

def _load_pyfunc(path, model_config=None):
    return Model(path, **model_config)
"""


@pytest.fixture
def mine(evolution, arena):
    """A study of a trainer that MLflow has a loader for."""
    (arena / "mine.py").write_text(MINE)
    (arena / "served.py").write_text(SERVED)
    mlflow.set_tracking_uri(f"sqlite:///{arena / 'mlflow.db'}")
    yield lambda generations, **settings: evolution(generations, trainer="mine:train", **settings)
    mlflow.set_tracking_uri(None)


def models(evolution):
    return evolution.client.search_logged_models([evolution.parent.info.experiment_id])


def test_the_best_model_is_logged_once_and_loads_by_its_alias(mine, evolution):
    kept = mine(2, register="shop").kept
    assert (kept.address, kept.refused) == ("models:/shop@best", "")
    assert kept.registered == "shop, version 1, alias best"
    model = mlflow.pyfunc.load_model(kept.address)
    assert model.predict("ab") == "abab"
    assert mlflow.pyfunc.load_model(kept.address, model_config={"times": 3}).predict("ab") == "ababab"
    (logged,) = models(evolution)
    best = evolution.summary.best
    assert logged.source_run_id == evolution.parent.info.run_id
    assert logged.tags["hypevo.trial"] == str(best.number)
    assert float(logged.params["lr0"]) == pytest.approx(best.params["lr0"])
    assert {metric.key: metric.value for metric in logged.metrics}["fitness"] == best.value
    assert 'mlflow.pyfunc.load_model("models:/m-' in logged.tags[NOTE]
    assert "predict(text) repeats it." in logged.tags[NOTE]
    child = evolution.children[best.number].info.run_id
    assert [point.step for point in evolution.client.get_metric_history(child, "fitness")] == [0, 1]
    assert not evolution.client.list_artifacts(evolution.parent.info.run_id, "weights")  # once, in the model

    assert mine(2, register="shop").kept == kept
    assert len(models(evolution)) == 1
    assert len(evolution.client.search_model_versions("name = 'shop'")) == 1


def test_without_a_loader_the_weights_are_files_of_the_run_and_a_version_says_so(evolution):
    kept = evolution(1, register="plain").kept
    assert (kept.address, kept.registered, kept.refused) == ("", "plain, version 1, alias best", "")
    (version,) = evolution.client.search_model_versions("name = 'plain'")
    run = evolution.parent.info.run_id
    assert version.source == f"runs:/{run}/weights/0000"
    assert "MLflow cannot load them" in version.description
    assert [file.path for file in evolution.client.list_artifacts(run, "weights/0000")] == [
        "weights/0000/best.pt"
    ]
    assert models(evolution) == []


def test_without_a_loader_a_new_best_is_a_new_version_and_the_older_one_stays_what_it_was(evolution):
    client = evolution.client
    first = evolution(1, register="plain")
    assert evolution(1, register="plain").kept.registered == "plain, version 1, alias best"
    then = evolution(8, register="plain")
    assert then.best.number != first.best.number
    assert then.kept.registered == "plain, version 2, alias best"
    sources = {int(one.version): one.source for one in client.search_model_versions("name = 'plain'")}
    run = evolution.parent.info.run_id
    assert sources == {
        1: f"runs:/{run}/weights/{first.best.number:04}",
        2: f"runs:/{run}/weights/{then.best.number:04}",
    }
    assert (
        client.get_model_version_by_alias("plain", "best").version
        == client.get_model_version("plain", "2").version
    )


def test_a_store_without_a_registry_is_said_and_the_model_is_logged_all_the_same(
    mine, evolution, monkeypatch
):
    assert mine(1, register=None).kept.refused == ""
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "ftp://nobody")
    kept = mine(1, register="shop").kept
    assert kept.address.startswith("models:/m-")
    assert not kept.registered
    assert kept.refused.startswith("it is not registered as «shop»: ")
