"""Driving Ray: the workers of a search are started once and live as long as it does."""

import json
from typing import Any

from ray import tune

from ktg.graph import parse_space
from ktg.searching.cluster import cluster
from ktg.searching.ray_adapter import Deaths, Proposals, scheduler
from ktg.searching.ray_run import drive
from ktg.searching.trials import Ledger

SLOTS = 3
SPACE = {
    "data": {"name": "digits"},
    "train": {"epochs": 2, "lr": {"log": [0.001, 0.1]}},
    "nodes": {"n0": {"model": "resnet8"}},
    "edges": {"label -> n0": {}},
    "search": {"trials": 30, "baselines": False, "sampler": "random"},
}


class Silent:
    """An observer that forgets."""

    def started(self, entry: Any) -> None: ...

    def reported(self, entry: Any) -> None: ...

    def closed(self, entry: Any) -> None: ...


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
            told = json.dumps({"val_accuracy": 0.5, "val_loss": 1.0})
            return {
                "val_accuracy": 0.5,
                "epoch": self.epoch,
                "metrics": told,
                "done": self.epoch == 2,
            }

        def save_checkpoint(self, checkpoint_dir): ...

    return Instant


def test_no_worker_is_started_twice_or_for_nothing(tmp_path):
    ledger = Ledger(parse_space(SPACE))
    proposals = Proposals(ledger, Silent(), cpus=1, gpus=0, checkpoints=tmp_path / "states")
    with cluster(cpus=SLOTS):
        from ray._private.state import actors

        plan = scheduler(ledger.space.search, epochs=2)
        drive(instant(), proposals, Deaths(proposals, print), SLOTS, tmp_path / "ray", plan)
        assert len(actors()) == SLOTS
    assert len(ledger.in_state("finished")) + len(ledger.in_state("stopped")) == 30
