"""A queue on Ray: the workers are started once and live as long as it does."""

import json

import pytest
from ray import tune

from ktg.graph import parse_space
from ktg.searching import worker
from ktg.searching.asha import plan_brackets
from ktg.searching.cluster import start_ray
from ktg.searching.ray_run import run_queue
from ktg.searching.search_queue import SearchQueue
from ktg.searching.slots import Slots

pytestmark = pytest.mark.slow

SLOTS = 3
SPACE = {
    "data": {"name": "digits"},
    "train": {"epochs": 2, "lr": {"log": [0.001, 0.1]}},
    "nodes": {"n0": {"model": "resnet8"}},
    "edges": {"label -> n0": {}},
    "search": {"trials": 30, "baselines": False, "sampler": "random", "race_share": 0},
}


def instant() -> type[tune.Trainable]:
    """Return a worker whose trials are much shorter than its own start."""

    class Instant(tune.Trainable):
        def setup(self, config):
            self.reset_config(config)

        def reset_config(self, new_config):
            self.epoch = 0
            return True

        def step(self):
            self.epoch += 1
            metrics = json.dumps({"val_accuracy": 0.5, "val_loss": 1.0})
            return {
                "val_accuracy": 0.5,
                "epoch": self.epoch,
                "metrics": metrics,
                "done": self.epoch == 2,
            }

        def save_checkpoint(self, checkpoint_dir): ...

    return Instant


def test_no_worker_is_started_twice_or_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "Worker", instant())
    queue = SearchQueue(parse_space(SPACE))
    brackets = plan_brackets(queue.space.search, epochs=2)
    with start_ray(cpus=SLOTS):
        from ray._private.state import actors

        run_queue(queue, [], Slots(1, 0, SLOTS), tmp_path / "ray" / "states", print, brackets)
        assert len(actors()) == SLOTS
    assert len(queue.in_state("finished")) + len(queue.in_state("stopped")) == 30
    assert not queue.is_interrupted
