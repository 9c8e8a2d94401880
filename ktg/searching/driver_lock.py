"""One driver for one search: no second one while it lives, and an end from outside when it is asked for."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ktg.errors import UserError
from ktg.tracking import Experiment, Tracker

POLL_S = 2.0


@contextmanager
def only_driver(folder: Path, what: str = "search") -> Iterator[None]:
    """Hold the lock of the search whose `folder` this is; raise UserError when another process of the machine does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "driver.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"this {what} is still running, in another terminal; see `ktg status`, or `ktg stop` it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def driver_tags() -> dict[str, str]:
    """Return which process drives a search, so that another can tell whether it lives."""
    return {"driver.host": socket.gethostname(), "driver.pid": str(os.getpid())}


def end_dead(experiment: Experiment, tracker: Tracker) -> None:
    """End, as interrupted, all searches that drivers which died on this machine have left running."""
    for search in experiment.searches():
        if search.state == "running" and is_dead(search.tags):
            tracker.end(tracker.start(search.name, run=search.run), "interrupted")


def is_dead(tags: Mapping[str, str]) -> bool:
    """Return whether the driver with these tags was on this machine and is no more."""
    if tags.get("driver.host") != socket.gethostname():
        return False
    try:
        os.kill(int(tags["driver.pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM, by which Slurm and Kubernetes announce the end, do what Ctrl-C does; where signals can be set.

    Leaves Ctrl-C as it was, too: Ray Tune would go on waiting for one after its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    }
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if (
        before[signal.SIGINT] is signal.SIG_IGN
    ):  # so a script's background jobs begin: nothing could end the search
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stoppable(asked: Callable[[], bool] | None) -> Iterator[None]:
    """Ask now and then, on a thread, whether to stop; if so, interrupt the main thread as Ctrl-C would.

    For use inside `terminable`, without which a process that ignores Ctrl-C would not hear of it.
    """
    if asked is None:
        yield
        return
    over, main = threading.Event(), threading.main_thread()

    def poll() -> None:
        while not over.wait(POLL_S):
            with suppress(
                Exception
            ):  # a store that is away is no reason to stop, nor to give up asking
                if asked():
                    signal.pthread_kill(
                        main.ident or 0, signal.SIGINT
                    )  # also out of a system call that waits
                    return

    thread = threading.Thread(target=poll, name="ktg-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
