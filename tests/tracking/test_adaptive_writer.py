import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ktg.tracking import find_experiment
from ktg.tracking.adaptive_writer import MovingWriter
from ktg.tracking.process import EndedError, WriterProcess
from ktg.tracking.records import End, Log, Record, Start

Clocks = Callable[[], tuple[float, float]]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


def clocks(share: float) -> Clocks:
    """Clocks of a thread that reads them twice a batch, every batch and the wait for the next taking a second each."""
    wall = itertools.count()
    return lambda: ((now := next(wall)), share * now)


@pytest.fixture
def busy(uri: str) -> Iterator[MovingWriter]:
    writer = MovingWriter("space", uri, clocks(0.3))
    yield writer
    writer.close()


def start(run: str, parent: str | None = None) -> Start:
    return Start(run=run, name=run, parent=parent, params={}, tags={})


def log(step: int) -> Record:
    return Log(run="a", metrics={"acc": step / 1000}, step=step)


def write_until(writer: MovingWriter, steps: Iterator[int], enough: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not enough():
        assert time.monotonic() < deadline
        assert writer.write([log(next(steps))]) == []


def write_apart(writer: MovingWriter, steps: Iterator[int]) -> WriterProcess:
    """Write until a process does it."""
    assert writer.write([start("p"), start("a", "p")]) == []
    write_until(writer, steps, lambda: writer.process is not None)
    process = writer.process
    assert process is not None
    write_until(writer, steps, process.ready)
    assert writer.write([log(next(steps))]) == []
    return process


def check(uri: str, steps: int) -> None:
    """Assert that every step is in the store once, and every run."""
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    (trial,) = experiment.trials(search)
    assert experiment.history(trial, "acc") == [(step, step / 1000) for step in range(steps)]
    assert trial.state == "finished"


def test_writing_that_costs_little_stays_here(uri):
    writer = MovingWriter("space", uri, clocks(0.15))  # every second second is spent in it: 7.5 %
    writer.write([start("p"), start("a", "p")])
    for step in range(30):
        writer.write([log(step)])
    assert writer.process is None


def test_the_making_of_a_store_does_not_count(uri):
    cpu = iter([0.0, 50.0, *itertools.repeat(50.0, 60)])
    wall = itertools.count()
    writer = MovingWriter("space", uri, lambda: (next(wall), next(cpu)))
    writer.write([start("p"), start("a", "p")])
    for step in range(30):
        writer.write([log(step)])
    assert writer.process is None


def test_writing_that_costs_much_moves_and_nothing_is_lost_or_doubled(busy, uri):
    steps = itertools.count()
    write_apart(busy, steps)
    for _ in range(5):
        assert busy.write([log(next(steps)), log(next(steps))]) == []
    assert busy.write([End(run="a", state="finished", tags={})]) == []
    check(uri, next(steps))


def test_a_process_that_is_killed_is_made_up_for_here_and_not_started_again(busy, uri):
    steps = itertools.count()
    process = write_apart(busy, steps)
    os.kill(process.pid, signal.SIGKILL)
    for _ in range(30):
        assert busy.write([log(next(steps))]) == []
    assert busy.process is None
    assert busy.write([End(run="a", state="finished", tags={})]) == []
    check(uri, next(steps))


def test_one_that_dies_before_it_is_ready_is_made_up_for_too(busy, uri):
    steps = itertools.count()
    busy.write([start("p"), start("a", "p")])
    write_until(busy, steps, lambda: busy.process is not None)
    os.kill(busy.process.pid, signal.SIGKILL)
    write_until(busy, steps, lambda: busy.process is None)
    assert busy.write([End(run="a", state="finished", tags={})]) == []
    check(uri, next(steps))


def test_once_closed_it_writes_no_more_of_what_the_process_was_to_write(busy):
    write_apart(busy, itertools.count())
    busy.close()
    with pytest.raises(EndedError):
        busy.write([log(1000)])
