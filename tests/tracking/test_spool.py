"""Records outlive their process: kill -9 loses none, and none is delivered twice."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from ktg.tracking import MlflowTracker, background, find_experiment, recover
from ktg.tracking.records import Artifact, Log, Start, format_head, load, save
from ktg.tracking.spool import Spool, hold_delivery, lock_orphaned, new_file

STORE = "sqlite:////mlflow.db"
KILLED = """
import sys, time
from ktg.tracking import MlflowTracker
tracker = MlflowTracker("space", sys.argv[1])
run = tracker.start("search", params={"gate": "linear"})
for step in range(1000):
    tracker.log(run, {"acc": step}, step)
tracker.artifact(run, "graph.yaml", "nodes: {}")
tracker.end(run, "stopped")
print("written", flush=True)
time.sleep(60)
"""


def record(step: int) -> Log:
    return Log(run="a", metrics={"acc": float(step)}, step=step)


def test_what_was_added_is_there_for_another_process_and_what_was_cleared_is_not(tmp_path):
    spool = Spool(tmp_path / "not there yet", "space — ö", STORE)
    assert not list(tmp_path.iterdir())
    first, second = record(1), record(2)
    spool.add(first)
    spool.add(second)
    assert load(spool.path) == ("space — ö", [first, second])
    spool.clear()
    assert load(spool.path) == ("space — ö", [])
    spool.add(second)
    assert load(spool.path) == ("space — ö", [second])
    with spool.path.open("a") as file:
        file.write('{"record": "Log", "run": "a", "metr')  # its process was killed while it wrote
    assert load(spool.path) == ("space — ö", [second])
    spool.remove()
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path):
    (tmp_path / "a file").touch()
    spool = Spool(tmp_path / "a file", "space", STORE)
    spool.add(record(1))
    assert not spool.working
    spool.clear()
    spool.remove()


def test_files_of_the_living_of_other_stores_and_of_no_sense_are_left_alone(tmp_path):
    living, dead = Spool(tmp_path, "space", STORE), Spool(tmp_path, "another space", STORE)
    for spool in (living, dead, other := Spool(tmp_path, "space", "sqlite:////other.db")):
        spool.add(record(1))
    dead._file.close()
    other._file.close()
    new_file(tmp_path).write_text("no records")
    with lock_orphaned(tmp_path, STORE) as files:
        assert files == [dead.path]
        with lock_orphaned(tmp_path, STORE) as again:
            assert again == []
    living.remove()


def test_a_file_that_somebody_else_has_put_there_is_not_sent(tmp_path, monkeypatch):
    spool = Spool(tmp_path, "space", STORE)
    spool.add(record(1))
    spool._file.close()
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with lock_orphaned(tmp_path, STORE) as files:
        assert files == []


@pytest.mark.slow
@pytest.mark.parametrize("locked", [False, True])
def test_a_process_killed_at_once_loses_no_record(tmp_path, monkeypatch, locked):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:  # makes the store
        tracker.start("another")
    lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    if locked:
        lock.execute("BEGIN EXCLUSIVE")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, uri],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout.readline() == "written\n"
        time.sleep(0 if locked else 0.2)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        lock.close()
    found = find_experiment("space", uri)  # sends it
    assert recover(uri) == 0
    search, _ = found.searches()
    assert (search.state, search.params) == ("stopped", {"gate": "linear"})
    assert found.history(search, "acc") == [(step, float(step)) for step in range(1000)]
    assert found.read_artifact(search, "graph.yaml") == "nodes: {}"
    assert not list(tmp_path.rglob("*undelivered-*"))


@pytest.mark.slow
def test_a_tracker_that_delivers_leaves_no_file(tmp_path):
    with MlflowTracker("space", f"sqlite:///{tmp_path}/mlflow.db", folder=tmp_path) as tracker:
        run = tracker.start("search")
        assert list(tmp_path.glob("*undelivered*"))
        assert tracker.flush()
        assert load(next(tmp_path.glob("*undelivered*")))[1] == []
        tracker.log(run, {"acc": 1.0}, 0)
    assert not list(tmp_path.glob("*undelivered*"))


@pytest.mark.slow
def test_the_file_does_not_grow_with_what_is_in_the_store_already(tmp_path, monkeypatch):
    monkeypatch.setattr(background, "_RECORDS_ON_DISK", 10)
    monkeypatch.setattr(background, "_RECORDS_PER_BATCH", 10)
    with MlflowTracker("space", f"sqlite:///{tmp_path}/mlflow.db", folder=tmp_path) as tracker:
        run = tracker.start("search")
        tracker.artifact(
            run, "weights", tmp_path / "gone.bin"
        )  # is refused, and so is never taken from the disk
        for step in range(100):
            tracker.log(run, {"acc": 1.0}, step)
        tracker.flush()
        (file,) = tmp_path.glob("*undelivered-*")
        kept = load(file)[1]
        assert len(kept) < 30
        assert isinstance(kept[0], Artifact)
        tracker._refused.clear()
    assert not list(tmp_path.glob("*undelivered-*"))


@pytest.mark.slow
def test_a_file_that_is_no_good_keeps_no_other_back(tmp_path, caplog):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    broken, good = new_file(tmp_path), new_file(tmp_path)
    save(good, "space", uri, [Start(run="a", name="search", parent=None, params={}, tags={})])
    broken.write_text(format_head("space", uri) + "{}\n")
    os.utime(broken, (0, 0))
    assert recover(uri, tmp_path) == 1
    assert [path.name for path in tmp_path.glob("*undelivered-*")] == [broken.name]
    assert "not a file of undelivered tracking records" in caplog.text


@pytest.mark.slow
def test_one_process_at_a_time_delivers_to_a_store(tmp_path):
    uri, other = (f"sqlite:///{tmp_path}/{name}.db" for name in ("mlflow", "other"))
    for store in (uri, other):
        start = Start(run="a", name="search", parent=None, params={}, tags={})
        save(new_file(tmp_path), "space", store, [start])
    said: list[str] = []
    with hold_delivery(tmp_path, uri, None) as alone:
        assert alone
        assert recover(uri, tmp_path) == 0  # that is left to who is at it
        assert recover(other, tmp_path) == 1
        waiting = threading.Thread(
            target=lambda: recover(uri, tmp_path, lambda: said.append("waiting"))
        )
        waiting.start()
        while not said:
            time.sleep(0.01)
        assert waiting.is_alive()
    waiting.join()
    assert not list(tmp_path.glob("*undelivered-*"))
    assert recover(uri, tmp_path / "nothing is there") == 0
    assert not (tmp_path / "nothing is there").exists()
