"""Ray dies under a search: it ends in order, with one sentence, and goes on later."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import graph_file

from ktg.errors import KtgError
from ktg.searching import ray_watch
from ktg.searching.ray_watch import describe, list_watched, watch_ray
from ktg.tracking import find_experiment

KTG = str(Path(sys.executable).with_name("ktg"))
SEARCH = {"trials": 2, "sampler": "grid", "baselines": False, "race_share": 0}
EPOCHS = 240


@pytest.fixture(autouse=True)
def _interruptible():
    """SIGINT interrupts, also where a shell has started the tests in the background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Process:
    """A process that can be made dead."""

    pid = 7

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


def fake_ray(**processes: Process) -> SimpleNamespace:
    infos = {name: [SimpleNamespace(process=one)] for name, one in processes.items()}
    worker = SimpleNamespace(_global_node=SimpleNamespace(all_processes=infos))
    return SimpleNamespace(_private=SimpleNamespace(worker=worker))


def test_only_what_a_search_cannot_do_without_is_watched():
    ray = fake_ray(raylet=Process(), gcs_server=Process(), log_monitor=Process())
    assert [name.split()[1] for name in list_watched(ray)] == ["raylet", "gcs_server"]
    assert not list_watched(fake_ray())


def test_a_death_interrupts_the_block_and_an_error_that_it_causes_is_told_as_the_death():
    raylet = Process()
    with (
        pytest.raises(KtgError, match=r"raylet on this machine \(process 7\) has died: .*: go on"),
        watch_ray(fake_ray(raylet=raylet), "go on", lambda: None),
    ):
        raylet.code = -9
        time.sleep(60)  # interrupted
    with (
        pytest.raises(KtgError, match="gcs_server"),
        watch_ray(fake_ray(gcs_server=raylet), "go on", lambda: None),
    ):
        raise OSError("lost")
    with pytest.raises(OSError, match="own"), watch_ray(fake_ray(), "go on", lambda: None):
        raise OSError("own")


def test_the_head_of_a_cluster_must_be_silent_for_a_while(monkeypatch):
    answers = iter([True, False, True, *[False] * 3])
    monkeypatch.setattr(ray_watch, "_answers", lambda _: next(answers))
    monkeypatch.setattr(ray_watch, "SILENT_S", 3 * ray_watch.POLL_S)
    ray = fake_ray()
    ray.get_runtime_context = lambda: SimpleNamespace(gcs_address="10.0.0.1:6379")
    ((name, is_dead),) = list_watched(ray).items()
    assert name == "the head of the Ray cluster at 10.0.0.1:6379"
    assert [is_dead() for _ in range(5)] == [False, False, False, False, True]
    assert describe([name], "again").count("\n") == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_search_whose_ray_is_killed_ends_interrupted_and_goes_on(tmp_path, tiny, part):
    # Sixty epochs had ended before a machine under load came to kill anything.
    choice = {"epochs": EPOCHS, "lr": {"choice": [0.01, 0.02]}}
    graph_file(
        tmp_path / "space.yaml",
        tiny,
        train=choice,
        nodes={"n0": {"model": "resnet8"}},
        edges={"label -> n0": {}},
        search=SEARCH,
    )
    store = f"sqlite:///{tmp_path}/mlflow.db"
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "KTG_CACHE": str(tmp_path / "cache")}
    settings = {"cwd": tmp_path, "env": environment, "text": True}
    pipe = subprocess.PIPE
    command = [KTG, "search", "space.yaml"]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, **settings) as running:
        wait_for_an_epoch(store)
        assert running.poll() is None  # all else would judge a search that had ended
        os.kill(find_child(running.pid, part), signal.SIGKILL)
        killed = time.monotonic()
        _, err = running.communicate(timeout=200)
    assert running.returncode == 1, err
    assert time.monotonic() - killed < 60
    (line,) = [line for line in err.splitlines() if line]
    assert line.startswith(f"ktg: Ray's {part} on this machine (process ")
    again = f"ktg search space --resume --tracking-uri {store}"
    assert line.endswith(f"; what was found so far is kept, go on with: {again}")
    (search,) = find_experiment("space", store).searches()
    assert (search.status, search.state) == ("KILLED", "interrupted")

    done = subprocess.run([KTG, "search", "space", "--resume", "--json"], stdout=pipe, **settings)
    assert done.returncode == 0
    assert json.loads(done.stdout)["finished"] == 2
    found = find_experiment("space", store)
    for trial in found.trials(found.searches()[0]):
        assert trial.status == "FINISHED"
        assert [step for step, _ in found.history(trial, "val_accuracy")] == list(
            range(1, EPOCHS + 1)
        )


def wait_for_an_epoch(store: str) -> None:
    while True:
        time.sleep(0.5)
        try:
            found = find_experiment("space", store)
            if any("val_accuracy" in run.metrics for run in found.trials(found.searches()[0])):
                return
        except (KtgError, IndexError):
            continue


def find_child(parent: int, name: str) -> int:
    """Return the process of this name that a driver has started."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (place / "stat").read_text(), (place / "cmdline").read_text()
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent and name in command.split("\0")[0]:
            return int(place.name)
    raise AssertionError(f"no {name}")
