"""Lets a head begin as a linear probe: logistic regression on the features of the frozen backbone.

Fine-tuning that starts from it disturbs the features less than from a random head, and is never far
below it (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", ICLR 2022).
"""

import hashlib
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ktg.data import Dataset
from ktg.data.undecoded import Rows
from ktg.graph import LABEL, Graph
from ktg.models.network import Network, classify, find_head, split_forward
from ktg.models.resolve import resolve_source
from ktg.training.label_weights import count_class_weights
from ktg.training.scoring import Split, autocast, compute_head_inputs, compute_logits
from ktg.training.tensor_cache import make_once
from ktg.version import __version__

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse: the largest is hardly any regularisation
FIXED_STRENGTH = 0.1  # where a class has one image only, so that nothing can be held out
FOLDS = 5
# So many held-out images tell which strength is best, in as few folds as have them: of 8,000 images
# of ten classes the regression took 139 s with all folds, and takes 16 s so.
HELD_OUT = 500
STEPS = 2000

Floats = NDArray[np.float64]


def load_probe(
    network: Network,
    split: Split,
    key: str,
    precision: torch.dtype,
    *,
    balanced: bool = False,
    cache: Path | None = None,
) -> bool:
    """Let the head of a network begin as the probe of its training images, as its backbone is now.

    split: these images. key: what the probe is kept under, so that the trials of a search fit it
    once. Returns False, and changes nothing, where the head is neither a linear layer of vectors
    nor a convolution that is given one place, where something follows it, or where only one class
    has images.
    """
    head, labels, weights = find_head(network), split.labels.cpu().numpy(), split.weights
    used = labels if weights is None else labels[weights > 0]
    if not isinstance(head, nn.Linear | nn.Conv2d) or len(np.unique(used)) < 2:
        return False

    if not _is_linear_at_the_end(network, head, split, precision):
        return False

    def fit() -> dict[str, Tensor]:
        features = compute_head_inputs(network, split, precision).flatten(1)
        weight, bias = fit_probe(
            features, labels, len(head.weight), balanced=balanced, weights=weights
        )
        return {"weight": weight, "bias": bias}

    found = make_once(f"probe-{key}", fit, cache)
    put_into_head(head, found["weight"], found["bias"])
    return True


@torch.no_grad()
def _is_linear_at_the_end(
    network: Network, head: nn.Linear | nn.Conv2d, split: Split, precision: torch.dtype
) -> bool:
    """Return whether a head is given one vector of each image, and says what the network says.

    SqueezeNet's convolution looks at many places, and its answers pass a ReLU. One batch shows it,
    before features of all images are kept.
    """
    network.eval()
    images, _ = next(iter(split))
    with autocast(split.device, precision):
        inputs, logits = split_forward(network, images)
        width = head.weight[0].numel()
        if len(inputs) != 1 or inputs[0].numel() != len(images) * width:
            return False
        return torch.equal(classify(network, inputs[0]).flatten(1), logits)


def compute_probe_key(
    graph: Graph, node: str, network: Network, dataset: Dataset, precision: torch.dtype, final: bool
) -> str:
    """Return the SHA-256 (64 hex digits) of all that decides the probe of a node.

    These are the backbone's weights, what it expects of images, the images, and the arithmetic.
    """
    spec = graph.nodes[node]
    weights = resolve_source(spec, graph.sources_for(spec.model)).content_hash()
    if spec.source == "none":
        weights = f"random {graph.train.seed} {node}"
    seen = (network.size, network.mean.flatten().tolist(), network.std.flatten().tolist())
    arguments = sorted(spec.model_args.items())
    data = dataset.labelled_fingerprint or dataset.fingerprint
    shown = (data, final, graph.data.balance != "none")
    parts = (__version__, spec.model, arguments, weights, seen, shown, str(precision))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def find_judge(graph: Graph, node: str) -> str:
    """Return the node in whose eyes a gate doubts the labels of another one; "" without one."""
    edge = graph.edges.get((LABEL, node))
    doubts = edge is not None and edge.gate in ("small_loss", "agree")
    return (edge.peer or "") if edge is not None and doubts else ""


def trust(
    judge: Network, split: Split, key: str, precision: torch.dtype, cache: Path | None = None
) -> Rows:
    """Return the rows of a split whose labels its judge predicts, too; all where too few are left.

    These are the labels that a head may begin with, where a gate will doubt the others. key: of the
    judge's weights, which the rows are kept under.
    """
    labels = split.labels.cpu()

    def ask() -> dict[str, Tensor]:
        return {"right": compute_logits(judge, split, precision).argmax(dim=1) == labels}

    right = make_once(f"trusted-{key}", ask, cache)["right"].numpy()
    rows = np.flatnonzero(right)
    enough = len(np.unique(labels.numpy()[rows])) == len(np.unique(labels.numpy()))
    return rows if enough else np.arange(len(labels))


