"""Searches on Ray in which something breaks: trials, their processes, a machine of a cluster."""

import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from command import graph_file
from rich.console import Console

from ktg.graph import SearchSpace, load_space
from ktg.searching import cluster_check, ray_adapter, ray_run, worker
from ktg.searching.cluster import QUIET, start_ray
from ktg.searching.run import search
from ktg.tracking import MemoryTracker
from ktg.training import Training, train
from ktg.version import __version__

pytestmark = pytest.mark.slow

FINE, DIES_ONCE, DIES_ALWAYS, OUT_OF_MEMORY, GPU_FAILS, AUGMENTATION_FAILS = LRS = [
    0.01,
    0.02,
    0.03,
    0.04,
    0.05,
    0.06,
]
ERRORS = {
    OUT_OF_MEMORY: torch.OutOfMemoryError("CUDA out of memory"),
    GPU_FAILS: torch.AcceleratorError("CUDA error: device-side assert triggered"),
    AUGMENTATION_FAILS: ZeroDivisionError("division by zero"),
}
EPOCHS = 4


def faulty(folder: Path) -> type[worker.Worker]:
    """Return a worker that lists its epochs and breaks in the third, in a way of each graph."""

    class Faulty(worker.Worker):
        REPORT_S = 0.0  # else it depends on the machine's load after which epoch a state is left

        def step(self) -> dict:
            lr = json.loads(self.config["graph"])["train"]["lr"]
            epoch = self._open_training().epoch + 1
            with (folder / f"epochs of {lr}").open("a") as file:
                file.write(f"{epoch} ")
            first_time = (folder / f"epochs of {lr}").read_text().split().count("3") == 1
            if epoch == 3 and (lr == DIES_ALWAYS or (lr == DIES_ONCE and first_time)):
                os.kill(os.getpid(), signal.SIGKILL)
            if epoch == 3 and lr in ERRORS:
                with patch.object(Training, "__next__", side_effect=ERRORS[lr]):
                    return super().step()
            return super().step()

    return Faulty


def slow() -> type[worker.Worker]:
    """Return a worker that leaves time to kill it."""

    class Slow(worker.Worker):  # in here, because the workers of a cluster cannot import this file
        def step(self) -> dict:
            time.sleep(0.3)
            return super().step()

    return Slow


def space(folder: Path, tiny: Path) -> SearchSpace:
    """Every learning rate once, each for four epochs."""
    plan = {
        "trials": len(LRS),
        "sampler": "grid",
        "scheduler": "none",
        "baselines": False,
        "race_share": 0,
        "cpus_per_trial": 1,
    }
    nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
    file = folder / "space.yaml"
    choice = {"epochs": EPOCHS, "lr": {"choice": LRS}}
    return load_space(graph_file(file, tiny, train=choice, nodes=nodes, edges=edges, search=plan))


@pytest.fixture(autouse=True)
def _state_is_left_before_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_adapter, "CHECKPOINT_EVERY_S", 0.0)


def test_what_breaks_ends_one_trial_at_most_and_a_worker_that_died_goes_on_where_it_was(
    tmp_path, tiny, monkeypatch, capfd, one_thread
):
    monkeypatch.setattr(worker, "Worker", faulty(tmp_path))
    monkeypatch.setattr(ray_run, "MAX_FAILURES", 1)
    tracker, plan, page = MemoryTracker(), space(tmp_path, tiny), io.StringIO()
    with start_ray(cpus=2):
        result = search(
            plan, "faults", tracker, console=Console(file=page), storage=tmp_path / "ray"
        )
    trials = {
        one.params["train.lr"]: one for one in tracker.runs.values() if one.tags["kind"] == "trial"
    }
    assert {lr: trial.state for lr, trial in trials.items()} == {
        lr: "finished" if lr in (FINE, DIES_ONCE) else "failed" for lr in LRS
    }
    reasons = {lr: trial.tags["reason"] for lr, trial in trials.items() if "reason" in trial.tags}
    assert reasons == {
        DIES_ALWAYS: "the worker died: it was killed, or crashed",
        OUT_OF_MEMORY: "out of memory at data.batch_size 16; try 8",
        GPU_FAILS: "the GPU failed: CUDA error: device-side assert triggered",
        AUGMENTATION_FAILS: "ZeroDivisionError: division by zero",
    }
    assert (result.finished, result.failed, result.interrupted) == (2, 4, False)

    trained = {lr: (tmp_path / f"epochs of {lr}").read_text() for lr in LRS}
    assert (
        trained[DIES_ONCE] == "1 2 3 2 3 4 "
    )  # with the state after the first epoch, left before the second
    assert trained[DIES_ALWAYS] == "1 2 3 2 3 "
    assert trained[GPU_FAILS] == "1 2 3 3 "
    own = [epoch.metrics() for epoch in train(plan.bind({"train.lr": DIES_ONCE}), device="cpu")]
    for name in ("val_accuracy", "val_loss"):
        assert trials[DIES_ONCE].history(name) == [
            (i + 1, epoch[name]) for i, epoch in enumerate(own)
        ]
    assert (
        page.getvalue().count(
            "the worker died: it was killed, or crashed; it goes on in another worker"
        )
        == 2
    )
    assert capfd.readouterr() == ("", "")  # what Ray says of deaths would spoil the JSON
    assert not list((tmp_path / "ray").iterdir())


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """A Ray cluster of two nodes with a CPU each, both on this machine."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    both = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    both.add_node(**node)
    yield both
    both.shutdown()


def test_a_node_that_dies_takes_no_trial_with_it(tmp_path, tiny, monkeypatch, two_nodes):
    monkeypatch.setattr(worker, "Worker", slow())
    tracker, (_, second) = MemoryTracker(), two_nodes.list_all_nodes()

    def kill_a_node() -> None:
        while sum(bool(one.history("val_accuracy")) for one in list(tracker.runs.values())) < 2:
            time.sleep(0.05)
        two_nodes.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    asked: list[dict] = []
    monkeypatch.setattr(
        cluster_check,
        "ask_machines",
        lambda *of, ask=cluster_check.ask_machines: asked.append(ask(*of)) or asked[-1],
    )
    plan, page, place = space(tmp_path, tiny), io.StringIO(), tmp_path / "ray"
    result = search(
        plan, "nodes", tracker, console=Console(file=page), address=two_nodes.address, storage=place
    )
    assert list(asked[0].values()) == [(__version__, [])]  # both have one address
    assert second not in two_nodes.list_all_nodes()
    assert "the worker died: " in page.getvalue(), page.getvalue()
    assert (result.finished, result.failed) == (len(LRS), 0)
    for one in tracker.runs.values():
        if one.tags["kind"] == "trial":
            assert [step for step, _ in one.history("val_accuracy")] == list(range(1, EPOCHS + 1))
