"""A worker that trains one graph after the other: no trial may notice what came before it."""

import base64
import gc
import json
import re
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import graph_file

from ktg.data import open_data, open_test
from ktg.data.batches import _RESIDENT
from ktg.errors import TrainingError
from ktg.graph import Graph, dump, parse
from ktg.graph.yaml_files import load_graph
from ktg.models import build
from ktg.models.architectures import build_body
from ktg.models.state_dicts import WEIGHTS_CACHE
from ktg.searching import worker as worker_module
from ktg.searching.cluster import start_ray
from ktg.searching.pool import unpack
from ktg.searching.trial import RIGHT, SAID
from ktg.searching.worker import Worker, open_cached, score_test
from ktg.searching.worth import read_right
from ktg.training import Training, train

pytestmark = pytest.mark.usefixtures("one_thread")


def make(tiny: Path, model: str = "resnet8", **train_settings) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 16},
            "train": {"epochs": 2, "lr": 0.05, "precision": "float32", **train_settings},
            "nodes": {"n0": {"model": model}, "n1": {"model": "resnet8"}},
            "edges": {"label -> any": {}, "n1 -> n0": {"gate": "correct"}},
        }
    )


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    WEIGHTS_CACHE.set_limit(0)
    gc.unfreeze()


def config(
    graph: Graph, checkpoint: Path = Path("no", "checkpoint.pt"), every_s: float = 1e9
) -> dict:
    kept = {"checkpoint": str(checkpoint), "checkpoint_every_s": every_s}
    plain = {"final": False, "metric": "accuracy", "cpus": 1.0, "gpus": 0.0}
    return {"graph": json.dumps(dump(graph)), **plain, **kept}


def run(worker: Worker) -> list[dict]:
    results = [worker.step()]
    while not results[-1]["done"]:
        results.append(worker.step())
    return results


def reset(worker: Worker, new_config: dict) -> None:
    """Reset as Ray does."""
    worker.config = new_config
    assert worker.reset_config(new_config)


def figures(results: list[dict]) -> list[dict[str, float]]:
    """What the results say of training, without what the clock and the machine say."""
    return [
        {
            name: value
            for name, value in json.loads(result["metrics"]).items()
            if "loss" in name or "accuracy" in name
        }
        for result in results
    ]


def test_a_graph_trained_again_by_a_used_worker_gives_the_same_numbers(tiny):
    first, other = make(tiny), make(tiny, "resnet14", lr=0.2)
    worker = Worker(config(first))
    once = figures(run(worker))
    assert worker.reset_config(config(other))
    between = figures(run(worker))
    assert worker.reset_config(config(first))
    assert figures(run(worker)) == once
    assert between != once
    own = [epoch.metrics() for epoch in train(first, device="cpu")]
    assert [
        {name: epoch[name] for name in result} for epoch, result in zip(own, once, strict=True)
    ] == once


def test_every_epoch_is_a_result_and_the_last_one_is_done(tiny):
    results = run(Worker(config(make(tiny, epochs=3))))
    assert [(result["epoch"], result["done"]) for result in results] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    for result in results:
        assert result["val_accuracy"] == json.loads(result["metrics"])["val_accuracy"]


def test_epochs_told_together_are_those_told_one_by_one(tiny, monkeypatch):
    graph = make(tiny, epochs=3)
    monkeypatch.setattr(worker_module.Worker, "REPORT_S", 0.0)
    worker, one_by_one = Worker(config(graph)), []
    while not one_by_one or not one_by_one[-1]["done"]:
        (result,) = worker.train_buffered(2, 0.0)
        one_by_one.append(result)
    monkeypatch.setattr(worker_module.Worker, "REPORT_S", 1e9)
    reset(worker, config(graph))
    together = worker.train_buffered(2, 0.0)
    assert [result["epoch"] for result in together] == [1, 2, 3]
    assert figures(together) == figures(one_by_one)


def test_no_state_is_saved_of_epochs_that_are_not_yet_told(tiny, tmp_path, monkeypatch):
    """The driver would lack them for ever if this process died after that."""
    saved = []
    monkeypatch.setattr(worker_module, "write_checkpoint", lambda state, _: saved.append(state))
    worker = Worker(config(make(tiny, epochs=4), tmp_path / "state.pt", every_s=0.0))
    for report_s in (0.0, 1e9):  # epoch 1; then 2, 3 and 4
        monkeypatch.setattr(worker_module.Worker, "REPORT_S", report_s)
        worker.train_buffered()
    assert [state["epoch"] for state in saved] == [1]


