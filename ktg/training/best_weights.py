"""Keeps the weights of the epoch that validated best, where `train.keep` is best."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ktg.training.scoring import Evaluation


class BestWeights:
    """The weights of several networks after the best epoch so far, by one score of an evaluation.

    Of epochs that are equally good the first stays. `epoch` is 0 before the first.
    """

    def __init__(self, metric: str = "accuracy") -> None:
        self.metric, self.epoch, self._score = metric, 0, -math.inf
        self._states: dict[str, dict[str, Tensor]] = {}

    def offer(self, evaluation: Evaluation, epoch: int, networks: Mapping[str, nn.Module]) -> None:
        """Keep copies of the networks' weights if no epoch before this one was as good."""
        score = getattr(evaluation, self.metric)
        score = -math.inf if score is None else -score if self.metric == "loss" else score
        if score > self._score:
            self.epoch, self._score = epoch, score
            self._states = {
                name: {key: value.clone() for key, value in network.state_dict().items()}
                for name, network in networks.items()
            }

    def restore(self, networks: Mapping[str, nn.Module]) -> None:
        """Give the networks the weights that are kept, if there are any."""
        for name, state in self._states.items():
            networks[name].load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return everything, for a checkpoint."""
        return {"epoch": self.epoch, "score": self._score, "states": self._states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.epoch, self._score = state["epoch"], state["score"]
        self._states = state["states"]
