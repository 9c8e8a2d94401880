"""Logs how busy the machine of a run is, as the system metrics that MLflow's pages show."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from ktg.errors import UserError, show
from ktg.tracking.protocol import Tracker

SWITCH, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
EVERY_S = 30.0
PREFIX = "system/"


@contextmanager
def log_system_metrics(tracker: Tracker, run: str) -> Iterator[None]:
    """Log processor, memory, disk and network use every 30 s on a thread while the block runs.

    GPUs too where nvidia-ml-py is installed, as in MLflow itself. Two of its variables apply:
    `SWITCH` turns this off with false, `INTERVAL` sets the seconds. Raises UserError for an
    interval that is no positive number.
    """
    monitors = _find_monitors() if os.environ.get(SWITCH, "true").lower() in ("true", "1") else []
    if not monitors:
        yield
        return
    over, every_s = threading.Event(), _read_interval_s()

    def watch() -> None:
        for step in count():
            ended = over.wait(every_s)
            tracker.log(run, _sample(monitors), step)
            if ended:
                return

    thread = threading.Thread(target=watch, name="ktg-system", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _read_interval_s() -> float:
    text = os.environ.get(INTERVAL) or str(EVERY_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise UserError(
            f"{INTERVAL} (an environment variable): {show(text)} is no number of seconds above 0"
        )
    return seconds


def _find_monitors() -> list[Any]:
    """Return those of MLflow's monitors that work on this machine."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(ImportError, RuntimeError):  # nvidia-ml-py, or a GPU
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        found.append(GPUMonitor())
    if found:
        _sample(found)  # processor use is counted since the sample before, so take one now
    return found


def _sample(monitors: list[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        monitor.clear_metrics()
        monitor.collect_metrics()
        values |= {PREFIX + name: value for name, value in monitor.aggregate_metrics().items()}
    return values
