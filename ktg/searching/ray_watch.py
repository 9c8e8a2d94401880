"""Notices that Ray itself has died, and ends a search in order: Ray would wait for ever, or exit.

Without its raylet Ray Tune waits for workers that never come. Without its GCS, the process that
knows the cluster, a call of Ray may not return at all, and after a minute Ray ends this process
without a word to the tracking store.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ktg.errors import KtgError
from ktg.searching.last_words import fall_silent

POLL_S = 1.0
SILENT_S = 30.0  # of a cluster's GCS; Ray itself gives up after 60
GRACE_S = 10.0
ANSWER_S = 5.0


@contextmanager
def watch_ray(ray: Any, again: str, save: Callable[[], None]) -> Iterator[None]:
    """Interrupt the block as Ctrl-C would when Ray dies, and raise KtgError at its end.

    again: what to type to go on. save: closes what must not be lost.

    Where the main thread is inside a call of Ray that never returns, this thread saves, says the
    sentence and ends the process with code 1, as Ray would soon do without any of it.
    """
    watch = _Watch(ray, again, save)
    watch.start()
    try:
        yield
    except BaseException:
        if not watch.look():
            raise
    finally:
        watch.left.set()
    if watch.died:
        raise KtgError(describe(watch.died, again))


class _Watch(threading.Thread):
    """Looks after the parts of Ray until `left` is set; the main thread sets it on its way out."""

    def __init__(self, ray: Any, again: str, save: Callable[[], None]) -> None:
        super().__init__(name="ktg-ray", daemon=True)
        self.ray, self.again, self.save = ray, again, save
        self.watched, self.left = list_watched(ray), threading.Event()
        self.died: list[str] = []

    def look(self) -> bool:
        """Return whether something has died, and keep its name."""
        self.died = self.died or [name for name, is_dead in self.watched.items() if is_dead()]
        return bool(self.died)

    def run(self) -> None:
        """Wait for a death; then get the main thread out, or end the process in its place."""
        while not self.left.wait(POLL_S) and not self.look():
            pass
        # Tune takes the first as a wish, and lets the second through as KeyboardInterrupt.
        for _ in range(2):
            if self.left.is_set():
                return
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self.left.wait(GRACE_S / 2)
        if not self.left.is_set():
            end_process(self.ray, describe(self.died, self.again), self.save)


def list_watched(ray: Any) -> dict[str, Callable[[], bool]]:
    """Return, by name, functions that tell whether a part of Ray is dead.

    Of a Ray that this process has started these are its processes; of a cluster that it has joined
    it is the address of its GCS, if that answers now.
    """
    node = ray._private.worker._global_node
    own = {
        name: infos[0].process
        for name, infos in getattr(node, "all_processes", {}).items()
        if name in ("raylet", "gcs_server")
    }
    if own:
        return {
            f"Ray's {name} on this machine (process {process.pid})": _has_ended(process)
            for name, process in own.items()
        }
    with suppress(Exception):  # a client of a cluster (ray://) may not know it
        address = str(ray.get_runtime_context().gcs_address)
        if _answers(address):
            return {f"the head of the Ray cluster at {address}": _is_silent(address)}
    return {}


def describe(died: list[str], again: str) -> str:
    """Return in one sentence what died, and how to go on."""
    was = "has died: it was killed, or its machine is out of memory"
    return f"{' and '.join(died)} {was}; what was found so far is kept, go on with: {again}"


def end_process(ray: Any, sentence: str, save: Callable[[], None]) -> None:
    """Save, end the processes of a Ray of our own, say the sentence and end this process."""
    try:
        with suppress(Exception):
            save()
        with suppress(Exception):
            node = ray._private.worker._global_node
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        fall_silent()
        with suppress(OSError, ValueError):
            print(f"\nktg: {sentence}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _has_ended(process: Any) -> Callable[[], bool]:
    return lambda: process.poll() is not None


def _is_silent(address: str) -> Callable[[], bool]:
    """Return a function that is true once nothing has answered it for `SILENT_S` on end."""
    silent_s = 0.0

    def check() -> bool:
        nonlocal silent_s
        silent_s = 0.0 if _answers(address) else silent_s + POLL_S
        return silent_s >= SILENT_S

    return check


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except (OSError, ValueError):
        return False
    return True