def test_a_trial_goes_on_from_its_checkpoint_in_another_worker(tiny, tmp_path):
    graph = make(tiny, epochs=3)
    whole = figures(run(Worker(config(graph))))
    first = Worker(config(graph))
    first.step()
    first.save_checkpoint(str(tmp_path))
    second = Worker(config(graph))
    second.load_checkpoint(str(tmp_path))
    assert figures(run(second)) == whole[1:]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"lr": 1e30}, r"the loss of edge .* became (nan|inf) in epoch 1"),
        ({"batch": 1000}, r"data.batch_size: 1000 is"),
    ],
)
def test_what_goes_wrong_ends_the_trial_with_a_reason_and_not_the_worker(tiny, settings, reason):
    graph = dump(make(tiny, **{k: v for k, v in settings.items() if k != "batch"}))
    graph["data"]["batch_size"] = settings.get("batch", 16)
    worker = Worker(config(make(tiny)) | {"graph": json.dumps(graph)})
    result = run(worker)[-1]
    assert (result["val_accuracy"], result["done"]) == (0.0, True)
    assert re.search(reason, result["failed"])
    reset(worker, config(make(tiny)))
    assert "failed" not in run(worker)[-1]


def test_trials_that_differ_in_batches_only_share_their_images(tiny):
    open_cached.cache_clear()
    small = make(tiny)
    plain = dump(small)
    plain["data"] |= {"batch_size": 32, "augment": "none"}
    worker = Worker(config(small))
    worker.step()
    worker.reset_config(config(parse(plain)))
    worker.step()
    assert open_cached.cache_info().misses == 1


def test_cleanup_lets_go_of_the_networks(tiny):
    worker = Worker(config(make(tiny)))
    worker.step()
    worker.cleanup()
    assert worker.training is None


def with_weights(graph: Graph, file: Path) -> Graph:
    """The graph, its second node beginning with weights from a file."""
    torch.manual_seed(1)
    torch.save(build_body(graph.nodes["n1"], classes=4, size=8).state_dict(), file)
    plain = dump(graph)
    plain["sources"] = {"mine": {"path": str(file)}}
    plain["nodes"]["n1"]["source"] = "mine"
    return parse(plain)


@pytest.mark.slow
def test_a_b_a_in_one_live_ray_worker_gives_the_numbers_of_a_twice(tiny, tmp_path):
    first = with_weights(make(tiny), tmp_path / "weights.pth")
    second = make(tiny, "resnet14", lr=0.2, ema_decay=0.9)
    own = [epoch.metrics() for epoch in train(first, device="cpu")]
    with start_ray(cpus=1) as ray:
        worker = ray.remote(Worker).remote(config(first))
        told = []
        for graph in (first, second, first):
            ray.get(worker.reset_config.remote(config(graph)))
            told.append(figures([ray.get(worker.step.remote()) for _ in range(2)]))
    assert told[0] == told[2] != told[1]
    assert [
        {name: epoch[name] for name in result} for epoch, result in zip(own, told[0], strict=True)
    ] == told[0]


def test_nothing_of_a_trial_outlives_it_but_what_trials_share(tiny, tmp_path, monkeypatch):
    open_cached.cache_clear()
    read = []
    monkeypatch.setattr(
        build,
        "read_state",
        lambda file, *_: read.append(file) or torch.load(file, weights_only=True),
    )
    worker = Worker(config(with_weights(make(tiny, lr=0.5), tmp_path / "weights.pth")))
    worker.step()
    held = [weakref.ref(worker.training), *map(weakref.ref, worker.training.networks.values())]
    images = worker.training.dataset.train
    pixels = _RESIDENT[images][torch.device("cpu")]
    before = pixels.clone()
    # Nothing may wait for the garbage collector: on a GPU the next trial needs the memory.
    gc.disable()
    worker.reset_config(config(with_weights(make(tiny), tmp_path / "weights.pth")))
    assert not any(ref() for ref in held)
    gc.enable()
    worker.step()
    assert worker.training.dataset.train is images
    assert _RESIDENT[images][torch.device("cpu")] is pixels
    assert torch.equal(pixels, before)
    assert len(read) == 2  # the file was written again in between; the third finds it as it was
    worker.reset_config(config(parse(json.loads(worker.config["graph"]))))
    worker.step()
    assert len(read) == 2


def test_a_trial_that_died_goes_on_where_it_left_its_state_and_a_new_one_does_not(tiny, tmp_path):
    graph, left = make(tiny, epochs=3), tmp_path / "states" / "key.pt"
    whole = figures(run(Worker(config(graph))))
    dead = Worker(config(graph, left, every_s=0))
    dead.step()
    assert not left.exists()  # the driver may not have put down the epoch yet
    dead.step()
    again = Worker(config(graph, left, every_s=0))
    assert figures(run(again)) == whole[1:]
    reset(again, config(make(tiny)))
    assert not left.exists()
    reset(dead, config(graph, left, every_s=0))  # by a worker that has trained another graph before
    dead.step()
    dead.step()
    reset(again, config(graph, left, every_s=0))
    assert figures(run(again)) == whole[1:]
    left.write_bytes(b"half a file")
    assert figures(run(Worker(config(graph, left)))) == whole


def test_a_trial_that_fails_lets_go_of_its_memory_at_once(tiny):
    worker = Worker(config(make(tiny, lr=1e30)))
    assert "failed" in worker.step()
    assert worker.training is None


