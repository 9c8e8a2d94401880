"""Queues the records of runs and writes them into an MLflow store from a thread of its own."""

import atexit
import contextlib
import itertools
import logging
import math
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType

from ktg.graph.vocabulary import Scalar
from ktg.tracking.access import check_access
from ktg.tracking.protocol import NOTHING, RunState, UsedData
from ktg.tracking.records import Artifact, End, Log, Record, Start, save
from ktg.tracking.spool import PREFIX, REFUSED_PREFIX, Spool, new_file, undelivered_folder
from ktg.tracking.store import (
    DEFAULT_URI,
    check_experiment_name,
    check_schema,
    check_uri,
    explain,
    load_mlflow,
    redact,
)
from ktg.tracking.writer import Writer

_logger = logging.getLogger(__name__)
_RECORDS_PER_BATCH = 1000
_RECORDS_ON_DISK = 10_000
_MORE_TIME_S = 60.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 60.0
# A call of MLflow costs milliseconds, however little it writes, so the epochs of one run that
# arrive within this time are written together.
_GATHER_S = 2.0
_SENT_LATER = (
    "could not be delivered to MLflow; they are in {}, and the next `ktg search`, `status`, "
    "`report` or `export` on this store sends them"
)
_SET_ASIDE = "that MLflow refuses are set aside in {}"


