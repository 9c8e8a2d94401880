"""`ktg serve`: a real request to MLflow's scoring server on the loopback address."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from ktg.exporting.load_model import load_model


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_a_real_request_is_answered_and_nothing_runs_on_afterwards(trained, photos, tmp_path):
    port = free_port()
    code = "import sys; from ktg.cli import main; sys.argv[0] = 'ktg'; main()"
    command = [sys.executable, "-c", code, "serve", str(trained.file), "--port", str(port)]
    environment = {
        **os.environ,
        "PATH": "/usr/bin:/bin",
    }  # as called by its path, in no activated environment
    server = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        first = server.stdout.readline()
        assert first.startswith(f"http://127.0.0.1:{port}/invocations")
        photo = next((photos / "val/noon").iterdir())
        rows = [
            [base64.b64encode(photo.read_bytes()).decode()],
            ["@"],
            ["\u00e9"],
            [base64.b64encode(b"no image").decode()],
        ]
        body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
        with urllib.request.urlopen(request) as answer:
            found, *faults = json.load(answer)["predictions"]
        foreign = urllib.request.Request(request.full_url, body, headers | {"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    (expected,) = load_model(trained.file, "cpu").predict([photo])
    assert found["label"] == expected.label
    assert abs(found["probability"] - expected.probability) < 1e-5
    assert set(found["probabilities"]) == {"night", "noon"}
    assert faults == [{"error": "is not base64"}] * 2 + [
        {"error": "is not an image of a known format"}
    ]
    assert server.returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_what_is_no_model_or_a_port_in_use(refused, trained):
    assert "there is no such model file" in refused("serve", "absent.safetensors")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused("serve", trained.file, "--port", port)
    assert (
        said == f"port {port} is taken (perhaps by another `ktg serve`); choose another with --port"
    )
