"""MLflow's own web interface on a store, for this machine only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO, NoReturn
from urllib.parse import urlsplit

from ktg.errors import KtgError, UserError
from ktg.tracking.store import DEFAULT_URI, check_uri, redact, sqlite_file

_HOST = "127.0.0.1"
_START_S = 120.0
_STOP_S = 10.0


def ui_command(uri: str = DEFAULT_URI, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment that run MLflow's interface on the loopback address.

    The URI travels in the environment, because every user of a machine can read command lines. Without the job
    executor the server needs 2 processes instead of 10. Raises UserError when there is no store to show.
    """
    uri = check_uri(uri)
    if urlsplit(uri).scheme in ("http", "https", "databricks") or "://" not in uri:
        raise UserError(f"{redact(uri)} is a server that has its own interface; open it in a browser")
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise UserError(f"there is no MLflow store at {file}; run `ktg search` there first, or give --tracking-uri")
    options = ["--host", _HOST, "--port", str(port), "--workers", "1"]
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return [sys.executable, "-m", "mlflow", "server", *options], environment


def serve_ui(uri: str = DEFAULT_URI, port: int = 5000, ready: Callable[[str], None] | None = None) -> None:
    """Run MLflow's interface until Ctrl-C (or SIGTERM). `ready` hears its address once it answers.

    Raises UserError when the port is taken, KtgError with the server's last words when it does not come up.
    """
    command, environment = ui_command(uri, port)
    if _answers(port):
        raise UserError(f"port {port} is taken (perhaps by another `ktg ui`); choose another with --port")
    with tempfile.TemporaryFile("w+") as log, _terminable():
        # A session of its own, so that the server's own children end with it.
        server = subprocess.Popen(  # noqa: S603  our own interpreter, with options built above
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_until_up(server, port, log)
            if ready is not None:
                ready(f"http://{_HOST}:{port}")
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            _end(server)


def _wait_until_up(server: "subprocess.Popen[bytes]", port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            last = " ".join(log.read().strip().splitlines()[-1:])
            raise KtgError(f"MLflow's interface did not start on port {port}: {last or 'no message'}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_HOST, port)) == 0


def _end(server: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_STOP_S)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end what Ctrl-C ends, as far as this is the main thread (no other may set signals)."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
