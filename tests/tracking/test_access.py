"""A real MLflow server that asks for a login, as a reverse proxy in front of it does."""

import base64
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command import ktg

from ktg.errors import UserError
from ktg.exporting.export import export
from ktg.exporting.load_model import load_model
from ktg.tracking import MlflowTracker, find_experiment
from ktg.tracking.access import PASSWORD, TOKEN, USER

SECRET, TOKEN_OF_ANNA = "s3cret-word", "t0ken-of-anna"
LOGINS = {
    f"Basic {base64.b64encode(f'anna:{SECRET}'.encode()).decode()}",
    f"Bearer {TOKEN_OF_ANNA}",
}
READER = f"Basic {base64.b64encode(b'reader:only-reads').decode()}"


@dataclass
class Gate:
    """A proxy with logins that may write or only read; `asked` lists (method, path)."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def proxy(upstream: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            login, body = (
                self.headers.get("Authorization"),
                self.rfile.read(int(self.headers.get("Content-Length", 0))),
            )
            writes = self.command != "GET" and "/search" not in self.path
            gate.asked.append((self.command, self.path))
            if login not in LOGINS | {READER} or (login == READER and writes):
                return self._answer(403 if login == READER else 401, b"no", "text/plain")
            kept = {
                name: self.headers[name]
                for name in ("Content-Type", "Accept")
                if name in self.headers
            }
            request = urllib.request.Request(
                upstream + self.path, body or None, kept, method=self.command
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    return self._answer(
                        answer.status, answer.read(), answer.headers["Content-Type"]
                    )
            except urllib.error.HTTPError as error:
                return self._answer(error.code, error.read(), error.headers["Content-Type"])

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the library's names

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gate = server.gate = Gate(f"http://127.0.0.1:{server.server_port}")
    return server


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--app-name", "ktg"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options, *stores],
        cwd=folder,
        env={**environment, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    front = proxy(f"http://127.0.0.1:{port}")
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        while server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield front.gate
    finally:
        front.shutdown()
        front.server_close()
        server.terminate()
        server.wait(30)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch):
    """Return a function that logs in as the environment says; nobody is, before."""

    def set_login(**given: str) -> None:
        for name in (USER, PASSWORD, TOKEN):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)

    set_login()
    return set_login


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"USERNAME": "anna", "PASSWORD": SECRET}, {"TOKEN": TOKEN_OF_ANNA}],
    ids=["password", "token"],
)
def test_records_of_a_run_arrive_with_the_login_of_the_environment(gate, login, given):
    login(**given)
    warnings: list[str] = []
    name = f"space {'-'.join(given)}"
    with MlflowTracker(name, gate.url, warn=warnings.append) as tracker:
        run = tracker.start("search", params={"gate": "linear"})
        tracker.log(run, {"accuracy": 0.5}, 1)
        tracker.artifact(run, "graph.yaml", "nodes: {}")
        tracker.end(run, "finished")
        assert tracker.flush()
    assert warnings == []
    experiment = find_experiment(name, gate.url)
    (search,) = experiment.searches()
    assert (search.state, search.params, search.metrics) == (
        "finished",
        {"gate": "linear"},
        {"accuracy": 0.5},
    )
    assert experiment.read_artifact(search, "graph.yaml") == "nodes: {}"
    assert not any(word in str(search) for word in (SECRET, TOKEN_OF_ANNA))


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, f"the server wants a login; set {USER} and {PASSWORD}, or {TOKEN}"),
        (
            {"USERNAME": "anna", "PASSWORD": "wr0ng"},
            f"the server refuses the login in {USER} and {PASSWORD}",
        ),
        ({"TOKEN": "wr0ng"}, f"the server refuses the login in {TOKEN}"),
    ],
    ids=["none", "password", "token"],
)
def test_a_wrong_login_is_one_sentence_before_anything_is_spent(gate, login, given, says, tmp_path):
    login(**given)
    gate.asked.clear()
    with pytest.raises(UserError) as raised:
        MlflowTracker("space", gate.url)
    assert (
        str(raised.value) == f"cannot write into experiment 'space' of MLflow at {gate.url}: {says}"
    )
    assert len(gate.asked) == 1
    read = ktg("status", "space", "--tracking-uri", gate.url, folder=tmp_path)
    assert (read.code, read.err) == (2, f"ktg: cannot read from MLflow at {gate.url}: {says}\n")


def test_a_wrong_login_in_the_address_is_shown_without_it(gate, login):
    uri = gate.url.replace("http://", "http://anna:wr0ng@")
    with pytest.raises(
        UserError, match=r"http://anna:\*\*\*@127.*: the server refuses the login in its address$"
    ):
        MlflowTracker("space", uri)


def test_who_may_only_read_is_told_so_first(gate, login):
    login(USERNAME="anna", PASSWORD=SECRET)
    with MlflowTracker("shared", gate.url) as tracker:
        tracker.end(tracker.start("search"), "finished")
    login(USERNAME="reader", PASSWORD="only-reads")
    assert len(find_experiment("shared", gate.url).searches()) == 1
    with pytest.raises(
        UserError, match=r"'shared' of MLflow at .*: the server does not let this user do that"
    ):
        MlflowTracker("shared", gate.url)


@pytest.mark.slow
def test_a_network_goes_into_the_registry_and_comes_back_through_the_gate(
    gate, login, trained, monkeypatch
):
    login(USERNAME="anna", PASSWORD=SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gate.url)
    assert export(str(trained.file), gate.url, name="net").registered == "models:/net/1"
    import mlflow

    served = mlflow.pyfunc.load_model("models:/net/1")
    (answer,) = served.predict(served.input_example)
    (expected,) = load_model(trained.file, "cpu").predict(
        [base64.b64decode(served.input_example["image"][0])]
    )
    assert (answer["label"], answer["probability"]) == (
        expected.label,
        pytest.approx(expected.probability, abs=1e-6),
    )
    (run,) = find_experiment("net", gate.url).searches()
    assert (run.tags["kind"], run.tags["registered_model"]) == ("model", "models:/net/1")