def test_a_disk_that_takes_no_state_does_not_end_a_trial(tiny, tmp_path):
    graph = make(tiny, epochs=3)
    (tmp_path / "full").touch()
    assert len(figures(run(Worker(config(graph, tmp_path / "full" / "key.pt", every_s=0))))) == 3


def raising(monkeypatch, fault) -> None:
    monkeypatch.setattr(Training, "__next__", lambda self: fault())


@pytest.mark.parametrize(
    "fault",
    [
        lambda: torch.empty(2**50),
        lambda: np.empty(2**50),
        lambda: raise_(torch.OutOfMemoryError("CUDA out of memory")),
    ],
)
def test_too_little_memory_names_the_batch_size_to_try(tiny, monkeypatch, fault):
    worker = Worker(config(make(tiny)))
    with monkeypatch.context() as patch:
        raising(patch, fault)
        assert worker.step()["failed"] == "out of memory at data.batch_size 16; try 8"
    reset(worker, config(make(tiny)))
    assert "failed" not in worker.step()


def test_too_little_memory_in_a_step_says_where(tiny, monkeypatch):
    monkeypatch.setattr(Training, "step", lambda *_: raise_(MemoryError()))
    failed = Worker(config(make(tiny))).step()["failed"]
    assert re.fullmatch(
        r"epoch 1, step 1 of \d+: out of memory at data\.batch_size 16; try 8", failed
    )


def raise_(error: Exception) -> None:
    raise error


def test_an_error_of_the_gpu_ends_the_worker(tiny, monkeypatch):
    raising(
        monkeypatch, lambda: raise_(torch.AcceleratorError("CUDA error: an illegal access\nMore"))
    )
    with pytest.raises(TrainingError, match=r"^the GPU failed: CUDA error: an illegal access$"):
        Worker(config(make(tiny))).step()


@pytest.mark.parametrize("ensemble", [False, True])
def test_one_pass_over_the_test_split_gives_the_score_and_every_image(
    tiny: Path, tmp_path: Path, ensemble: bool
):
    graph = load_graph(graph_file(tmp_path / "graph.yaml", tiny, train={"seed": 3}))
    if ensemble:
        graph = replace(graph, ensemble=True)
    training = Training(graph, open_data(graph.data), device="cpu", final=True)
    images = open_test(graph.data)
    # Untrained: after two epochs it makes no mistake, and there would be nothing to tell apart.
    score, found = training.test(images), score_test(training, images)
    assert found["test_accuracy"] == score.accuracy
    assert found["test_loss"] == pytest.approx(score.loss, rel=1e-6)
    right = training.predict(images).argmax(dim=1).numpy() == images.labels
    assert 0 < right.mean() < 1
    told = read_right(found[RIGHT])
    assert np.array_equal([each == "1" for each in told["right"]], right)
    assert set(told["taught_by"]) == (set() if ensemble else {"n1"})
    for name, own in told["taught_by"].items():
        place = next(canonical for canonical, user in training.names.items() if user == name)
        said = training.logits(images, training.networks[place]).argmax(dim=1).numpy()
        assert np.array_equal([each == "1" for each in own], said == images.labels)


def test_a_final_training_has_all_but_the_test_split_and_ends_with_its_score(tiny):
    graph = make(tiny)
    results = run(Worker(config(graph) | {"final": True}))
    first, last = (json.loads(result["metrics"]) for result in results)
    alone = Training(graph, open_data(graph.data), device="cpu", final=True)
    own = [epoch.metrics() for epoch in alone]
    assert not {"val_accuracy", "test_accuracy", RIGHT} & first.keys()
    assert first["edges.label.n0.loss"] == own[0]["edges.label.n0.loss"]
    score = alone.test(open_test(graph.data))
    assert (last["test_accuracy"], len(read_right(last[RIGHT])["right"])) == (score.accuracy, 32)


def test_after_the_last_epoch_it_tells_what_was_said_of_the_validation_images(tiny):
    graph = make(tiny)
    *before, last = [json.loads(result["metrics"]) for result in run(Worker(config(graph)))]
    assert all(SAID not in metrics for metrics in before)
    said = unpack(base64.b64decode(last[SAID]))
    dataset = open_data(graph.data)
    assert np.array_equal(said.labels, dataset.val.labels)
    assert said.right["n0"].mean() == pytest.approx(last["val_accuracy"])
    assert said.right["n1"].mean() == pytest.approx(last["nodes.n1.val_accuracy"])
    training = Training(graph, dataset, device="cpu")
    for _ in training:
        pass
    assert np.allclose(said.probabilities, training.predict(dataset.val), atol=1e-3)


def test_a_final_training_tells_nothing_of_validation_images(tiny):
    final = config(make(tiny)) | {"final": True}
    assert all(SAID not in json.loads(result["metrics"]) for result in run(Worker(final)))
