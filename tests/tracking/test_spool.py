"""Records that outlive their process: nothing is lost by kill -9, nothing delivered twice, nothing left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ktg.tracking import MlflowTracker, find_experiment, recover
from ktg.tracking.records import Log, load
from ktg.tracking.spool import Spool, new_file, orphaned

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
    spool = Spool(tmp_path, "space — ö")
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
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path):
    spool = Spool(tmp_path / "nowhere", "space")
    spool.add(record(1))
    assert not spool.working
    spool.clear()
    spool.remove()


def test_files_of_the_living_of_others_and_of_no_sense_are_left_alone(tmp_path):
    living, dead = Spool(tmp_path, "space"), Spool(tmp_path, "space")
    for spool in (living, dead, other := Spool(tmp_path, "other")):
        spool.add(record(1))
    dead._file.close()
    other._file.close()
    new_file(tmp_path).write_text("no records")
    with orphaned(tmp_path, "space") as files:
        assert files == [dead.path]
        with orphaned(tmp_path, "space") as again:
            assert again == []
    living.remove()


@pytest.mark.parametrize("store_is_there", [True, False])
def test_a_process_killed_at_once_loses_no_record(tmp_path, monkeypatch, store_is_there):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    away = uri if store_is_there else "http://127.0.0.1:9"
    process = subprocess.Popen([sys.executable, "-c", KILLED, away], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "written\n"
        time.sleep(0.2 if store_is_there else 0)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    recover("space", uri)
    assert recover("space", uri) == 0
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    assert (search.state, search.params) == ("stopped", {"gate": "linear"})
    assert experiment.history(search, "acc") == [(step, float(step)) for step in range(1000)]
    assert experiment.read_artifact(search, "graph.yaml") == "nodes: {}"
    assert not list(tmp_path.glob("*undelivered*"))


def test_a_tracker_that_delivers_leaves_no_file(tmp_path):
    with MlflowTracker("space", f"sqlite:///{tmp_path}/mlflow.db", undelivered_folder=tmp_path) as tracker:
        run = tracker.start("search")
        assert list(tmp_path.glob("*undelivered*"))
        assert tracker.flush()
        assert load(next(tmp_path.glob("*undelivered*")))[1] == []
        tracker.log(run, {"acc": 1.0}, 0)
    assert not list(tmp_path.glob("*undelivered*"))
