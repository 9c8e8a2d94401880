"""A worker that trains one graph after the other: no trial must notice what was trained before it."""

import json
import re
from pathlib import Path

import pytest

from ktg.engine import train
from ktg.searching.worker import Worker, opened
from ktg.spec import Graph, dump, parse

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


def config(graph: Graph) -> dict:
    return {"graph": json.dumps(dump(graph)), "baseline": "", "cpus": 1.0, "gpus": 0.0}


def run(worker: Worker) -> list[dict]:
    results = [worker.step()]
    while not results[-1]["done"]:
        results.append(worker.step())
    return results


def figures(results: list[dict]) -> list[dict[str, float]]:
    """What the results say of training, without what the clock and the machine say."""
    return [
        {name: value for name, value in json.loads(result["metrics"]).items() if "loss" in name or "accuracy" in name}
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
    assert [{name: epoch[name] for name in result} for epoch, result in zip(own, once, strict=True)] == once


def test_every_epoch_is_a_result_and_the_last_one_is_done(tiny):
    results = run(Worker(config(make(tiny, epochs=3))))
    assert [(result["epoch"], result["done"]) for result in results] == [(1, False), (2, False), (3, True)]
    for result in results:
        assert result["val_accuracy"] == json.loads(result["metrics"])["val_accuracy"]


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
    worker.reset_config(config(make(tiny)))
    assert "failed" not in run(worker)[-1]


def test_trials_that_differ_in_batches_only_share_their_images(tiny):
    opened.cache_clear()
    small = make(tiny)
    plain = dump(small)
    plain["data"] |= {"batch_size": 32, "augment": "none"}
    worker = Worker(config(small))
    worker.step()
    worker.reset_config(config(parse(plain)))
    worker.step()
    assert opened.cache_info().misses == 1


def test_cleanup_lets_go_of_the_networks(tiny):
    worker = Worker(config(make(tiny)))
    worker.step()
    worker.cleanup()
    assert worker.training is None
