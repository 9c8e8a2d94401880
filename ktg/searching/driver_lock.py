"""Lets one process alone drive a search, tells whether it lives, and ends it on request."""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ktg.errors import UserError
from ktg.local import cache_folder
from ktg.tracking import Experiment, RunRecord, Tracker

POLL_S = 2.0
LOCK, HOLDER = "driver.lock", "driver.json"


def checkpoint_folder(storage: Path | None, run: str) -> Path:
    """Return where the trials of a run save their states; it is deleted once they are all over."""
    return (storage or cache_folder() / "ray").resolve() / f"checkpoints-{run}"


@contextmanager
def hold_driver_lock(folder: Path, what: str = "search") -> Iterator[None]:
    """Hold the lock of the search with this `folder` until the block ends.

    A folder with nothing else in it is gone afterwards. Raises UserError when another process of
    the machine holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The system releases the lock when its process dies, so nothing stale is ever left behind.
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"this {what} is still running, in {_read_holder(holder)}; see `ktg status`, or "
            "`ktg stop` it"
        ) from None
    try:
        holder.write_text(json.dumps(driver_tags()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
            if [file.name for file in folder.iterdir()] == [LOCK]:
                # While it is held: who waits for a file that is gone tries again.
                (folder / LOCK).unlink()
                folder.rmdir()
        lock.release()


def clear_folder(folder: Path) -> None:
    """Delete all in the folder of a search but its lock, by which it goes when it is released."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name in (LOCK, HOLDER):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _read_holder(file: Path) -> str:
    """Return in words which process holds a lock."""
    try:
        tags = json.loads(file.read_text(encoding="utf-8"))
        return f"process {tags['driver.pid']} on {tags['driver.host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has just begun, or just ended
        return "another process"


def driver_tags() -> dict[str, str]:
    """Return the tags of a run that name the process which drives it: this one."""
    own = {"driver.host": socket.gethostname(), "driver.pid": str(os.getpid())}
    return own if (began := _read_start(os.getpid())) is None else {**own, "driver.began": began}


def _read_start(pid: int) -> str | None:
    """Return when a process began, as a text that no later one with its number has.

    None where the system does not tell. The time itself would not do: it is reckoned from the
    machine's start by a clock that is set now and then.
    """
    with suppress(OSError, IndexError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of the program, in brackets, may hold anything; the 20th field after it counts.
        after = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot} {after[19].decode()}"
    return None


def is_dead(tags: Mapping[str, str]) -> bool:
    """Return whether the driver that these tags name was on this machine and has died.

    Of a driver on another machine nothing is known: it counts as living. A process that began at
    another time than the driver has only got its number, as in a container that is started again.
    """
    if tags.get("driver.host") != socket.gethostname():
        return False
    pid = int(tags["driver.pid"])
    try:
        os.kill(pid, 0)  # signal 0 is never delivered; it asks for the process
    except ProcessLookupError:
        return True
    except PermissionError:  # the process lives, and belongs to somebody else
        pass
    now = _read_start(pid)
    return now is not None and tags.get("driver.began", now) != now


def find_state(run: RunRecord, driven: RunRecord | None = None) -> str:
    """Return the state of a run: that in the store, but "interrupted" if its driver died meanwhile.

    driven: the run whose tags name the driver, a search for its trials; default: the run itself.
    """
    dead = run.state == "running" and is_dead((driven or run).tags)
    return "interrupted" if dead else run.state


def end_dead_searches(
    experiment: Experiment, tracker: Tracker, storage: Path | None = None
) -> None:
    """End, as interrupted, what drivers that died on this machine have left running.

    storage: where searches keep their locks. One that is just being resumed is left alone.
    """
    for search in experiment.searches():
        if search.state == "running" and is_dead(search.tags):
            with suppress(UserError), hold_driver_lock(checkpoint_folder(storage, search.run)):
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
