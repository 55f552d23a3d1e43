"""What MLflow is given and where: the options that every command has that trains and tracks."""

from __future__ import annotations

from dataclasses import dataclass

from hypevo.problem.options import PLACES, Checked, check_name, option


@dataclass(frozen=True, kw_only=True)
class InMlflow(Checked):
    """What MLflow is given, and where."""

    experiment: str | None = option(
        None, "MLflow experiment; $MLFLOW_EXPERIMENT_NAME or _ID by default, else hypevo.", PLACES
    )
    register: str | None = option(
        None,
        "Register the best model under this name in MLflow's model registry, with the alias best.",
        PLACES,
    )
    system_metrics: bool = option(
        False, "Have MLflow measure this machine every ten seconds: CPU, memory, disk, network, GPUs.", PLACES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("--register", self.register)
