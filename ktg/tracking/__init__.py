"""Records of searches and trials: a four-method protocol, kept in memory or in MLflow. Importing it is light.

The rest of ktg sees `Tracker`; only the modules of this package import mlflow, and only when a
store is opened.
"""

from ktg.tracking.attaching import attach
from ktg.tracking.background import MlflowTracker
from ktg.tracking.memory import MemoryRun, MemoryTracker
from ktg.tracking.protocol import NOTE, RunState, Tracker, UsedData, ending
from ktg.tracking.reading import Experiment, RunRecord, find_experiment, find_experiments
from ktg.tracking.recovering import deliver, recover
from ktg.tracking.stopping import request_stop, stop_asked
from ktg.tracking.store import DEFAULT_URI, check_uri, redact
from ktg.tracking.system import watched
from ktg.tracking.ui import serve_ui, ui_command

__all__ = [
    "DEFAULT_URI",
    "NOTE",
    "Experiment",
    "MemoryRun",
    "MemoryTracker",
    "MlflowTracker",
    "RunRecord",
    "RunState",
    "Tracker",
    "UsedData",
    "attach",
    "check_uri",
    "deliver",
    "ending",
    "find_experiment",
    "find_experiments",
    "recover",
    "redact",
    "request_stop",
    "serve_ui",
    "stop_asked",
    "ui_command",
    "watched",
]
