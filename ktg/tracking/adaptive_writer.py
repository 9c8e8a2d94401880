"""Writes in this process as long as that is cheap, and has a process of its own do it when it is not.

One epoch of three networks costs MLflow some ten milliseconds of CPU, during which no other Python
code of the process runs. For two slots that is nothing, and a process would cost more than it
saves; for a hundred it is what the driver of a search spends most on (benchmarks/driver.py).
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ktg.tracking.process import EndedError, WriterProcess
from ktg.tracking.records import Record
from ktg.tracking.writer import Writer

_logger = logging.getLogger(__name__)
_WINDOW_S = 10.0
_SHARE = 0.1


class MovingWriter:
    """Has the interface of `Writer`, and uses one until writing takes a tenth of a core for ten seconds.

    A process that ends (killed for memory, say) is not started again: a `Writer` here goes on. Not
    safe to share between threads, but for `close`. `process` is the one that writes, or is about
    to, or None; `clocks` gives wall and CPU seconds, for tests.
    """

    def __init__(
        self,
        experiment: str,
        uri: str,
        clocks: Callable[[], tuple[float, float]] = lambda: (time.monotonic(), time.thread_time()),
    ) -> None:
        self.experiment = experiment
        self.uri = uri
        self._clocks = clocks
        self._here = Writer(experiment, uri)
        self._since: float | None = None
        self._spent_s = 0.0
        self.process: WriterProcess | None = None
        self._may_move = True
        self._closed = False

    def write(self, records: Sequence[Record]) -> list[tuple[Record, Exception]]:
        """Write records in order; return those that the store refuses for what they are, each with its reason.

        Raises whatever the store raises when it is away, locked or full; then write the same
        records again.
        """
        if self.process is not None:
            try:
                if self.process.ready():
                    return self.process.write(records)
            except EndedError:
                if self._closed:
                    raise
                self._come_back(self.process)
        return self._write_here(records)

    def close(self) -> None:
        """End the process, if there is one, in the middle of a batch too."""
        self._closed = True
        if self.process is not None:
            self.process.close()

    def _come_back(self, ended: WriterProcess) -> None:
        _logger.info("the process that wrote to MLflow has ended; this one goes on")
        ended.close()
        self.process = None
        self._here = Writer(self.experiment, self.uri, look_before_create=True)

    def _write_here(self, records: Sequence[Record]) -> list[tuple[Record, Exception]]:
        _, before = self._clocks()
        refused = self._here.write(records)
        now, after = self._clocks()
        if self._since is None:  # this was the opening of the store, which may have had to be made
            self._since = now
            return refused
        self._spent_s += after - before
        if now - self._since >= _WINDOW_S:
            if self._spent_s > _SHARE * (now - self._since):
                self._move()
            self._since, self._spent_s = now, 0.0
        return refused

    def _move(self) -> None:
        if self._may_move and self.process is None:
            self._may_move = False
            with suppress(OSError):  # a machine without room for one more process
                self.process = WriterProcess(self.experiment, self.uri)
