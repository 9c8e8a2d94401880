"""Serves MLflow's web pages so that they open on trainings instead of on traces of chatbots.

MLflow keeps such preferences in the browser, and no setting of its server changes their defaults.
So `ktg ui` and `mlflow server --app-name ktg` add one line of script to MLflow's only page, which
sets them in a browser that has none yet. All else is MLflow's own.
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
    """Return the ASGI application, which MLflow finds by our entry point `mlflow.app`."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.server
    from mlflow.server.fastapi_app import app as pages

    page = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"
    if not page.is_file():  # another version of MLflow, with its page elsewhere
        return pages
    start = add_script(page)

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


def add_script(file: Path) -> bytes:
    """Return MLflow's page with our script in front of its own."""
    lines = [
        f"if(localStorage.getItem('{key}')===null)localStorage.setItem('{key}','{value}');"
        for key, value in _ONCE.items()
    ]
    script = f"<head><script>{''.join(lines)}</script>"
    return file.read_text(encoding="utf-8").replace("<head>", script, 1).encode()
