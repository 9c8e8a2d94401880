"""Lets one process alone drive a search, tells whether it lives, and ends it on request."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ktg.errors import UserError
from ktg.tracking import Experiment, RunRecord, Tracker

POLL_S = 2.0


@contextmanager
def hold_driver_lock(folder: Path, what: str = "search") -> Iterator[None]:
    """Hold the lock of the search with this `folder` until the block ends.

    Raises UserError when another process of the machine holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when its process dies, so nothing stale is ever left behind.
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
    """Return the tags of a run that name the process which drives it: this one."""
    return {"driver.host": socket.gethostname(), "driver.pid": str(os.getpid())}


def is_dead(tags: Mapping[str, str]) -> bool:
    """Return whether the driver that these tags name was on this machine and has died.

    Of a driver on another machine nothing is known: it counts as living.
    """
    if tags.get("driver.host") != socket.gethostname():
        return False
    try:
        os.kill(int(tags["driver.pid"]), 0)  # signal 0 is never delivered; it asks for the process
    except ProcessLookupError:
        return True
    except PermissionError:  # the process lives, and belongs to somebody else
        return False
    return False


def state_of(run: RunRecord, driven: RunRecord | None = None) -> str:
    """Return the state of a run: that in the store, but "interrupted" if its driver died meanwhile.

    driven: the run whose tags name the driver, a search for its trials; default: the run itself.
    """
    dead = run.state == "running" and is_dead((driven or run).tags)
    return "interrupted" if dead else run.state


def end_dead_searches(experiment: Experiment, tracker: Tracker) -> None:
    """End, as interrupted, what drivers that died on this machine have left running."""
    for search in experiment.searches():
        if search.state == "running" and is_dead(search.tags):
            tracker.end(tracker.start(search.name, run=search.run), "interrupted")


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which Slurm and Kubernetes announce the end, do what Ctrl-C does.

    Does nothing off the main thread, where signals cannot be set. Afterwards all handlers are as
    they were, that of Ctrl-C too, which Ray Tune replaces.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in signals}
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    # A script's background jobs begin with Ctrl-C ignored: nothing could end the search.
    if before[signal.SIGINT] is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupt_when_asked(asked: Callable[[], bool] | None) -> Iterator[None]:
    """Poll `asked` on a thread; when it returns True, interrupt the main thread as Ctrl-C would.

    For use inside `interrupt_on_sigterm`: a process that ignores Ctrl-C would not notice.
    """
    if asked is None:
        yield
        return
    over, main = threading.Event(), threading.main_thread()

    def poll() -> None:
        while not over.wait(POLL_S):
            # A store that is away is no reason to stop, nor to give up asking.
            with suppress(Exception):
                if asked():
                    # To the thread, not the process: that also ends a system call that waits.
                    signal.pthread_kill(main.ident or 0, signal.SIGINT)
                    return

    thread = threading.Thread(target=poll, name="ktg-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
