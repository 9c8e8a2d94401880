"""Defines the knowledge-transfer graph as plain frozen data.

Every field carries its own rule (bounds and one sentence of documentation) as metadata. The parser,
the JSON Schema and the reference documentation all read these rules, so they cannot disagree.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ktg.graph.data_spec import Data
from ktg.graph.fields import rule
from ktg.graph.vocabulary import (
    FEATURES,
    IMAGENET,
    LABEL_LOSSES,
    PEER_GATES,
    GateName,
    HeadName,
    LossName,
    OptimizerName,
    Scalar,
    ScheduleName,
    ViewName,
)


@dataclass(frozen=True, kw_only=True)
class Train:
    """How nodes are trained. A node may have its own optimizer, rate, decay and schedule."""

    epochs: int = rule(
        "Passes over the training split, or with `steps` the parts in which these are taken; after "
        "each comes a validation. 0: the networks are validated as they begin.",
        50,
        at_least=0,
    )
    steps: int | None = rule(
        "Length of the whole training in steps, for few images: each epoch has an equal share of "
        "them (rounded down), however many passes that is; default: an epoch is one pass.",
        None,
        at_least=1,
    )
    keep: Literal["last", "best"] = rule(
        "Which weights are kept at the end. best: those of the epoch that validated best, by the "
        "metric of the search, else by accuracy; the last validation is then of these, and a "
        "little too good, as the best of many. A final training has no validation: it keeps the "
        "last.",
        "last",
    )
    optimizer: OptimizerName = rule(
        "SGD with momentum, AdamW or Adam. Where a node and this section say neither optimizer nor "
        "rate, the node trains by the recipe of its source: `ktg graph show FILE --full` shows it.",
        "sgd",
    )
    lr: float = rule("Peak learning rate; see `optimizer`.", 0.1, above=0)
    momentum: float = rule("Momentum of SGD (beta1 of AdamW and Adam).", 0.9, at_least=0, below=1)
    nesterov: bool = rule("Nesterov momentum for SGD.", True)
    weight_decay: float = rule(
        "Weight decay (L2 for SGD and Adam, decoupled for AdamW).", 5e-4, at_least=0
    )
    decay_norm_and_bias: bool = rule(
        "Whether weight decay also acts on norm layers and biases.", True
    )
    schedule: ScheduleName = rule("Learning rate over training, after the warm-up.", "cosine")
    milestones: tuple[int, ...] = rule(
        "Epochs at which schedule `step` multiplies the rate by step_factor.", (), at_least=1
    )
    step_factor: float = rule(
        "Factor of schedule `step` at every milestone.", 0.1, above=0, at_most=1
    )
    warmup_epochs: float = rule(
        "Epochs over which the rate rises linearly from 0.", 0.0, at_least=0
    )
    label_smoothing: float = rule(
        "Label smoothing of the edges from `label`.", 0.0, at_least=0, below=1
    )
    clip_norm: float | None = rule(
        "Largest gradient norm of one node; default: no clipping.", None, above=0
    )
    ema_decay: float | None = rule(
        "Decay per step of an exponential moving average of the weights, which is then evaluated.",
        None,
        above=0,
        below=1,
    )
    aggregate: Literal["sum", "mean"] = rule(
        "Node losses: the sum of all open edges, or the label edge plus the mean of the open node "
        "edges.",
        "sum",
    )
    precision: Literal["auto", "float32", "bfloat16"] = rule(
        "Arithmetic of the forward passes; auto: bfloat16 on a GPU that has it, else float32.",
        "auto",
    )
    compile: bool = rule(
        "Compile the networks with torch.compile (pays off for long runs), but for those whose "
        "maps an edge compares.",
        False,
    )
    seed: int = rule("Seed of initial weights, batch order and augmentation.", 0, at_least=0)


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A named file of pretrained weights, with what its network expects of its input."""

    path: str = rule("A .safetensors, .pth or .ckpt file of weights; never unpickled as code.")
    part: str | None = rule(
        "What to take of a file that holds several networks: an entry (state_dict_ema), or what "
        "the names of the tensors begin with (teacher.backbone); default: state_dict or model.",
        None,
    )
    mean: tuple[float, ...] | None = rule(
        "Mean per channel of the input in [0, 1]; default: as the file says, or the model's own.",
        None,
    )
    std: tuple[float, ...] | None = rule(
        "Standard deviation per channel; default: as for `mean`.", None, above=0
    )
    model_args: Mapping[str, Scalar] = rule(
        "Arguments of the network that the weights are of, such as pad_type: same; a node without "
        "any takes these.",
        {},
    )
    origin: str | None = rule("Where the weights come from, and their licence.", None)
    accuracy: float | None = rule(
        "Share of images it gets right on its own data: what affinity scores are compared with.",
        None,
        at_least=0,
        at_most=1,
    )
    labels: str | None = rule(
        "A text file with the names of its classes, one a line in the order of its head: what the "
        "score emd needs.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class Node:
    """One network. The first node of a graph is the target; the others exist to make it better."""

    model: str = rule(
        "A timm or torchvision classification model, also with the tag of its published weights "
        "(resnet18.a1_in1k), or a CIFAR network such as resnet32. auto, not for the target: the "
        "network whose weights on this machine suit the images best, chosen once, before training."
    )
    source: str = rule(
        "Initial weights: none, imagenet, fractaldb, zoo/NAME, a name from `sources`, "
        "hf-hub:OWNER/NAME, or the path of a file; auto, not for the target: the weights on this "
        "machine that suit the images best.",
        "none",
    )
    input_size: int | None = rule(
        "Side in pixels at which this node sees the images; default: data size, or what the model "
        "demands.",
        None,
        at_least=4,
        at_most=2048,
    )
    augment: ViewName | None = rule(
        "The views of the images that this node sees; default: as in `data`.", None
    )
    model_args: Mapping[str, Scalar] = rule("Further arguments of the model's constructor.", {})
    head: HeadName = rule(
        "How the head begins. new: at random; probe: as logistic regression on the frozen features "
        "of the training images, its strength by cross-validation (at random, and an error without "
        "epochs, where a head is more than one linear layer).",
        "new",
    )
    frozen_epochs: int = rule(
        "Epochs at the start in which only the new head learns.", 0, at_least=0
    )
    frozen_views: int | None = rule(
        "While the backbone is frozen: show each training image in this many augmented views, "
        "drawn once and then in turn, so that their features are computed only once; default: new "
        "views in every epoch.",
        None,
        at_least=1,
    )
    unfreeze_from: int | float | None = rule(
        "What learns after the frozen epochs: the stages from this one to the output, counted from "
        "0, the stem; or, as a fraction, all but that share of the layers; the rest stays frozen "
        "for good. Default: everything.",
        None,
        at_least=0,
    )
    unfreeze_every: int | None = rule(
        "Gradual unfreezing: after the frozen epochs the last stage of the backbone learns, and "
        "one stage more, towards the input, after each time this many epochs, until all of "
        "`unfreeze_from`. Default: all at once.",
        None,
        at_least=1,
    )
    backbone_lr_scale: float = rule(
        "Factor of the learning rate of everything but the head, for fine-tuning.",
        1.0,
        above=0,
        at_most=1,
    )
    layer_decay: float = rule(
        "Factor of the learning rate from each stage of the backbone to the one before it, towards "
        "the input.",
        1.0,
        above=0,
        at_most=1,
    )
    frozen_norm: bool = rule(
        "Keep the batch-norm statistics that came with the weights while the backbone learns, too: "
        "for few images.",
        False,
    )
    optimizer: OptimizerName | None = rule(
        "This node's optimizer; default: as in `train`, or the recipe of its source.", None
    )
    lr: float | None = rule("This node's peak rate; default: as for `optimizer`.", None, above=0)
    weight_decay: float | None = rule(
        "This node's weight decay; default: as in `train`.", None, at_least=0
    )
    schedule: ScheduleName | None = rule("This node's schedule; default: as in `train`.", None)
    epochs: int | None = rule(
        "Where nothing teaches this node: the length of the training by which it gets its weights "
        "beforehand; 0: its weights teach as they are, with their own head where its classes are "
        "known to be those of the data (`labels` of a source say them) or where the node says "
        "`head: new`, else with a probe. Default: as in `train`.",
        None,
        at_least=0,
    )
    batch_size: int | None = rule(
        "Images per step of that training; default: as in `data`.", None, at_least=1
    )
    copy: int = rule(
        "Where nothing teaches this node: which of several that are alike in all else it is; each "
        "is trained with a seed of its own.",
        0,
        at_least=0,
    )
    warmup_epochs: float | None = rule(
        "Epochs over which this node's rate rises; default: as in `train`.", None, at_least=0
    )
    clip_norm: float | None = rule(
        "This node's largest gradient norm; default: as in `train`.", None, above=0
    )


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A loss by which a target node learns from a source node or from the label."""

    loss: LossName = rule(
        "Edges from `label`: ce, or for doubtful labels gce (generalised cross-entropy), sce "
        "(symmetric cross-entropy), bootstrap (trusts predictions more and more). Between nodes: "
        "kl, js, dkd (decoupled distillation), emd (earth mover's distance) and dist "
        "(correlations) compare probabilities, attention and feature compare maps of features, "
        "embedding what the two heads are given, whatever their shapes."
    )
    gate: GateName = rule("Weight of each sample over training.", "through")
    weight: float | Literal["learned"] = rule(
        "Factor of this edge's loss; learned: by the loss's own uncertainty, from 1 on.",
        1.0,
        above=0,
    )
    temperature: float = rule(
        "Softmax temperature T of both sides; the loss is multiplied by T^2 (emd: by T).",
        1.0,
        above=0,
    )
    alpha: float = rule(
        "dkd: weight of the label's class against the others; sce: of the cross-entropy.",
        1.0,
        at_least=0,
    )
    beta: float = rule(
        "dkd: weight of how the other classes compare with each other; sce: of the reverse "
        "cross-entropy.",
        8.0,
        at_least=0,
    )
    exponent: float = rule(
        "gce: near 0 it is the cross-entropy, 1 the mean absolute error, which wrong labels "
        "mislead least.",
        0.7,
        above=0,
        at_most=1,
    )
    trust: float = rule(
        "bootstrap: share of the target that predictions have at the end of training.",
        0.8,
        at_least=0,
        at_most=1,
    )
    distance: str = rule(
        "emd: how far the classes lie apart: features (between class means of the source's "
        "features, as it begins), or a file: a table in .csv with the classes' names in its first "
        "row and column, or word embeddings in text.",
        FEATURES,
    )
    maps: int | None = rule(
        "attention, feature: how many maps are compared, from the last on towards the input, one "
        "for each size that maps have; default: as many as both nodes have.",
        None,
        at_least=1,
    )
    over: Literal["batch", "kept"] = rule(
        "What the gates correct, small_loss, agree and disagree divide by: the batch, or the "
        "samples they let through.",
        "batch",
    )
    noise: float | Literal["auto"] = rule(
        "Gate small_loss: the share of wrong labels; auto: estimated once, before training, on "
        "out-of-fold predictions of the training images, and kept as a number.",
        0.2,
        at_least=0,
        below=1,
    )
    peer: str | None = rule(
        "Edges from `label`: the node in whose eyes gate small_loss compares losses, with whose "
        "predictions agree and disagree compare, and whose predictions loss bootstrap trusts; "
        "default: the node itself. Between nodes it is the source.",
        None,
    )

    @property
    def asks_peer(self) -> bool:
        """Whether gate or loss look at the predictions of a peer."""
        return self.gate in ("small_loss", "agree", "disagree") or self.loss == "bootstrap"

    def without_peer(self) -> "Edge":
        """Return the edge for a graph in which no other node can be asked."""
        return replace(self, peer=None, gate="through" if self.gate in PEER_GATES else self.gate)

    @property
    def needs_label(self) -> bool:
        """Whether the edge says nothing of an image without a label."""
        return self.loss in (*LABEL_LOSSES, "dkd") or self.gate in ("correct", "small_loss")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A knowledge-transfer graph that can be trained: Minami et al., ACCV 2020.

    `nodes` is ordered and its first entry is the target. `edges` maps (source, target) to the edge;
    the source may be `label`. A missing edge is a cut one. `weights` has, by model, the files that
    stand for `source: imagenet`. `ensemble`: what is scored and deployed is not the first node but
    the mean of all nodes' probabilities (Okamoto et al., "Deep Ensemble Learning by Diverse
    Knowledge Distillation for Fine-Grained Object Classification", ECCV 2022).
    """

    data: Data
    train: Train = field(default_factory=Train)
    nodes: Mapping[str, Node]
    edges: Mapping[tuple[str, str], Edge]
    sources: Mapping[str, SourceFile] = field(default_factory=dict)
    weights: Mapping[str, SourceFile] = field(default_factory=dict)
    provenance: Mapping[str, Scalar] = field(default_factory=dict)
    ensemble: bool = False

    @property
    def target(self) -> str:
        """The name of the first node, which is scored and deployed unless the ensemble is."""
        return next(iter(self.nodes))

    @property
    def imagenet_models(self) -> frozenset[str]:
        """The models that some node starts from `source: imagenet`."""
        return frozenset(node.model for node in self.nodes.values() if node.source == IMAGENET)

    def with_needed_weights(self) -> "Graph":
        """Return the graph without the files of `weights` that none of its nodes starts from."""
        wanted = self.imagenet_models
        return replace(
            self, weights={model: file for model, file in self.weights.items() if model in wanted}
        )

    def sources_for(self, model: str) -> Mapping[str, SourceFile]:
        """Return the files that a node of this model may name as its source."""
        return sources_for(model, self.sources, self.weights)

    def epochs_of(self, name: str) -> int:
        """Return how long a node trains: as it says itself, else as `train` does."""
        own = self.nodes[name].epochs
        return self.train.epochs if own is None else own

    def _repr_svg_(self) -> str:
        """Return the drawing, which a notebook shows."""
        # By its name, as drawing is built on this module, which imports nothing of the room.
        drawing = importlib.import_module("ktg.graph.drawing")
        return str(drawing.draw(self))


def sources_for(
    model: str, sources: Mapping[str, SourceFile], weights: Mapping[str, SourceFile]
) -> Mapping[str, SourceFile]:
    """Return the files that a node of this model may name as its source.

    They are `sources` and, where `weights` has a file for the model, that file as `imagenet`.
    """
    return {**sources, IMAGENET: weights[model]} if model in weights else sources
