"""Which experiment a study's runs go to: the option's, that of MLflow's own variables, a pipeline's, or ours."""

from __future__ import annotations

import os

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from hypevo.messages import hidden
from hypevo.protocol import InputError
from hypevo.tracking.address import EXPERIMENT
from hypevo.tracking.failures import refused
from hypevo.tracking.store import Store

NAME, ID = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"


def experiment_id(store: Store, client: MlflowClient, option: str | None, pipeline: str | None) -> str:
    """The id of the experiment for new runs, which is made if only its name is known.

    The variables are read as MLflow reads them: a name goes before an id, and must not contradict it.

    Args:
        store: Where it is.
        client: Of that store.
        option: The name that the user gave.
        pipeline: The id of the experiment of the run that this process was started in.

    Raises:
        InputError: the id is nobody's, the experiment was deleted, or the variables contradict each other.
    """
    name, given = os.environ.get(NAME), os.environ.get(ID)
    if option:
        return store.experiment(client, option)
    if given and not name:
        return _known(store, client, given)
    if not name:
        return pipeline or store.experiment(client, EXPERIMENT)
    found = store.experiment(client, name)
    if given and given != found:
        raise InputError(
            f"{NAME}={name} and {ID}={given} mean two experiments: «{name}» at {hidden(store.uri)} has the id {found}; "
            f"unset one of them, or name the experiment with --experiment"
        )
    return found


def _known(store: Store, client: MlflowClient, given: str) -> str:
    try:
        found = client.get_experiment(given)
    except MlflowException as error:
        if not refused(error):
            raise
        found = None
    if found is None or found.lifecycle_stage != "active":
        what = "no experiment of this id" if found is None else f"deleted its experiment «{found.name}»"
        raise InputError(
            f"{ID}={given}: MLflow at {hidden(store.uri)} has {what}; "
            f"expected an id that `mlflow experiments search` lists: set it, unset it, or name one with --experiment"
        )
    return str(found.experiment_id)
