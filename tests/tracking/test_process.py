import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktg.errors import KtgError
from ktg.tracking import UsedData, find_experiment
from ktg.tracking.process import EndedError, WriterProcess
from ktg.tracking.records import Artifact, End, Log, Record, Start

AWAY = "http://me:s3cret@127.0.0.1:9"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WriterProcess]:
    process = WriterProcess("my space", f"sqlite:///{tmp_path}/mlflow.db")
    yield process
    process.close()


def wait_until_ready(process: WriterProcess) -> None:
    deadline = time.monotonic() + 120
    while not process.ready():
        assert time.monotonic() < deadline, "the process does not start"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_writes_what_a_writer_writes_and_says_what_was_refused(process, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"\x00\xff")
    data = UsedData(name="birds", fingerprint="0f", source="/data/birds", counts={"classes": 2})
    bad: list[Record] = [
        Log(run="nobody", metrics={"a": 1.0}, step=0),
        Artifact(run="p", name="../escape", content=b"x"),
        Artifact(run="p", name="gone", content=tmp_path / "gone.bin"),
    ]
    records = [
        Start(
            run="p",
            name="search",
            parent=None,
            params={"lr": 0.1, "on": True},
            tags={"k": "ü\n"},
            data=data,
        ),
        bad[0],
        Start(run="a", name="trial", parent="p", params={}, tags={}),
        Log(run="a", metrics={"acc": 0.5, "loss": math.nan}, step=3),
        bad[1],
        Artifact(run="a", name="notes/a.txt", content="ü".encode()),
        Artifact(run="a", name="model.bin", content=tmp_path / "model.bin"),
        bad[2],
        End(run="a", state="stopped", tags={"rung": "3"}),
    ]
    refused = process.write(records)  # waits until it is ready
    assert [record for record, _ in refused] == bad
    assert [str(reason)[:20] for _, reason in refused] == [
        "the experiment 'my s",
        "an artifact's name i",
        "[Errno 2] No such fi",
    ]
    assert process.write([End(run="p", state="finished", tags={})]) == []
    experiment = find_experiment("my space", f"sqlite:///{tmp_path}/mlflow.db")
    (search,) = experiment.searches()
    (trial,) = experiment.trials(search)
    assert (search.state, search.params, search.tags["k"]) == (
        "finished",
        {"lr": "0.1", "on": "True"},
        "ü\n",
    )
    assert (trial.state, trial.tags["rung"], trial.metrics["acc"]) == ("stopped", "3", 0.5)
    assert math.isnan(trial.metrics["loss"])
    assert experiment.read_artifact(trial, "notes/a.txt") == "ü"
    assert set(experiment.artifacts(trial)) >= {"model.bin"}


def test_a_store_that_is_away_is_an_error_without_its_password_and_not_the_end():
    process = WriterProcess("space", AWAY)
    try:
        wait_until_ready(process)
        for _ in range(2):
            with pytest.raises(KtgError) as error:
                process.write([Start(run="p", name="search", parent=None, params={}, tags={})])
            assert "s3cret" not in str(error.value)
        assert "s3cret" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.close()


@pytest.mark.parametrize("started", [True, False])
def test_a_killed_process_is_noticed(process, started):
    if started:
        wait_until_ready(process)
    os.kill(process.pid, signal.SIGKILL)
    end = [End(run="p", state="finished", tags={})]
    with pytest.raises(EndedError):
        process.write(end)
    with pytest.raises(EndedError):
        process.write(end)
    process.close()
    assert not is_alive(process.pid)


PARENT = """
import os, signal, sys
from ktg.tracking.process import WriterProcess
process = WriterProcess("space", sys.argv[1])
while not process.ready():
    pass
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_its_parent_even_if_that_is_killed(tmp_path):
    command = [sys.executable, "-c", PARENT, f"sqlite:///{tmp_path}/mlflow.db"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while is_alive(int(done.stdout)):
        assert time.monotonic() < deadline, "it outlives its parent"
        time.sleep(0.05)