class MlflowTracker:
    """A `Tracker` on an MLflow store. Use it as a context manager, or call `close`.

    While the store is away, slow, locked or full, records wait in memory and are tried again at
    growing intervals; `warn` is called once. Records that `close` cannot deliver, or that a killed
    process had not delivered, stay in a file in `folder` (default: `undelivered_folder`), which
    `find_experiment` sends when the store is next read. Those that the store refuses for good are
    set aside in a file beside it.
    Raises UserError at once for a URI that cannot be one, a name that no experiment can have, a
    database of another version of MLflow, and a server that refuses this user; whether the store is
    there shows only in the thread.
    """

    def __init__(
        self,
        experiment: str,
        uri: str = DEFAULT_URI,
        *,
        warn: Callable[[str], None] = _logger.warning,
        folder: Path | None = None,
    ) -> None:
        check_experiment_name(experiment, uri)
        self._writer = Writer(experiment, check_uri(uri))
        self._store = redact(self._writer.uri)
        self._warn = warn
        self._folder = folder or undelivered_folder()
        self._spool = Spool(self._folder, experiment, self._store)
        self._running: dict[str, None] = {}
        self._refused: list[Record] = []
        self._warned: set[str] = set()
        self._failing = False
        # Everything below is guarded by this condition, which is notified at every change.
        self._changed = threading.Condition()
        self._queue: deque[Record] = deque()
        self._accepted = self._settled = self._flushed = 0
        self._hurry = False
        self._deadline: float | None = None
        self._written = -math.inf
        # Imported here and not in the thread, because Ray Tune imports mlflow too, and two threads
        # that import it at the same time see it half imported.
        client = load_mlflow()
        if self._writer.uri.startswith(("http://", "https://")):
            check_access(client(self._writer.uri), experiment, self._writer.uri, self._store)
        check_schema(self._writer.uri)
        self._thread = threading.Thread(target=self._work, name="ktg-tracking", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        params: Mapping[str, Scalar] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
        data: UsedData | None = None,
        run: str | None = None,
    ) -> str:
        """Begin a run, or continue `run` of an earlier process, and return its id.

        The id is ours, not MLflow's; the store keeps it as the tag `ktg.run`.
        """
        resumed = run is not None
        run = run or uuid.uuid4().hex
        start = Start(
            run=run,
            name=name,
            parent=parent,
            params=dict(params),
            tags=dict(tags),
            data=data,
            resumed=resumed,
        )
        self._put(start)
        return run

    def log(self, run: str, metrics: Mapping[str, float], step: int) -> None:
        """Record metric values at a step."""
        self._put(
            Log(run=run, metrics={name: float(value) for name, value in metrics.items()}, step=step)
        )

    def artifact(self, run: str, name: str, content: str | bytes | Path) -> None:
        """Store a file under `name`. Keep a `Path` until `close`: it is read when it is sent."""
        self._put(
            Artifact(
                run=run,
                name=name,
                content=content.encode() if isinstance(content, str) else content,
            )
        )

    def end(self, run: str, state: RunState, tags: Mapping[str, str] = NOTHING) -> None:
        """End a run."""
        self._put(End(run=run, state=state, tags=dict(tags)))

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that was recorded so far is in the store; return whether it is."""
        with self._changed:
            target = self._flushed = self._accepted
            self._hurry = True
            self._changed.notify_all()
            return (
                self._changed.wait_for(lambda: self._settled >= target, timeout_s)
                and not self._refused
            )

    def close(self, timeout_s: float = 10.0) -> Path | None:
        """End what still runs as interrupted, deliver what waits, and stop.

        Returns the file of records that the store did not take within `timeout_s`, or None when all
        are delivered. A store that is slow, but has not failed, is given a minute more.
        """
        with self._changed:
            if self._deadline is not None:
                return None
            for run in reversed(self._running):
                self._append(End(run=run, state="interrupted", tags={}))
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify_all()
        atexit.unregister(self.close)
        try:
            self._thread.join(timeout_s)
            if not self._failing:
                self._thread.join(_MORE_TIME_S)
        finally:  # also after a second Ctrl-C: what is left must not be lost
            with self._changed:
                refused = self._keep(self._refused, REFUSED_PREFIX, _SET_ASIDE)
                kept = self._keep(self._queue, PREFIX, _SENT_LATER)
                self._spool.remove()
        return kept or refused

    def __enter__(self) -> "MlflowTracker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _put(self, record: Record) -> None:
        with self._changed:
            if self._deadline is not None:
                raise RuntimeError("this tracker is closed")
            if isinstance(record, Start):
                self._running[record.run] = None
            elif isinstance(record, End):
                self._running.pop(record.run, None)
            self._append(record)
            self._changed.notify_all()

    def _append(self, record: Record) -> None:
        self._queue.append(record)
        self._accepted += 1
        self._spool.add(record)

    def _work(self) -> None:
        """Write batches until closed and empty, or until the deadline of `close`."""
        delay_s = _FIRST_DELAY_S
        while batch := self._next_batch():
            try:
                refused = self._writer.write(batch)
            except Exception as error:  # whatever a store raises, the thread must live on
                self._failing = True
                self._warn_once(
                    "away",
                    f"{self._reason(error)}; training goes on, and records are kept and sent later",
                )
                if not self._pause(delay_s):
                    return
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
            else:
                self._failing = False
                delay_s = _FIRST_DELAY_S
                self._settle(batch, refused)

    def _next_batch(self) -> list[Record]:
        """Wait for records and return a batch of them; return none only after `close`.

        Unless a caller waits in `flush`, this gathers what arrives for a while: see `_GATHER_S`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._deadline is not None)
            self._changed.wait_for(
                self._is_time, max(0.0, self._written + _GATHER_S - time.monotonic())
            )
            self._written = time.monotonic()
            return list(itertools.islice(self._queue, _RECORDS_PER_BATCH))

    def _is_time(self) -> bool:
        full = len(self._queue) >= _RECORDS_PER_BATCH
        return full or self._settled < self._flushed or self._deadline is not None

    def _settle(self, batch: list[Record], refused: list[tuple[Record, Exception]]) -> None:
        if refused:
            self._warn_once("refused", f"{self._reason(refused[0][1])}; such records are kept")
        with self._changed:
            for _ in batch:
                self._queue.popleft()
            self._refused += [record for record, _ in refused]
            self._settled += len(batch)
            self._tidy()
            self._changed.notify_all()

    def _tidy(self) -> None:
        """Remove delivered records from the disk when that is cheap: none are left, or few are."""
        left = [*self._refused, *self._queue]
        if not left:
            self._spool.clear()
        elif self._spool.records > max(_RECORDS_ON_DISK, 2 * len(left)):
            old, self._spool = (
                self._spool,
                Spool(self._folder, self._writer.experiment, self._store),
            )
            for record in left:
                self._spool.add(record)
            old.remove()

    def _pause(self, delay_s: float) -> bool:
        """Wait before the next attempt, less if a caller waits; return whether to try again."""
        with self._changed:
            if self._deadline is None:
                self._changed.wait_for(lambda: self._hurry or self._deadline is not None, delay_s)
                self._hurry = False
                return True
            self._changed.wait(_FIRST_DELAY_S)
            return time.monotonic() < self._deadline

    def _reason(self, error: Exception) -> str:
        return f"MLflow at {self._store} does not take records ({explain(error, self._writer.uri)})"

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self._warn(message)

    def _keep(self, records: Collection[Record], prefix: str, what: str) -> Path | None:
        """Write records to a file in the folder or, if that fails, in the temporary one.

        what: becomes of them, as the warning says it.
        """
        if not records:
            return None
        for folder in (self._folder, Path(tempfile.gettempdir())):
            path = new_file(folder, prefix)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                save(path, self._writer.experiment, self._store, records)
            except OSError:
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                self._warn(f"{len(records)} records {what.format(path)}")
                return path
        self._warn(
            f"{len(records)} records could not be delivered to MLflow nor written to "
            f"{self._folder}: lost"
        )
        return None
