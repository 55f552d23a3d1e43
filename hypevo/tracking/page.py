"""MLflow's page of a local store, as its own server: it checks Host and Origin by itself and is told for whom."""

from __future__ import annotations

import os

from hypevo.tracking.address import HOST, NAMES


def serve_mlflow(port: int, store: str) -> None:
    """Serve MLflow's page, with its own checks of Host and Origin, until the process ends."""
    from mlflow.cli import cli

    os.environ |= {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    os.environ["PYTHONSAFEPATH"] = "1"  # its workers are not to import what lies in the working directory
    os.environ.pop("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", None)
    addresses = [f"{name}:{port}" for name in NAMES]
    options = ["--host", HOST, "--port", str(port), "--workers", "1", "--allowed-hosts", ",".join(addresses)]
    options += ["--cors-allowed-origins", ",".join(f"http://{address}" for address in addresses)]
    cli.main(["ui", *options, "--x-frame-options", "DENY"])
