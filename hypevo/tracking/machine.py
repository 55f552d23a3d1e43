"""What the driver's machine does meanwhile: MLflow's own system metrics, in the study's run or the training's."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

_MONITOR: Any = SystemMetricsMonitor  # it has no types
UNSEEN = (
    "--system-metrics: the NVIDIA GPUs of this machine are not measured without nvidia-ml-py: "
    "pip install nvidia-ml-py; all else is"
)


class Machine:
    """Measures while a run is under way; each start goes on where the last one ended."""

    def __init__(self, uri: str, *, wanted: bool) -> None:
        self._uri = uri
        self._wanted = wanted
        self._monitor: Any = None

    @property
    def unseen(self) -> str:
        """What is not measured here, and what to do; empty if all is."""
        blind = self._wanted and shutil.which("nvidia-smi") and importlib.util.find_spec("pynvml") is None
        return UNSEEN if blind else ""

    def watch(self, run: str) -> None:
        """Begin, if it is wanted and has not begun."""
        if self._wanted and self._monitor is None:
            self._monitor = _MONITOR(run, resume_logging=True, tracking_uri=self._uri)
            self._monitor.start()

    def end(self) -> None:
        """Measure no more."""
        if self._monitor is not None:
            self._monitor.finish()
