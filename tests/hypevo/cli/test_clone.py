"""What `mlflow run ADDRESS` writes into its temporary clone is warned of."""

import tempfile
from pathlib import Path

from hypevo.cli.clone import lost_places


def test_relative_places_in_a_clone_are_warned_of_and_whole_ones_are_not(monkeypatch, tmp_path):
    clone = Path(tempfile.gettempdir()).resolve() / "tmpclone"
    places = {"out": Path("runs/evolve"), "storage": "mlruns/optuna.journal"}
    assert lost_places(places, clone) == []  # nobody but a user's shell has started it
    monkeypatch.setenv("MLFLOW_RUN_ID", "1")
    (finding,) = lost_places(places, clone)
    assert "-P out=/a/folder/of/yours/evolve -P storage=/a/folder/of/yours/optuna.journal" in finding.message
    assert lost_places({"out": tmp_path, "storage": "postgresql+psycopg://x/y"}, clone) == []
    assert lost_places(places, Path("/home/somebody/project")) == []
