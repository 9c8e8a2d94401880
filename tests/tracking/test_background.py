import itertools
import logging
import math
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ktg.errors import UserError
from ktg.tracking import (
    MlflowTracker,
    background,
    build_ui_command,
    deliver,
    find_experiment,
    recover,
)

AWAY = "http://me:s3cret@127.0.0.1:9"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.slow
def test_many_threads_lose_nothing(uri, monkeypatch):
    def train(number: int) -> None:
        run = tracker.start(f"t{number}", parent=parent, params={"number": number})
        for step in range(20):
            tracker.log(run, {"acc": number + step / 100, "loss": math.nan}, step)
        tracker.artifact(run, "graph.yaml", f"number: {number}")
        tracker.end(run, "finished", {"rung": "3"})

    monkeypatch.setattr(background, "_GATHER_S", 0.0)
    warnings: list[str] = []
    with MlflowTracker("space", uri, warn=warnings.append) as tracker:
        parent = tracker.start("search", tags={"sampler": "tpe"})
        threads = [threading.Thread(target=train, args=[i]) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracker.flush(), warnings
    assert not warnings
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    trials = experiment.trials(search)
    assert sorted(trial.params["number"] for trial in trials) == sorted(str(i) for i in range(12))
    for trial in trials:
        number = int(trial.params["number"])
        assert experiment.history(trial, "acc") == [(s, number + s / 100) for s in range(20)]
        assert experiment.read_artifact(trial, "graph.yaml") == f"number: {number}"
        assert (trial.state, trial.tags["rung"]) == ("finished", "3")


@pytest.mark.slow
def test_no_run_stays_running_after_close(uri):
    with MlflowTracker("space", uri) as tracker:
        parent = tracker.start("search")
        tracker.start("left alone", parent=parent)
        tracker.end(tracker.start("done", parent=parent), "finished")
    assert tracker.close() is None
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    assert {t.name: t.state for t in experiment.trials(search)} == {
        "left alone": "interrupted",
        "done": "finished",
    }
    assert (search.state, search.status) == ("interrupted", "KILLED")
    with pytest.raises(RuntimeError, match="closed"):
        tracker.start("late")


@pytest.mark.slow
def test_a_store_that_is_away_costs_one_warning_and_no_record(uri, tmp_path, capfd):
    warnings: list[str] = []
    tracker = MlflowTracker("space", AWAY, warn=warnings.append, folder=tmp_path)
    began = time.perf_counter()
    parent = tracker.start("search")
    trial = tracker.start("trial", parent=parent)
    for step in range(100):
        tracker.log(trial, {"acc": step / 100}, step)
    tracker.artifact(trial, "graph.yaml", "nodes: {}")
    tracker.end(trial, "stopped")
    assert time.perf_counter() - began < 1, "calls must not wait for the store"
    assert not tracker.flush(1.5)
    path = tracker.close(1.0)
    assert path is not None
    assert len(warnings) == 2
    assert "kept and sent later" in warnings[0]
    assert str(path) in warnings[1]
    assert "s3cret" not in "".join(warnings) + "".join(capfd.readouterr()) + path.read_text()

    assert deliver(path, uri) == deliver(path, uri) == 105
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    (delivered,) = experiment.trials(search)
    assert (search.state, delivered.state, delivered.metrics) == (
        "interrupted",
        "stopped",
        {"acc": 0.99},
    )
    assert len(experiment.history(delivered, "acc")) == 100
    with pytest.raises(UserError, match=r"me:\*\*\*@127.0.0.1:9 does not take records"):
        deliver(path, AWAY)


@contextmanager
def server(uri: str, port: int, folder: Path) -> Iterator[None]:
    """A real MLflow server on a store, killed with all its processes in the end."""
    command, environment = build_ui_command(uri, port)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=environment, cwd=folder, start_new_session=True, stderr=quiet
    )
    try:
        yield
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.mark.slow
def test_a_server_that_comes_late_and_is_killed_in_the_middle_gets_every_metric_once_it_is_back(
    uri, tmp_path
):
    with MlflowTracker("other", uri) as first:  # makes the store
        first.start("search")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    warnings: list[str] = []
    steps = iter(range(10_000))
    with MlflowTracker("space", f"http://127.0.0.1:{port}", warn=warnings.append) as tracker:
        run = tracker.start("search", params={"edges.n1.n0.gate": "linear"})
        tracker.log(run, {"nan": math.nan, "inf": math.inf}, 0)
        assert not tracker.flush(1.0)
        with server(uri, port, tmp_path):
            while not tracker.flush(0.5):
                tracker.log(run, {"acc": 0.5}, next(steps))
            tracker.artifact(run, "graph.yaml", "nodes: {}")
            for step in itertools.islice(
                steps, 500
            ):  # the server is killed while it is being sent some of these
                tracker.log(run, {"acc": 0.5}, step)
        for step in itertools.islice(steps, 500):
            tracker.log(run, {"acc": 0.5}, step)
        assert not tracker.flush(1.0)
        with server(uri, port, tmp_path):
            tracker.end(run, "finished")
            while not tracker.flush(0.5):
                pass
            experiment = find_experiment("space", f"http://127.0.0.1:{port}")
            (search,) = experiment.searches()
            text = experiment.read_artifact(search, "graph.yaml")
            found = [step for step, _ in experiment.history(search, "acc")]
    assert (search.state, search.params, text) == (
        "finished",
        {"edges.n1.n0.gate": "linear"},
        "nodes: {}",
    )
    assert search.metrics == pytest.approx(
        {"nan": math.nan, "inf": math.inf, "acc": 0.5}, nan_ok=True
    )
    assert found == list(range(next(steps)))
    assert len(warnings) == 1


