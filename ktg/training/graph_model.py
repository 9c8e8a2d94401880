"""Holds the networks of a graph: their forward pass, their scores and predictions, their state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktg.data import Dataset, Images, check_batch, merge
from ktg.errors import SpecError, WeightsError
from ktg.graph import Graph, edge_path
from ktg.graph.canonical import (
    canonicalise_with_names,
    check_trainable,
    form_key,
    open_edges,
)
from ktg.graph.vocabulary import AUTO
from ktg.models.network import (
    Ensemble,
    Network,
    choose_device,
    classify,
    find_head,
    flatten_features,
)
from ktg.models.resolve import inherit_model_args
from ktg.training.answers import Answers, Question, find_embedded
from ktg.training.assembly import assemble
from ktg.training.edge_losses import NodeOutputs
from ktg.training.scoring import (
    Evaluation,
    Split,
    autocast,
    compute_head_inputs,
    compute_logits,
    evaluate,
)
from ktg.training.step_errors import explain_errors, name_node_in_errors
from ktg.training.teachers import TrainAlone
from ktg.training.training_batches import TrainingBatch


class GraphModel:
    """The networks of a graph, in its canonical form.

    In that form a renamed copy of a graph, or one with dead nodes, gives the very same numbers;
    `names` maps the canonical names back to the user's. Only live nodes are built. `images` are
    those it is trained on, and `epoch` counts the epochs trained so far. See `Training` for the
    options.
    """

    def __init__(
        self,
        graph: Graph,
        dataset: Dataset,
        train_alone: TrainAlone,
        *,
        device: torch.device | str | None = None,
        final: bool = False,
        cache: Path | None = None,
        metric: str = "accuracy",
    ) -> None:
        check_trainable(graph)
        check_settled(graph)
        form, names = canonicalise_with_names(graph)
        self.names = {names[original]: original for original in graph.nodes if original in names}
        self.graph = inherit_model_args(form, self.names)
        self.key = form_key(self.graph)
        self._target = names[graph.target]  # of an ensemble it need not be the first
        self.device = choose_device(device)
        self.precision = choose_precision(graph, self.device)
        self.dataset, self.final, self.metric, self.epoch = dataset, final, metric, 0
        both = final and graph.data.per_class is None
        self.images = merge(dataset) if both else dataset.train
        check_batch(graph.data, len(self.images))
        with explain_errors("building the networks"):
            parts = assemble(
                self.graph,
                dataset,
                self.names,
                self.device,
                train_alone,
                final=final,
                cache=cache,
                metric=metric,
            )
        self.learners, self.teachers = parts.learners, parts.teachers
        self.teacher_keys, self.layers = parts.teacher_keys, parts.layers
        self.adapters, self.embedded = parts.adapters, find_embedded(self.graph)

    def forward(self, batch: TrainingBatch) -> NodeOutputs:
        """Return what every node makes of a batch, with gradients for those that learn."""
        answers = {}
        with autocast(self.device, self.precision):
            for name in self.graph.nodes:
                model = self.graph.nodes[name].model
                with (
                    torch.set_grad_enabled(name in self.learners),
                    name_node_in_errors(self.names[name], model),
                ):
                    answers[name] = self._ask(name, batch)
        return NodeOutputs(
            {name: answer.logits for name, answer in answers.items()},
            batch.labels,
            {name: answer.maps for name, answer in answers.items()},
            {name: x.features for name, x in answers.items() if x.features is not None},
            batch.weights,
        )

    def _ask(self, name: str, batch: TrainingBatch) -> Answers:
        """Return what one node makes of a batch; a teacher may have said it beforehand."""
        if name in batch.answers:
            return batch.answers[name]
        network = self.trained_networks[name]
        if name in batch.features:
            features = batch.features[name]
            return Answers(classify(network, features), flatten_features(features))
        images = batch.images[name]
        if name in self.layers or name in self.embedded:
            layers = self.layers.get(name, ())
            ask = Question(network, self.device, self.precision, name in self.embedded, layers)
            return ask(images)
        learner = self.learners.get(name)
        return Answers(learner.forward(images) if learner else network(images))

    @property
    def trained_networks(self) -> dict[str, Network]:
        """The networks that are trained or teach, by canonical name: never the averaged ones."""
        learning = {name: learner.network for name, learner in self.learners.items()}
        return {**learning, **self.teachers}

    @property
    def networks(self) -> dict[str, Network]:
        """The networks that count, by canonical name: the averaged ones where there are any."""
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
        """What is scored and deployed: the target, or the ensemble where the graph asks for it."""
        if not self.graph.ensemble:
            return self.target
        return Ensemble({original: self.networks[name] for name, original in self.names.items()})

    def test(self, images: Images) -> Evaluation:
        """Return the evaluation of what is scored, on a split that training has never seen."""
        with explain_errors("test", self.graph.data.batch_size):
            split, one = self.split(images), {"scored": self.scored}
            return evaluate(one, split, self.precision, in_full=one)["scored"]

    def predict(self, images: Images) -> Tensor:
        """Return the probabilities of what is scored (N, C), float32 on the CPU, in order."""
        return self.logits(images).softmax(dim=1)

    def logits(self, images: Images, network: Network | None = None) -> Tensor:
        """Return the logits (N, C), float32 on the CPU, in order: of what is scored, or of one."""
        with explain_errors("prediction", self.graph.data.batch_size):
            return compute_logits(network or self.scored, self.split(images), self.precision)

    def features(self, images: Images) -> Tensor:
        """Return what the target's head is given (N, ...), float32 on the CPU, in order.

        Raises SpecError for a network without a head of its own.
        """
        if find_head(self.target) is None:
            path = f"nodes.{self.names[self._target]}.model"
            raise SpecError(path, f"{self.graph.nodes[self._target].model} has no head of its own")
        with explain_errors("features", self.graph.data.batch_size):
            return compute_head_inputs(self.target, self.split(images), self.precision)

    def split(self, images: Images) -> Split:
        """Return a split on the model's device, in batches for evaluation."""
        return Split(images, self.device, batch_size=2 * self.graph.data.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue.

        With it, an interrupted run equals an uninterrupted one bit for bit.
        """
        learners = {name: learner.state_dict() for name, learner in self.learners.items()}
        return {"key": self.key, "epoch": self.epoch, "learners": learners}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same graph; raise WeightsError for one of another graph."""
        if state.get("key") != self.key:
            raise WeightsError(
                "this checkpoint belongs to another graph; start again or give its own graph"
            )
        for name, learner in self.learners.items():
            learner.load_state_dict(state["learners"][name])
        self.epoch = state["epoch"]


def check_settled(graph: Graph) -> None:
    """Raise SpecError for a network that nobody has chosen yet, or a share of wrong labels."""
    for name, node in graph.nodes.items():
        if AUTO in (node.model, node.source):
            problem = "auto is chosen by `ktg train` and `ktg search`, before anything is trained"
            raise SpecError(f"nodes.{name}", f"{problem}; name a model and a source here")
    for pair, edge in open_edges(graph).items():
        if edge.gate == "small_loss" and edge.noise == AUTO:
            problem = (
                "auto is estimated by `ktg train` and `ktg search`, before anything is trained"
            )
            raise SpecError(f"{edge_path(*pair)}.noise", f"{problem}; give a number here")


def choose_precision(graph: Graph, device: torch.device) -> torch.dtype:
    """Return the type of the forward passes; `auto` is bfloat16 on a GPU that computes in it."""
    wanted = graph.train.precision
    if wanted == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        wanted = "bfloat16" if fast else "float32"
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
