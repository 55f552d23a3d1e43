"""The best model of a study in MLflow: weights with a loader, logged once, and registered where the user asks."""

from __future__ import annotations

import importlib.util
import logging
import re
import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path, PurePath

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException

from hypevo.messages import inline
from hypevo.tracking.failures import FAILURES, line, passing
from hypevo.tracking.names import plain_name, text
from hypevo.tracking.runs import STUDY, TRIAL, Runs
from hypevo.tracking.titles import NOTE
from hypevo.trainings.offer import Pyfunc
from hypevo.trainings.record import WEIGHTS, Record

ALIAS = "best"
_LONGEST = 250  # characters that any store takes for a parameter of a model


@dataclass(frozen=True)
class BestModel:
    """What is to be kept: the weights of a training, how MLflow loads them, and the name to register them under."""

    record: Record
    pyfunc: Pyfunc | None
    register: str | None = None


@dataclass(frozen=True)
class Kept:
    """Where a model is in MLflow.

    Attributes:
        address: As `mlflow.pyfunc.load_model` takes it; empty where MLflow has no loader, or no model.
        registered: Its name, version and alias in the registry, in words; empty if it is not there.
        refused: Why something of what was asked is not there.
    """

    address: str = ""
    registered: str = ""
    refused: str = ""


def keep(runs: Runs, model: BestModel) -> Kept:
    """Log a model, unless it is there, and register it; whatever MLflow will not take is said in the answer.

    Without a loader, or where MLflow knows no models, the weights are stored as files of the run, of a study's trial
    in a folder of its own.

    Raises:
        Exception: MLflow is away; the same call goes on where it was.
    """
    number = model.record.number
    owner = runs.parent or runs.trials.get(number)
    if owner is None:
        raise ConnectionError("the training's run is not there yet")
    address, said = "", []
    files = sorted((model.record.folder / WEIGHTS).glob("*"))
    try:
        address = _logged(runs, owner, model)
    except FAILURES as error:
        if passing(error):
            raise
        said.append(f"it is stored without a loader: {line(error)}")
    if not address and not files:
        return Kept(refused=f"the best training, {number}, has no weights here") if model.register else Kept()
    # A trial's own folder: a later best must not change the files of a version that is registered.
    place = PurePath(WEIGHTS, f"{number:04}") if runs.parent else PurePath(WEIGHTS)
    if not address:
        for path in files:
            runs.log_file(owner, path, place / path.name)
    registered = ""
    if model.register:
        try:
            registered = _registered(runs, owner, model, address or f"runs:/{owner}/{place.as_posix()}")
        except FAILURES as error:
            if passing(error):
                raise
            said.append(f"it is not registered as «{model.register}»: {line(error)}")
    usual = f"models:/{model.register}@{ALIAS}" if address and registered else address
    return Kept(usual, registered, "; ".join(said))


def _logged(runs: Runs, owner: str, model: BestModel) -> str:
    """The address of the logged model; empty where nothing can load it."""
    client, number, pyfunc = runs.client, model.record.number, model.pyfunc
    wanted = f"source_run_id = '{owner}' and tags.`{TRIAL}` = '{number}'"
    if pyfunc is None:
        return ""
    for found in client.search_logged_models([runs.experiment_id], filter_string=wanted):
        if found.status == LoggedModelStatus.READY:
            return f"models:/{found.model_id}"
        client.delete_logged_model(found.model_id)  # of a driver that died on the way
    weights = model.record.folder / WEIGHTS / pyfunc.weights
    if not weights.is_file():
        return ""
    made = client.create_logged_model(
        runs.experiment_id,
        name=re.sub(r"[^\w -]", "-", f"{runs.study}-{number}" if runs.parent else runs.study)[:_LONGEST],
        source_run_id=owner,
        tags={STUDY: text(runs.study), TRIAL: str(number)},
        params={
            plain_name(key): text(value)[:_LONGEST] for key, value in model.record.details["hyp"].items()
        },
        model_type="object detector",
    )
    address = f"models:/{made.model_id}"
    client.set_logged_model_tags(made.model_id, {NOTE: text(_note(runs, model, address))})
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder) / "model", weights, pyfunc)
        client.log_model_artifacts(made.model_id, str(Path(folder) / "model"))
    _link(runs, owner, number, made)
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    return address


def _save(path: Path, weights: Path, pyfunc: Pyfunc) -> None:
    """Write the folder of a model: the weights, the loader's package, and what it needs; no class is pickled."""
    import mlflow.pyfunc

    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # that pip is not installed here
    top = pyfunc.loader.partition(".")[0]
    found = importlib.util.find_spec(top) or PathFinder.find_spec(
        top, [str(Path.cwd())]
    )  # a user's own trainer
    places = list(found.submodule_search_locations or [found.origin or ""]) if found else []
    mlflow.pyfunc.save_model(
        path,
        loader_module=pyfunc.loader,
        data_path=str(weights),
        code_paths=places,
        pip_requirements=list(pyfunc.requirements),
        model_config=dict(pyfunc.config) or None,
    )


def _link(runs: Runs, owner: str, number: int, made: LoggedModel) -> None:
    """Show the model with the study's run and with the trial's, and the trial's metrics with the model."""
    client, trial = runs.client, runs.trials.get(number)
    for run in dict.fromkeys(filter(None, (owner, trial))):
        client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
    if trial is None:
        return
    points = [  # those that the run has already: nothing is added to its curves
        Metric(one.key, one.value, one.timestamp, one.step, model_id=made.model_id, run_id=trial)
        for one in client.get_run(trial).data._metric_objs
        if not one.key.startswith("system/")
    ]
    client.log_batch(trial, metrics=points)


def _registered(runs: Runs, owner: str, model: BestModel, source: str) -> str:
    """Register what is at `source`, unless it is, under the model's name with the alias; returns both in words."""
    client, name = runs.client, str(model.register)
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = [one for one in client.search_model_versions(f"name = '{name}'") if one.source == source]
    version = known[0] if known else client.create_model_version(
        name,
        source,
        run_id=owner,
        description=text(_note(runs, model, f"models:/{name}@{ALIAS}" if source.startswith("models:") else "")),
        model_id=source.removeprefix("models:/") if source.startswith("models:") else None,
    )  # fmt: skip
    client.set_registered_model_alias(name, ALIAS, version.version)
    return f"{name}, version {version.version}, alias {ALIAS}"


def _note(runs: Runs, model: BestModel, address: str) -> str:
    """What a model is and how it is loaded, in Markdown."""
    which = f"Trial {model.record.number} of the study" if runs.parent else "The training"
    result = model.record.result
    fitness = "" if result is None or result.fitness is None else f", fitness {result.fitness:.4f}"
    what = f"{which} «{inline(runs.study)}»{fitness}."
    if not address or model.pyfunc is None:
        return f"{what} Its weights as the trainer wrote them, for the trainer's own program: MLflow cannot load them."
    return (
        f"{what}\n\n```python\nimport mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("{address}")\nfound = model.predict(image)\n```\n\n{model.pyfunc.says}'
    )
