"""A `Writer` in a process of its own: MLflow's work then takes no time from the process that trains or searches.

The two speak in lines of JSON over pipes: the first line names the experiment and the store, each
further one is a batch of records, and is answered by what the writer returned or raised. The
store's URI, which may hold a password, is in no list of arguments. When the parent ends, in
whatever way, its end of the pipe closes, and the child stops at once, in the middle of a batch too:
what was not answered is on the parent's disk, and sent by whoever reads the store next.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

from ktg.errors import KtgError
from ktg.tracking.records import Record, batch_line, batch_of
from ktg.tracking.store import load_mlflow, why
from ktg.tracking.writer import Writer

_READY = {"ready": True}


class EndedError(Exception):
    """The process has ended. What it was to write last may be in the store or not."""

    def __init__(self) -> None:
        super().__init__("the process that writes to it has ended")


class WriterProcess:
    """Has the interface of `Writer`. Starting it takes seconds of another core: see `ready`."""

    def __init__(self, experiment: str, uri: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from ktg.tracking.process import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent, which then has records to deliver
        )
        self._to, self._from = (
            cast(IO[bytes], self._process.stdin),
            cast(IO[bytes], self._process.stdout),
        )
        self._ready = False
        with suppress(EndedError):  # shows at the first `ready`
            self._send(json.dumps({"experiment": experiment, "uri": uri}) + "\n")

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._process.pid

    def ready(self) -> bool:
        """Return whether records would be written at once. Raises EndedError when they never will."""
        if not self._ready and select.select([self._from], [], [], 0)[0]:
            self._wait()
        return self._ready

    def write(self, records: Sequence[Record]) -> list[tuple[Record, Exception]]:
        """Write records in order; return those that the store refuses, each with its reason.

        Raises KtgError when the store is away, locked or full, EndedError when the process has
        ended.
        """
        self._send(batch_line(records))
        if not self._ready:
            self._wait()
        answer = self._answer()
        if "failed" in answer:
            raise KtgError(answer["failed"])
        return [(records[i], KtgError(reason)) for i, reason in answer["refused"]]

    def close(self) -> None:
        """End the process, in the middle of a batch too."""
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()

    def _wait(self) -> None:
        self._ready = self._answer() == _READY

    def _send(self, line: str) -> None:
        try:
            self._to.write(line.encode("ascii"))
            self._to.flush()
        except (OSError, ValueError) as error:
            raise EndedError from error

    def _answer(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._from.readline()))
        except (OSError, ValueError) as error:
            raise EndedError from error


def main() -> None:
    """Write what comes on standard input until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1) as answers:
        os.dup2(2, 1)  # whatever a library prints is no answer
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_read, args=[lines], daemon=True).start()
        place = json.loads(lines.get())
        load_mlflow()
        print(json.dumps(_READY), file=answers)
        # Whatever this process was given first may have been written in part by another.
        writer = Writer(place["experiment"], place["uri"], look_before_create=True)
        while True:
            print(json.dumps(_write(writer, batch_of(lines.get().decode("ascii")))), file=answers)


def _read(lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass on lines; end this process when there are no more, for the parent has gone."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def _write(writer: Writer, records: list[Record]) -> dict[str, Any]:
    try:
        refused = writer.write(records)
    except Exception as error:  # whatever a store raises is the parent's to deal with
        return {"failed": why(error, writer.uri)}
    places = {id(record): i for i, record in enumerate(records)}
    return {"refused": [(places[id(record)], why(error, writer.uri)) for record, error in refused]}
