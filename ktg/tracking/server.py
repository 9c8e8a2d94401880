"""Runs one of MLflow's servers in a process of its own, on the loopback address, until Ctrl-C."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from ktg.errors import KtgError, UserError

HOST = "127.0.0.1"
_START_S = 120.0
_STOP_S = 10.0


def run_server(
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    what: str,
    ours: str,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run a server until Ctrl-C (or SIGTERM). Calls `ready` with its address once it answers.

    `what` names the server in messages, and `ours` the command of ktg that runs it. Raises
    UserError when the port is taken, KtgError with the server's last words when it does not come
    up.
    """
    if _answers(port):
        raise UserError(
            f"port {port} is taken (perhaps by another `{ours}`); choose another with --port"
        )
    with tempfile.TemporaryFile("w+") as log, _terminable():
        # A session of its own, so that the server's own children end with it.
        # Our own interpreter, with options that our callers build.
        server = subprocess.Popen(  # noqa: S603
            command,
            env=_prepend_our_programs(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(server, port, log, what)
            if ready is not None:
                ready(f"http://{HOST}:{port}")
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            _end(server)


def _prepend_our_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the programs of this Python first on the PATH.

    MLflow starts uvicorn by its name, and a ktg that was called by its path has no activated
    environment.
    """
    ours = str(Path(sys.executable).parent)
    return {**environment, "PATH": os.pathsep.join([ours, environment.get("PATH", os.defpath)])}


def _wait_until_up(server: "subprocess.Popen[bytes]", port: int, log: IO[str], what: str) -> None:
    deadline = time.monotonic() + _START_S
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            last = " ".join(log.read().strip().splitlines()[-1:])
            raise KtgError(f"{what} did not start on port {port}: {last or 'no message'}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _end(server: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_STOP_S)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, if this is the main thread: no other may set signals."""

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
