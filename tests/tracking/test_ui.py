import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ktg.errors import KtgError, UserError
from ktg.tracking import MlflowTracker, build_ui_command, serve_ui


@pytest.fixture
def uri(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        tracker.start("search")
    return uri


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_command_line_is_local_and_holds_no_secret():
    command, environment = build_ui_command("postgresql://me:s3cret@db/mlflow", 1234)
    assert "s3cret" not in " ".join(command)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:s3cret@db/mlflow"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_server_and_a_missing_store_are_refused(tmp_path):
    with pytest.raises(UserError, match="has its own interface"):
        build_ui_command("https://me:s3cret@mlflow.example.org")
    with pytest.raises(UserError, match="there is no MLflow store"):
        build_ui_command(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.slow
def test_a_busy_port_is_refused(uri):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="is taken"):
            serve_ui(uri, other.getsockname()[1])


@pytest.mark.slow
def test_a_server_that_fails_says_why(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(KtgError, match="did not start"):
        serve_ui(f"sqlite:///{tmp_path}/mlflow.db", free_port())


@pytest.mark.slow
def test_it_serves_a_page_and_ends_with_all_its_processes(uri, tmp_path):
    port = free_port()
    served = f"serve_ui({uri!r}, {port}, lambda url: print(url, flush=True))"
    code = f"from ktg.tracking import serve_ui; {served}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ui = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = ui.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(url) as page:
            text = page.read().decode()
        assert "<title>MLflow</title>" in text
        assert text.index("'mlflow.workflowType_v1','\"machine_learning\"'") < text.index(
            "<script defer"
        )
        with urllib.request.urlopen(
            url + "/" + re.search(r'src="(static-files/[^"]+)"', text)[1]
        ) as program:
            assert len(program.read()) > 10_000
        for path in ("/", "/ajax-api/2.0/mlflow/experiments/search"):
            foreign = urllib.request.Request(
                url + path, headers={"Host": f"10.evil.example:{port}"}
            )
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(foreign)
    finally:
        ui.send_signal(signal.SIGTERM)
        ui.communicate(timeout=30)
    assert ui.returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
