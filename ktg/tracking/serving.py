"""Serves a model file with MLflow's scoring server, for this machine only."""

import os
import re
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
UNKNOWN = "KTG_SERVE_UNKNOWN"
_MODEL = "KTG_SERVE_MODEL"
_OURSELVES = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_REFUSAL = b"This server answers requests to localhost, 127.0.0.1 and [::1] alone.\n"


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
        answer += [ColSpec("boolean", "unknown", required=False)]
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
    unknown: str | None = None,
) -> None:
    """Run MLflow's scoring server on a model file until Ctrl-C (or SIGTERM); see `run_server`.

    device, unknown: what the loader finds in the environment, as `DEVICE` and `UNKNOWN`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        save_pyfunc(model, folder, loader)
        app = f"{create_app.__module__}:{create_app.__name__}"
        command = [sys.executable, "-m", "uvicorn", "--factory", app]
        options = ["--host", HOST, "--port", str(port), "--workers", "1"]
        ours = {"MLFLOW_DISABLE_TELEMETRY": "true", DEVICE: device or "", _MODEL: str(folder)}
        environment = os.environ | ours | {UNKNOWN: unknown or ""}
        run_server(
            [*command, *options], environment, port, "MLflow's scoring server", "ktg serve", ready
        )


def create_app() -> Any:
    """Return MLflow's scoring server on the model in our environment, as an ASGI application."""
    from mlflow.pyfunc import load_model
    from mlflow.pyfunc.scoring_server import init

    return check_hosts(init(load_model(os.environ[_MODEL])))


def check_hosts(app: Any) -> Any:
    """Return an ASGI application that answers nobody who thinks this machine is another.

    A page of a stranger may point a name of his own at 127.0.0.1, and a browser then lets it read
    what is answered there; but the browser sends that name. Through a tunnel the port may differ.
    """

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        hosts = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] == "lifespan" or (
            len(hosts) == 1 and _OURSELVES.fullmatch(hosts[0].decode("latin-1"))
        ):
            await app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})
        else:
            await send({"type": "websocket.close", "code": 1008})

    return checked
