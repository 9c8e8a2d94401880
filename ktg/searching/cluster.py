"""Starts Ray quietly on this machine, or joins a cluster where it already runs."""

import gc
import logging
import os
import re
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ktg.errors import KtgError, UserError, show

# Read by Ray when it is imported, by its workers when they start, and by Tune when a run begins.
QUIET = {
    "RAY_AUTH_MODE": "disabled",  # else a local cluster writes a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else one idle worker for each core is started first, and a driver waits for ever for one that
    # dies meanwhile; trials have workers of their own.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a third of the driver's time per report
    # Snapshots that nobody reads: the tracking store is the record.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_WARN_THRESHOLD_S": "1e9",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
# Read by Ray when it starts or joins: a Ray of our own is not to be another's for them.
OVERRULING = (
    "RAY_ADDRESS",
    "RAY_NAMESPACE",
    "RAY_RUNTIME_ENV",
    "RAY_RUNTIME_ENV_HOOK",
    "RAY_JOB_CONFIG_JSON_ENV_VAR",
    "RAY_REDIS_ADDRESS",
)
# Ray's sockets lie in a folder `ray/SESSION/sockets`, and the system bounds the length of a path.
SOCKET = "ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
SOCKET_BYTES = 107 if sys.platform == "linux" else 103
STARTS = 3
ANSWER_S = 5.0


@contextmanager
def start_ray(
    address: str | None = None, *, cpus: int | None = None, gpus: int | None = None
) -> Iterator[Any]:
    """Start Ray (or join the cluster at `address`), yield the `ray` module, and clean up.

    A Ray that this process has started before is used as it is, and left running.
    cpus, gpus: what a local Ray believes this machine has; default: what it finds.

    Without an address Ray is always started here, whatever Ray's own variables say. Raises
    UserError for an address where nothing answers, and where no folder is fit for Ray's sockets.
    """
    if address is not None:
        check_address(address)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    for name in ("ray", "ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield ray
        return
    settings = {"address": address} if address else local_settings(sys.executable, cpus, gpus)
    # Of `auto` RAY_ADDRESS is a part; beside another address Ray would prefer it.
    hidden = {None: OVERRULING, "auto": ()}.get(address, ("RAY_ADDRESS",))
    with hide_variables(hidden):
        _start(ray, log_to_driver=False, logging_level=logging.CRITICAL, **settings)
    try:
        yield ray
    finally:
        _shut_down(ray)


def local_settings(python: str, cpus: int | None, gpus: int | None) -> dict[str, Any]:
    """Return the settings of `ray.init` for this machine; workers run the interpreter `python`."""
    settings: dict[str, Any] = {"address": "local", "include_dashboard": False}
    settings |= {"num_cpus": cpus, "num_gpus": gpus}
    folder = find_short_folder()
    if folder is not None:
        settings["_temp_dir"] = str(folder / "ray")
    # Ray writes the path into a shell command as it is: a space would end it.
    if shlex.quote(python) != python:
        settings["runtime_env"] = {"py_executable": shlex.quote(python)}
    return settings


def find_short_folder() -> Path | None:
    """Return a folder for the files of a local Ray; None where Ray's own choice will do.

    Raises UserError where no folder is both short enough for sockets and writable.
    """
    tried = [os.environ.get(name, "") for name in ("RAY_TMPDIR", "TMPDIR")] + ["/tmp"]  # noqa: S108
    choices = [Path(name) for name in tried if name]
    for folder in choices:
        fits = len(os.fsencode(folder.absolute() / SOCKET)) <= SOCKET_BYTES
        if fits and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return None if folder == choices[0] else folder.absolute()
    most = SOCKET_BYTES - len(SOCKET) - 1
    raise UserError(
        f"Ray needs a folder for its sockets whose path has at most {most} bytes and that can be "
        f"written; tried: {', '.join(map(str, choices))}; set RAY_TMPDIR to another one"
    )


@contextmanager
def hide_variables(names: Iterable[str]) -> Iterator[None]:
    """Take variables out of the environment for the length of the block."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def check_address(address: str) -> None:
    """Raise UserError for what is no address, or where nothing answers; Ray tries for minutes.

    For `auto` Ray reads RAY_ADDRESS, if it is set.
    """
    name = "--address"
    if address == "auto":
        name, address = "--address auto: RAY_ADDRESS", os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        return
    found = re.fullmatch(r"(?:ray://)?([^\s:/]+):(\d{1,5})", address)
    if found is None:
        raise UserError(
            f"{name}: {show(address)} is no address; allowed: auto, HOST:PORT or ray://HOST:PORT"
        )
    try:
        socket.create_connection((found[1], int(found[2])), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{name}: nothing answers at {address} ({error}); start Ray with `ray start --head`"
        ) from None


def _shut_down(ray: Any) -> None:
    """Disconnect from Ray, and end the processes of one of our own.

    Whatever touches Ray's core while that shuts down ends this process on the spot, without a word
    and with code 1. Freeing a reference to one of its objects does, and garbage is collected in any
    thread: so what there is of it is freed before, and nothing meanwhile.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collecting:
            gc.enable()


def _start(ray: Any, **settings: Any) -> None:
    """Start Ray, again if need be: it gives up after 30 s, and a loaded machine may need more."""
    with _keep_sigterm(ray):
        _try_to_start(ray, **settings)


@contextmanager
def _keep_sigterm(ray: Any) -> Iterator[None]:
    """Let SIGTERM interrupt in the block, and afterwards do what it did before.

    Ray would make an exit of it. What a signal raises while Ray starts may be lost in a callback,
    and the process would go on for as long as it had meant to; so it is raised again at the end.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # nobody asked for more than the system or Ray does
        return
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    set_handler = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = set_handler
        signal.signal(signal.SIGTERM, before)
        if came:
            _shut_down(ray)
            raise KeyboardInterrupt


def _try_to_start(ray: Any, **settings: Any) -> None:
    starts = STARTS if settings["address"] == "local" else 1
    for attempt in range(1, starts + 1):
        try:
            ray.init(**settings)
            # Raylets' own words on dead workers would go to standard output, into the JSON;
            # `FailureCallback` reports them instead.
            ray._private.worker.print_to_stdstream = lambda *_, **__: None
            return
        except ConnectionError as error:
            where = settings["address"]
            raise KtgError(
                f"no Ray cluster at {where} lets this process in: start one with `ray start "
                "--head`, or set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as it is set there"
            ) from error
        except Exception as error:
            _shut_down(ray)
            if attempt == starts:
                raise KtgError(f"Ray did not start: {error}") from error