@pytest.mark.slow
def test_a_locked_store_only_delays(uri, tmp_path):
    warnings: list[str] = []
    with MlflowTracker("space", uri, warn=warnings.append) as tracker:
        run = tracker.start("search")
        assert tracker.flush()
        lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        tracker.log(run, {"acc": 0.5}, 0)
        assert not tracker.flush(1.0)
        lock.execute("ROLLBACK")
        lock.close()
        assert tracker.flush(30.0)
    experiment = find_experiment("space", uri)
    assert experiment.history(experiment.searches()[0], "acc") == [(0, 0.5)]


FULL = """
import resource, signal, sys
from ktg.tracking import MlflowTracker
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
told = []
tracker = MlflowTracker("space", sys.argv[1], warn=told.append, folder=Path("kept"))
run = tracker.start("search")
for step in range(100):
    tracker.log(run, {"acc": step}, step)
    if step % 10 == 0:
        tracker.artifact(run, f"{step}.yaml", 5000 * "x")
tracker.end(run, "finished")
while not told:
    tracker.flush(0.5)
tracker.close(1.0)
print(*told, sep="\\n")
"""


def run_full(uri: str, bytes_per_file: int, folder: Path) -> list[str]:
    """Run `FULL` where no file can become larger than that; return its warnings."""
    command = [sys.executable, "-c", FULL, uri, str(bytes_per_file)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_store_whose_disk_is_full_costs_two_warnings_and_no_record(uri, tmp_path):
    with MlflowTracker("space", uri) as first:  # makes the store
        first.start("another")
        assert first.flush()
    warnings = run_full(uri, (tmp_path / "mlflow.db").stat().st_size, tmp_path)
    assert len(warnings) == 2, warnings
    assert re.search(
        r"does not take records \(\(sqlite3\.\w+\) .*disk.*; training goes on", warnings[0]
    )
    assert "; they are in kept/mlflow-undelivered-" in warnings[1]
    assert recover(uri, tmp_path / "kept") > 0
    experiment = find_experiment("space", uri)
    search = experiment.searches()[0]
    assert (search.state, len(experiment.artifacts(search))) == ("finished", 10)
    assert [step for step, _ in experiment.history(search, "acc")] == list(range(100))


@pytest.mark.slow
def test_when_no_disk_takes_the_records_that_is_said(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    warnings = run_full(AWAY, 10_000, tmp_path)
    assert len(warnings) == 2, warnings
    assert re.fullmatch(
        r"\d+ records could not be delivered to MLflow nor written to kept: lost", warnings[1]
    )
    assert not list((tmp_path / "temporary").iterdir())


def test_what_the_store_refuses_is_kept_and_told_once(uri, tmp_path):
    warnings: list[str] = []
    tracker = MlflowTracker("space", uri, warn=warnings.append, folder=tmp_path)
    run = tracker.start("search")
    for _ in range(3):
        tracker.artifact(run, "weights", tmp_path / "gone.bin")
    assert not tracker.flush()
    tracker.end(run, "finished")
    path = tracker.close()
    assert path is not None
    assert len(path.read_text().splitlines()) == 4
    assert len(warnings) == 2
    assert "such records are kept" in warnings[0]


def test_an_impossible_store_is_said_at_once():
    with pytest.raises(UserError, match="tracking URI"):
        MlflowTracker("space", "mlruns")


@pytest.mark.slow
def test_a_forgotten_close_is_made_up_for_and_the_terminal_stays_quiet(uri, tmp_path):
    start = f"t = MlflowTracker('space', {uri!r}); t.start('search'); t.flush()"
    code = f"from ktg.tracking import *; {start}"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert [search.state for search in find_experiment("space", uri).searches()] == ["interrupted"]


def test_the_default_warning_goes_to_the_log(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        tracker = MlflowTracker("space", AWAY, folder=tmp_path)
        tracker.start("search")
        tracker.close(0.1)
    assert "could not be delivered" in caplog.records[-1].message
