"""Runs MLflow's own web interface on a store, for this machine only."""

import importlib.metadata
import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from ktg.errors import UserError
from ktg.tracking.server import HOST, run_server
from ktg.tracking.store import DEFAULT_URI, check_uri, redact, sqlite_file

APP = "ktg"
# MLflow's own list has whole private networks as patterns, such as 10.*, which names of strangers
# match too; this server listens on the loopback address alone.
_HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*,[::1],[[]::1]:*"


def build_ui_command(uri: str = DEFAULT_URI, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment that run MLflow's interface on the loopback address.

    The URI travels in the environment, because every user of a machine can read command lines.
    Without the job executor the server needs 2 processes instead of 10. The pages are those of
    `ktg.tracking.pages`. Raises UserError when there is no store to show.
    """
    uri = check_uri(uri)
    if urlsplit(uri).scheme in ("http", "https", "databricks") or "://" not in uri:
        raise UserError(
            f"{redact(uri)} is a server that has its own interface; open it in a browser"
        )
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise UserError(
            f"there is no MLflow store at {file}; run `ktg search` there first, "
            "or give --tracking-uri"
        )
    options = ["--host", HOST, "--port", str(port), "--workers", "1"]
    # A checkout that was never installed has no entry point.
    if importlib.metadata.entry_points(group="mlflow.app", name=APP):
        options += ["--app-name", APP]
    environment = {"MLFLOW_SERVER_ALLOWED_HOSTS": _HOSTS, **os.environ} | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return [sys.executable, "-m", "mlflow", "server", *options], environment


def serve_ui(
    uri: str = DEFAULT_URI, port: int = 5000, ready: Callable[[str], None] | None = None
) -> None:
    """Run MLflow's interface until Ctrl-C (or SIGTERM); call `ready` with its address once up.

    Raises UserError when the port is taken, KtgError with the server's last words when it does not
    come up.
    """
    command, environment = build_ui_command(uri, port)
    run_server(command, environment, port, "MLflow's interface", "ktg ui", ready)