def fit_probe(
    features: Tensor,
    labels: ArrayLike,
    classes: int,
    *,
    balanced: bool = False,
    weights: Floats | None = None,
) -> tuple[Tensor, Tensor]:
    """Return weights (classes, D) and bias (classes,) of a logistic regression on features (N, D).

    Its regularisation is the first of `STRENGTHS` after which the cross-validated loss grows: in at
    most five stratified folds, and in fewer where these hold out `HELD_OUT` images. `balanced`
    weighs each class alike. weights (N,): how much each label counts, of which only the proportions
    matter; those of weight 0 are left out. Of two classes each gets half of the difference; a class
    without an image gets weights of 0 and the lowest bias.
    """
    values, truth = features.double().numpy(), np.asarray(labels)
    if weights is not None:
        used = weights > 0
        values, truth = values[used], truth[used]
        weights = weights[used] / weights[used].mean()
        if balanced:
            each = count_class_weights(torch.from_numpy(truth), classes, torch.from_numpy(weights))
            weights = weights * each.double().numpy()[truth]
    mean = values.mean(axis=0)
    centred = values - mean
    # One scale for all features makes the strengths mean the same for every network, and lbfgs
    # needs fewer steps on centred ones. Neither changes what a regression can express.
    scale = float(np.sqrt((centred**2).mean())) or 1.0
    small, basis = _rotate(centred / scale)
    model = _choose_strength(small, truth, balanced, weights)
    rows, biases = model.coef_ @ basis / scale, model.intercept_
    if len(rows) == 1:
        rows, biases = np.concatenate([-rows, rows]) / 2, np.concatenate([-biases, biases]) / 2
    biases = biases - rows @ mean
    weight, bias = np.zeros((classes, len(mean))), np.full(classes, biases.min())
    weight[model.classes_], bias[model.classes_] = rows, biases
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def put_into_head(head: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Copy the weights of a probe into a head, which may have no bias."""
    with torch.no_grad():
        head.weight.copy_(weight.view_as(head.weight))
        if head.bias is not None:
            head.bias.copy_(bias)


def _rotate(values: Floats) -> tuple[Floats, Floats]:
    """Return values (N, R) and an orthonormal basis (R, D) whose product is `values` (N, D).

    R is the smaller of N and D. A regression with a quadratic penalty is the same in both.
    """
    if len(values) >= values.shape[1]:
        return values, np.eye(values.shape[1])
    # The columns of q span the rows of `values`: values = r.T @ q.T.
    q, r = np.linalg.qr(values.T)
    return r.T, q.T


def _choose_strength(
    values: Floats, labels: NDArray[Any], balanced: bool, weights: Floats | None
) -> Any:
    """Return the regression with the strength that cross-validation prefers, fitted to all rows.

    `weights` are balanced already.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold
    from sklearn.utils.class_weight import compute_sample_weight

    plainly = balanced and weights is None
    given = {"max_iter": STEPS, "class_weight": "balanced" if plainly else None}

    def weigh(rows: Rows | slice) -> Floats | None:
        return None if weights is None else weights[rows]

    folds = min(FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    if len(values) > HELD_OUT:
        values = values.astype(np.float32)  # twice as fast, and no worse
    with warnings.catch_warnings():
        # A head that has not quite converged is a good start, too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if folds < 2:
            model = LogisticRegression(C=FIXED_STRENGTH, **given)
            return model.fit(values, labels, weigh(slice(None)))
        cut = StratifiedKFold(folds, shuffle=True, random_state=0).split(values, labels)
        parts = list(cut)[: math.ceil(folds * HELD_OUT / len(values))]
        # Each begins where the one before it ended, the strongest regularisation first.
        models = [LogisticRegression(warm_start=True, **given) for _ in parts]
        lowest, best, begun = np.inf, STRENGTHS[0], (np.zeros(0), np.zeros(0))
        for strength in STRENGTHS:
            loss = 0.0
            for model, (kept, out) in zip(models, parts, strict=True):
                model.set_params(C=strength).fit(values[kept], labels[kept], weigh(kept))
                said = model.predict_proba(values[out])
                # Weighed as it is fitted: the plain loss would prefer hardly any regularisation,
                # with which the weights of the classes do nothing.
                alike = compute_sample_weight("balanced", labels[out]) if plainly else weigh(out)
                loss += log_loss(labels[out], said, sample_weight=alike)
            if loss >= lowest:
                break  # weaker ones are worse still, and take longest
            lowest, best, begun = loss, strength, (models[0].coef_, models[0].intercept_)
        final = LogisticRegression(C=best, warm_start=True, **given)
        final.coef_, final.intercept_ = begun
        return final.fit(values, labels, weigh(slice(None)))
