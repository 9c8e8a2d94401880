"""MLflow's web pages as `ktg ui` and `mlflow server --app-name ktg` show them: opened for training, not for chatbots.

What a browser shows of MLflow is kept in the browser. Where it has been told nothing yet, its pages
open on traces of language models, beside an assistant; no setting of the server changes that. So
the one page that MLflow has gets a line of script that tells it, once. All else is MLflow's own.
"""

import os
from pathlib import Path
from typing import Any

_ONCE = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",  # there is none
    "mlflow.settings.telemetry.enabled_v1": "false",
}


def create_app() -> Any:
    """Return the application, of ASGI; MLflow finds it by the entry point `mlflow.app` of this package."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.server
    from mlflow.server.fastapi_app import app as pages

    page = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"
    if not page.is_file():  # another version of MLflow, with its page elsewhere
        return pages
    start = start_page(page)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (scope["path"], scope["method"]) == ("/", "GET"):
            headers = [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"cache-control", b"no-cache"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": start})
        else:
            await pages(scope, receive, send)

    return app


def start_page(file: Path) -> bytes:
    """Return MLflow's page with our script before its own."""
    lines = [
        f"if(localStorage.getItem('{key}')===null)localStorage.setItem('{key}','{value}');"
        for key, value in _ONCE.items()
    ]
    script = f"<head><script>{''.join(lines)}</script>"
    return file.read_text(encoding="utf-8").replace("<head>", script, 1).encode()
