"""Serves a model file with MLflow's scoring server, for this machine only."""

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ktg.tracking.server import HOST, run_server
from ktg.tracking.store import load_mlflow
from ktg.version import __version__

COLUMN = "image"
DEVICE = "KTG_SERVE_DEVICE"


def save_pyfunc(
    model: Path, folder: Path, loader: str, example: str | None = None, logged: Any = None
) -> None:
    """Write a model in MLflow's format to `folder`: the model file and the module that loads it.

    `loader` is a module with a function `_load_pyfunc(path)`, which MLflow imports, so nothing is
    pickled. `example` is an image in base64, `logged` the `mlflow.models.Model` of a store that it
    belongs to.
    """
    load_mlflow()
    with warnings.catch_warnings():
        # MLflow warns of its own type hints, and of a model without an example.
        warnings.simplefilter("ignore", UserWarning)
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import save_model
        from mlflow.types.schema import ColSpec, DataType, Map, Schema
        from pandas import DataFrame

        answer = [
            ColSpec("string", "label", required=False),
            ColSpec("double", "probability", required=False),
        ]
        answer += [ColSpec(Map(DataType.double), "probabilities", required=False)]
        answer += [ColSpec("string", "error", required=False)]
        save_model(
            folder,
            loader_module=loader,
            data_path=str(model),
            signature=ModelSignature(Schema([ColSpec("string", COLUMN)]), Schema(answer)),
            input_example=None if example is None else DataFrame({COLUMN: [example]}),
            pip_requirements=[f"ktg-automl=={__version__}"],
            mlflow_model=logged,
        )


def serve_model(
    model: Path,
    loader: str,
    port: int = 5001,
    ready: Callable[[str], None] | None = None,
    device: str | None = None,
) -> None:
    """Run MLflow's scoring server on a model file until Ctrl-C (or SIGTERM); see `run_server`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        save_pyfunc(model, folder, loader)
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder)]
        options = ["--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1"]
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", DEVICE: device or ""}
        run_server(
            [*command, *options], environment, port, "MLflow's scoring server", "ktg serve", ready
        )
