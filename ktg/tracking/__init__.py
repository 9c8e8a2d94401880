"""Records searches and trials, in memory or in MLflow, behind one protocol of four methods.

The rest of ktg sees only `Tracker`. Importing this room is fast: mlflow is imported only here, and
only when a store is opened.
"""

from ktg.tracking.background import MlflowTracker
from ktg.tracking.delivery import attach, deliver, recover
from ktg.tracking.memory import MemoryRun, MemoryTracker
from ktg.tracking.protocol import (
    HOLES,
    METRIC,
    NOTE,
    TITLE,
    RunState,
    Tracker,
    UsedData,
    finish_run,
)
from ktg.tracking.reading import Experiment, RunRecord, find_experiment, find_experiments
from ktg.tracking.stopping import make_stop_check, request_stop
from ktg.tracking.store import DEFAULT_URI, check_uri, name_places, name_store, redact
from ktg.tracking.system import log_system_metrics
from ktg.tracking.ui import build_ui_command, serve_ui

__all__ = [
    "DEFAULT_URI",
    "HOLES",
    "METRIC",
    "NOTE",
    "TITLE",
    "Experiment",
    "MemoryRun",
    "MemoryTracker",
    "MlflowTracker",
    "RunRecord",
    "RunState",
    "Tracker",
    "UsedData",
    "attach",
    "build_ui_command",
    "check_uri",
    "deliver",
    "find_experiment",
    "find_experiments",
    "finish_run",
    "log_system_metrics",
    "make_stop_check",
    "name_places",
    "name_store",
    "recover",
    "redact",
    "request_stop",
    "serve_ui",
]
