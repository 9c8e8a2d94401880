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
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    start = HTMLResponse(add_script(page), headers={"cache-control": "no-cache"})
    # A route of MLflow's own application, so that its checks of hosts and its headers hold here.
    pages.router.routes.insert(0, Route("/", lambda _request: start))
    return pages


def add_script(file: Path) -> bytes:
    """Return MLflow's page with our script in front of its own."""
    lines = [
        f"if(localStorage.getItem('{key}')===null)localStorage.setItem('{key}','{value}');"
        for key, value in _ONCE.items()
    ]
    script = f"<head><script>{''.join(lines)}</script>"
    return file.read_text(encoding="utf-8").replace("<head>", script, 1).encode()
