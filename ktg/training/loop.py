"""The one training loop: pretraining, transfer, distillation, mutual learning and searched graphs are all graphs."""

import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ktg.data import Dataset, Images, check_batch, merge
from ktg.errors import SpecError, TrainingError, WeightsError
from ktg.graph import LABEL, Graph, edge_key, edge_path
from ktg.graph.canonical import check_taught, form_key, with_names
from ktg.models.device import device_of
from ktg.models.ensemble import Ensemble
from ktg.models.head import classify, head_of
from ktg.models.maps import forward_with_maps
from ktg.models.network import Network
from ktg.training.adapters import Pair
from ktg.training.assembly import assemble
from ktg.training.edge_losses import Batch, edge_losses, sum_per_node
from ktg.training.evaluate import ENSEMBLE, Score, Split, evaluate, head_inputs, logits_of
from ktg.training.frozen_features import Features, still_nodes
from ktg.training.metrics import EdgeFigures, Epoch, Meter, NodeFigures, first_bad
from ktg.training.seeds import derive_seed, seeded
from ktg.training.training_batches import Feed


class Training:
    """A graph being trained. Iterate over it for one `Epoch` after the other; save and load its state between them.

    The graph is trained in its canonical form, so that a renamed copy of it, or one with dead
    nodes, gives the very same numbers; whatever is reported has the names of the graph given. Only
    live nodes are built, and only open edges computed.

    final: train on the training and validation splits together and validate nothing; few-shot data
    (`per_class`) stays what it is, and its validation split unused.
    cache: folder in which solo-trained teachers are kept and shared.
    """

    def __init__(
        self,
        graph: Graph,
        dataset: Dataset,
        *,
        device: torch.device | str | None = None,
        final: bool = False,
        cache: Path | None = None,
    ) -> None:
        check_taught(graph)
        self.graph, names = with_names(graph)
        self.key = form_key(self.graph)
        self.names = {names[original]: original for original in graph.nodes if original in names}
        self._target = names[graph.target]  # of an ensemble it need not be the first
        self.device = device_of(device)
        self.dataset, self.final = dataset, final
        self.epoch = 0
        images = merge(dataset) if final and graph.data.per_class is None else dataset.train
        check_batch(graph.data, len(images))
        self.images = images
        self._feed = Feed(self.graph, images, len(dataset.classes), self.device, dataset.unlabelled)
        self._val = None if final else self._split(dataset.val)
        self._precision = forward_precision(graph, self.device)
        nodes = assemble(self.graph, dataset, self.names, self.device, final=final, cache=cache)
        self.learners, self.teachers = nodes.learners, nodes.teachers
        self.adapters, self._layers = nodes.adapters, nodes.layers
        still = still_nodes(self.graph, self.learners, self.teachers, self.names)
        self._features = Features(
            # Maps need the whole network, and images without labels are new in every epoch.
            {
                name: each
                for name, each in still.items()
                if name not in self._layers and name not in self._feed.seeing
            },
            self._feed.batches,
            self._val,
            batch_size=graph.data.batch_size,
            seed=graph.train.seed,
            device=self.device,
            precision=self._precision,
        )

    def __iter__(self) -> Iterator[Epoch]:
        return self

    def __next__(self) -> Epoch:
        """Train one epoch and return what it was like; raise TrainingError for a loss that is not finite."""
        if self.epoch >= self.graph.train.epochs:
            raise StopIteration
        started = time.perf_counter()
        rows = self._feed.rows(self.epoch)
        with seeded(derive_seed(self.graph.train.seed, "dropout", self.epoch), self.device):
            figures = self._train(len(rows))
        trained_s = time.perf_counter() - started
        scores = self._validate()
        self.epoch += 1
        return self._report(
            figures, scores, rows.numel() / trained_s, time.perf_counter() - started
        )

    def _train(self, steps: int) -> list[dict[str, float]]:
        """Run the steps of one epoch without ever waiting for the device, then read the figures back."""
        for learner in self.learners.values():
            learner.begin_epoch(self.epoch)
        total = steps * self.graph.train.epochs
        meter = Meter(steps, self._columns(), self.device)
        for index, shown in enumerate(self._feed(self.epoch, self._features.train(self.epoch))):
            done = self.epoch * steps + index
            progress, where = done / max(total - 1, 1), done / total
            values = self.step(
                shown.images, shown.labels, features=shown.features, progress=progress, where=where
            )
            meter.add(index, values)
        figures = meter.read()
        self._check_finite(figures)
        return figures

    def step(
        self,
        images: Tensor | Mapping[str, Tensor],
        labels: Tensor,
        *,
        features: Mapping[str, Tensor] = MappingProxyType({}),
        progress: float,
        where: float,
    ) -> list[Tensor]:
        """Train every learner on one batch: images (B, C, H, W) in [0, 1], the same for all or by node.

        `labels` are int64 (B,), or probabilities (B, classes); images that come after the first B
        have none. `features` (B, ...), by node, are given to its head alone, and take the place of
        its images.
        Returns scalars on the device: every open edge's loss, then its openness, then every node's
        accuracy, then the learned weights.
        """
        images = dict.fromkeys(self.graph.nodes, images) if isinstance(images, Tensor) else images
        logits, maps = self._forward(images, features)
        batch = Batch(logits, labels, maps)
        edges = edge_losses(self.graph, batch, progress, self.adapters)
        torch.autograd.backward(list(sum_per_node(self.graph, edges).values()))
        learned = [
            weight for adapter in self.adapters.values() if (weight := adapter.weight()) is not None
        ]
        for learner in self.learners.values():
            learner.step(where)
        accuracies = [batch.right(name).float().mean() for name in self.graph.nodes]
        losses, openness = (
            [edge.value for edge in edges.values()],
            [edge.openness for edge in edges.values()],
        )
        return losses + openness + accuracies + learned

    def _forward(
        self, images: Mapping[str, Tensor], features: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        """Return every node's logits (B, classes), and the maps of those nodes of which some edge compares them."""
        half = self._precision != torch.float32
        logits, maps = {}, {}
        with torch.autocast(self.device.type, dtype=self._precision, enabled=half):
            for name in self.graph.nodes:
                with torch.set_grad_enabled(name in self.learners):
                    if name in self._layers:
                        found = forward_with_maps(
                            self._bodies[name], self._layers[name], images[name]
                        )
                        logits[name], maps[name] = found
                    elif name in features:
                        logits[name] = classify(self._bodies[name], features[name])
                    elif name in self.learners:
                        logits[name] = self.learners[name].forward(images[name])
                    else:
                        logits[name] = self.teachers[name](images[name])
        return logits, maps

    def _validate(self) -> dict[str, Score]:
        if self._val is None:
            return {}
        networks = self.networks
        for network in (*networks.values(), *self._bodies.values()):
            network.eval()
        return evaluate(networks, self._val, self._precision, self._features.val(self.epoch))

    @property
    def _bodies(self) -> dict[str, Network]:
        """The networks that are trained or teach, which are not the averaged ones."""
        return {
            **{name: learner.network for name, learner in self.learners.items()},
            **self.teachers,
        }

    @property
    def networks(self) -> dict[str, Network]:
        """The networks that count, by canonical name."""
        return {
            name: self.learners[name].evaluated if name in self.learners else self.teachers[name]
            for name in self.graph.nodes
        }

    @property
    def target(self) -> Network:
        """The network of the target."""
        return self.networks[self._target]

    @property
    def scored(self) -> Network | Ensemble:
        """What is scored and deployed: the target, or the ensemble of all networks where the graph asks for it."""
        if not self.graph.ensemble:
            return self.target
        return Ensemble({original: self.networks[name] for name, original in self.names.items()})

    def test(self, images: Images) -> Score:
        """Return the score of what is scored on a split that training has never seen."""
        return evaluate({"scored": self.scored}, self._split(images), self._precision)["scored"]

    def predict(self, images: Images) -> Tensor:
        """Return its probabilities (N, C), float32 on the CPU, for a split in its order."""
        return self.logits(images).softmax(dim=1)

    def logits(self, images: Images) -> Tensor:
        """Return its logits (N, C), float32 on the CPU, for a split in its order."""
        return logits_of(self.scored, self._split(images), self._precision)

    def features(self, images: Images) -> Tensor:
        """Return what the target's head is given for the images of a split, (N, ...) float32 on the CPU.

        Raises SpecError for a network without a head of its own.
        """
        if head_of(self.target) is None:
            model = self.graph.nodes[self._target].model
            raise SpecError(
                f"nodes.{self._name(self._target)}.model", f"{model} has no head of its own"
            )
        return head_inputs(self.target, self._split(images), self._precision)

    def _split(self, images: Images) -> Split:
        return Split(images, self.device, batch_size=2 * self.graph.data.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on: with it, an interrupted run equals an uninterrupted one bit for bit."""
        learners = {name: learner.state_dict() for name, learner in self.learners.items()}
        return {"key": self.key, "epoch": self.epoch, "learners": learners}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same graph; raise WeightsError for one of another graph."""
        if state.get("key") != self.key:
            raise WeightsError(
                "this checkpoint belongs to another graph; start again or give its own graph"
            )
        for name, learner in self.learners.items():
            learner.load_state_dict(state["learners"][name])
        self.epoch = state["epoch"]

    def _columns(self) -> list[str]:
        pairs = [edge_path(*pair) for pair in self._pairs()]
        learned = [
            f"{edge_path(*pair)}.weight"
            for pair, own in self.adapters.items()
            if own.log_variance is not None
        ]
        return (
            [f"{p}.loss" for p in pairs]
            + [f"{p}.openness" for p in pairs]
            + list(self.graph.nodes)
            + learned
        )

    def _pairs(self) -> list[Pair]:
        return list(self.graph.edges)  # canonical: every edge is open

    def _name(self, name: str) -> str:
        return LABEL if name == LABEL else self.names[name]

    def _check_finite(self, figures: list[dict[str, float]]) -> None:
        bad = first_bad(figures)
        if bad is None:
            return
        step, column = bad
        pairs = {
            f"{edge_path(s, t)}.loss": edge_key(self._name(s), self._name(t))
            for s, t in self._pairs()
        }
        rates = ", ".join(
            f"{self._name(name)} {learner.lr:.3g}" for name, learner in self.learners.items()
        )
        raise TrainingError(
            f"the loss of edge {pairs.get(column, column)} became {figures[step][column]} in epoch {self.epoch + 1}, "
            f"step {step + 1} of {len(figures)} (learning rates: {rates}); try a lower train.lr or set train.clip_norm"
        )

    def _report(
        self,
        figures: list[dict[str, float]],
        scores: Mapping[str, Score],
        images_per_s: float,
        seconds: float,
    ) -> Epoch:
        mean = {column: sum(row[column] for row in figures) / len(figures) for column in figures[0]}
        nodes = {}
        for name in self.graph.nodes:
            score = scores.get(name)
            nodes[self._name(name)] = NodeFigures(
                train_accuracy=mean[name],
                val_accuracy=score.accuracy if score else None,
                val_loss=score.loss if score else None,
                lr=self.learners[name].lr if name in self.learners else None,
            )
        edges = {
            (self._name(s), self._name(t)): EdgeFigures(
                mean[f"{path}.loss"], mean[f"{path}.openness"], mean.get(f"{path}.weight")
            )
            for s, t in self._pairs()
            for path in [edge_path(s, t)]
        }
        return Epoch(
            number=self.epoch,
            target=self._name(self._target),
            nodes=nodes,
            edges=edges,
            seconds=seconds,
            images_per_s=images_per_s,
            peak_memory_bytes=peak_memory_bytes(self.device),
            ensemble=scores.get(ENSEMBLE),
            by_ensemble=self.graph.ensemble,
        )


def forward_precision(graph: Graph, device: torch.device) -> torch.dtype:
    """Return the type of the forward passes: bfloat16 where asked for, or by default on a GPU that computes in it."""
    asked = graph.train.precision
    if asked == "auto":
        asked = (
            "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        )
    return torch.bfloat16 if asked == "bfloat16" else torch.float32


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory used so far: the GPU's for a GPU, else this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
