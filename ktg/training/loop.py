"""Trains a graph: the one loop of pretraining, transfer, distillation, mutual learning and search.

All of these are graphs. `Training` iterates over epochs, and `step` trains all nodes on a batch:

    forward pass of every node      graph_model.py
    loss of every edge              edge_losses.py: losses.py, gates.py
    one backward pass
    a step of every learner         node.py: schedule.py

The batches come from training_batches.py, or as features from frozen_features.py while a backbone
is frozen. The figures stay on the device until the epoch is over (metrics.py).
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktg.data import Dataset
from ktg.errors import SpecError
from ktg.graph import Graph
from ktg.training.answers import find_known_teachers
from ktg.training.best_weights import BestWeights
from ktg.training.edge_losses import edge_losses, sum_per_node
from ktg.training.frozen_features import FrozenFeatures, find_frozen_backbones
from ktg.training.graph_model import GraphModel
from ktg.training.label_weights import count_class_weights
from ktg.training.metrics import (
    EpochMetrics,
    StepMetrics,
    StepTable,
    average_steps,
    check_finite,
    collect_answers,
    measure_peak_memory,
    summarize,
    untrained,
)
from ktg.training.probe import compute_probe_key, find_judge, load_probe, trust
from ktg.training.randomness import derive_seed, use_seed
from ktg.training.schedule import Clock
from ktg.training.scoring import ENSEMBLE, Evaluation, Split, evaluate
from ktg.training.step_errors import explain_errors
from ktg.training.training_batches import TrainingBatch, TrainingBatches


class Training(GraphModel):
    """A graph being trained: iterate over it, and save and load its state between the epochs.

    final: train on the training and validation splits together, without validation. With few-shot
    data (`per_class`) only the training split is used.
    cache: the folder of shared teachers and probes (see `ktg.training.tensor_cache`).
    metric: the score of a validation by which `train.keep: best` chooses, for teachers too.

    Without epochs (`train.epochs: 0`) the networks are validated once, as they begin.
    """

    def __init__(
        self,
        graph: Graph,
        dataset: Dataset,
        *,
        device: torch.device | str | None = None,
        final: bool = False,
        cache: Path | None = None,
        metric: str = "accuracy",
    ) -> None:
        alone = partial(train_alone, cache=cache, metric=metric)
        super().__init__(
            graph, dataset, alone, device=device, final=final, cache=cache, metric=metric
        )
        classes, more = len(dataset.classes), dataset.unlabelled
        with explain_errors("moving images to the device"):
            self._batches = TrainingBatches(self.graph, self.images, classes, self.device, more)
            self._val = None if final else self.split(dataset.val)
        self._begun, self._cache = False, cache
        self._best = BestWeights(metric) if graph.train.keep == "best" else None
        self._class_weights: Tensor | None = None
        if graph.data.balance == "loss":
            labels, weights = self._batches.labelled.plain.labels, self._batches.label_weights
            self._class_weights = count_class_weights(labels, classes, weights)
        with explain_errors("the first answers of the teachers"):
            self._known = find_known_teachers(
                self.graph,
                self.teachers,
                self.teacher_keys,
                self.layers,
                self._batches.labelled,
                self._batches.unlabelled,
                self.device,
                self.precision,
                cache,
            )
        # Maps need the whole network, and images without labels are others in every epoch: features
        # of what such nodes train on cannot be computed beforehand.
        never = {*self.layers, *self._batches.unlabelled_nodes}
        asked = {name: each for name, each in self.teachers.items() if name not in self._known}
        frozen = find_frozen_backbones(self.graph, self.learners, asked, self.names, never)
        with explain_errors("the first forward pass", graph.data.batch_size):
            self._features = FrozenFeatures(
                frozen,
                self._batches.labelled,
                self._val,
                batch_size=graph.data.batch_size,
                seed=graph.train.seed,
                device=self.device,
                precision=self.precision,
            )

    def __iter__(self) -> Iterator[EpochMetrics]:
        return self

    def __next__(self) -> EpochMetrics:
        """Train and validate one epoch; raise TrainingError for a loss that is not finite."""
        if not self._begun and self.epoch == 0:
            self._load_probes()
        elif self.epoch >= self.graph.train.epochs:
            raise StopIteration
        self._begun = True
        started = time.perf_counter()
        measured = self._train_epoch() if self.graph.train.epochs else []
        trained_s = time.perf_counter() - started
        with explain_errors(f"epoch {self.epoch}, validation", self.graph.data.batch_size):
            evaluations = self._validate()
            if self._return_to_best(evaluations.get(self._scored_name)):
                evaluations = self._validate()
        means = average_steps(measured) if measured else untrained(self.graph.nodes)
        nodes, edges = summarize(means, evaluations, self._rates, self.names)
        return EpochMetrics(
            number=self.epoch,
            target=self.names[self._target],
            nodes=nodes,
            edges=edges,
            seconds=time.perf_counter() - started,
            images_per_s=len(measured) * self.graph.data.batch_size / max(trained_s, 1e-9),
            peak_memory_bytes=measure_peak_memory(self.device),
            scored=evaluations.get(self._scored_name),
            ensemble=evaluations.get(ENSEMBLE),
            kept_epoch=self._best.epoch if self._best else None,
            answers=collect_answers(evaluations, self.names),
        )

    def _return_to_best(self, scored: Evaluation | None) -> bool:
        """Note the weights of the best epoch; after the last one give the networks those of it.

        Returns whether the networks have changed, so that the last validation is of what is kept.
        """
        if self._best is None or scored is None or self.epoch == 0:
            return False
        networks = {name: learner.evaluated for name, learner in self.learners.items()}
        self._best.offer(scored, self.epoch, networks)
        if self.epoch < self.graph.train.epochs or self._best.epoch == self.epoch:
            return False
        self._best.restore(networks)
        return True

    def _load_probes(self) -> None:
        """Let the heads of the nodes that ask for it begin as probes."""
        balanced = self.graph.data.balance != "none"
        for name, learner in self.learners.items():
            if self.graph.nodes[name].head == "probe":
                network, precision = learner.network, self.precision
                key = compute_probe_key(
                    self.graph, name, network, self.dataset, precision, self.final
                )
                judge = find_judge(self.graph, name)
                key += f"-{self.teacher_keys[judge]}" if judge in self.teacher_keys else ""
                with explain_errors(f"probe of {self.names[name]}", self.graph.data.batch_size):
                    images = self._find_trusted(judge)
                    fitted = load_probe(
                        network, images, key, precision, balanced=balanced, cache=self._cache
                    )
                if not (fitted or self.graph.train.epochs):
                    model = self.graph.nodes[name].model
                    problem = f"no probe can be fitted for {model} and these images, and without"
                    allowed = (
                        "a model whose head is one linear layer, 1 or more epochs, or `head: new` "
                        "for weights whose own head is for these classes"
                    )
                    raise SpecError(
                        f"nodes.{self.names[name]}.head",
                        f"{problem} epochs nothing else makes its head; allowed: {allowed}",
                    )
                if learner.average:
                    learner.average.network.load_state_dict(network.state_dict())

    def _find_trusted(self, judge: str) -> Split:
        """Return the training images, without those whose labels a frozen judge does not predict.

        All of them without a judge, or with one that learns itself.
        """
        images = self.split(self.images)
        if judge not in self.teachers:
            return images
        network, key = self.teachers[judge], self.teacher_keys[judge]
        return self.split(
            self.images.take(trust(network, images, key, self.precision, self._cache))
        )

    def _train_epoch(self) -> list[StepMetrics[float]]:
        """Run the steps of one epoch without ever waiting for the device, then read the metrics."""
        epoch, number = self.epoch, self.epoch + 1
        steps = self._batches.steps
        batch_size, total = self.graph.data.batch_size, steps * self.graph.train.epochs
        # Around the steps, too: their batches are made between them.
        with explain_errors(f"epoch {number}", batch_size):
            for learner in self.learners.values():
                learner.begin_epoch(epoch)
            table = StepTable(steps, self.device)
            with use_seed(derive_seed(self.graph.train.seed, "dropout", epoch), self.device):
                with explain_errors(f"epoch {number}, frozen features", batch_size):
                    features = self._features.train(epoch, self._batches.views(epoch))
                for index, batch in enumerate(self._batches(epoch, features, self._known)):
                    place = f"epoch {number}, step {index + 1} of {steps}"
                    with explain_errors(place, batch_size):
                        table.add(index, self.step(batch, Clock(epoch * steps + index, total)))
            measured = table.read()
        check_finite(measured, number, self._rates, self.names)
        self.epoch = number
        return measured

    def step(self, batch: TrainingBatch, clock: Clock) -> StepMetrics[Tensor]:
        """Train every node that learns (a `Learner`) on one batch, never waiting for the device."""
        outputs = self.forward(batch)
        edges = edge_losses(self.graph, outputs, clock.progress, self.adapters, self._class_weights)
        # Sources are detached, so the gradients of the nodes never mix: one pass serves them all.
        torch.autograd.backward(list(sum_per_node(self.graph, edges).values()))
        weights = {pair: adapter.weight() for pair, adapter in self.adapters.items()}
        for learner in self.learners.values():
            learner.step(clock.where)
        return StepMetrics(
            loss={pair: edge.value for pair, edge in edges.items()},
            gate_weight={pair: edge.gate_weight for pair, edge in edges.items()},
            accuracy={name: outputs.right(name).float().mean() for name in self.graph.nodes},
            learned_weight={pair: x for pair, x in weights.items() if x is not None},
        )

    def _validate(self) -> dict[str, Evaluation]:
        if self._val is None:
            return {}
        networks = self.networks
        # Frozen features come from the trained networks, not from their moving averages.
        for network in (*networks.values(), *self.trained_networks.values()):
            network.eval()
        features = self._features.val(self.epoch - 1)
        said = {name: each.logits(self.dataset.val) for name, each in self._known.items()}
        in_full = {self._scored_name, *(networks if self._is_over else ())}
        return evaluate(networks, self._val, self.precision, features, in_full, said)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue, the best weights so far included."""
        state = super().state_dict()
        return state | ({"best": self._best.state_dict()} if self._best else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same graph; raise WeightsError for one of another graph."""
        super().load_state_dict(state)
        if self._best:
            self._best.load_state_dict(state["best"])

    @property
    def _is_over(self) -> bool:
        """Whether all epochs are trained."""
        return self.epoch >= self.graph.train.epochs

    @property
    def _scored_name(self) -> str:
        """The name under which what is scored is evaluated."""
        return ENSEMBLE if self.graph.ensemble else self._target

    @property
    def _rates(self) -> dict[str, float]:
        """The learning rate of every learner in the last step."""
        return {name: learner.lr for name, learner in self.learners.items()}


def train_alone(
    graph: Graph,
    dataset: Dataset,
    device: torch.device,
    final: bool,
    cache: Path | None = None,
    metric: str = "accuracy",
) -> dict[str, Tensor]:
    """Return the weights of a one-node graph after its training, for a teacher of another graph."""
    training = Training(graph, dataset, device=device, final=final, cache=cache, metric=metric)
    for _ in training:
        pass
    return training.target.body.state_dict()
