"""Scores sources by more than features: by their predictions, class names or images."""

import numpy as np
import torch
from torch import Tensor

from ktg.affinity.sample import Sample
from ktg.affinity.table import Numbers
from ktg.errors import DataError


def leep(sample: Sample) -> float:
    """Return the mean log-likelihood of the labels, given P(label | source class) and predictions.

    Nguyen et al., "LEEP: A New Measure to Evaluate Transferability of Learned Representations",
    ICML 2020. A source class that no image has any probability of says nothing, and is left out.
    """
    probs = _given(sample.source_probs)
    joint = sample.one_hot.T @ probs
    conditional = joint / _positive(joint.sum(dim=0))
    return float((conditional[sample.labels] * probs).sum(dim=1).log().mean())


def nce(sample: Sample) -> float:
    """Return minus the conditional entropy of the labels given the source's most probable class.

    Tran, Nguyen and Hassner, "Transferability and Hardness of Supervised Classification Tasks",
    ICCV 2019.
    """
    probs = _given(sample.source_probs)
    guessed = torch.nn.functional.one_hot(probs.argmax(dim=1), probs.shape[1]).to(torch.float64)
    joint = sample.one_hot.T @ guessed / len(probs)
    conditional = joint / _positive(joint.sum(dim=0))
    return float(torch.special.xlogy(joint, conditional).sum())


def emd(sample: Sample) -> float:
    """Return the mean cost of moving source probabilities to the label over class distances.

    With all mass on one side in one class, the optimal transport is known: sum_i p_i d(i, label).
    Smaller is better.
    """
    return float(
        (_given(sample.source_probs) @ _given(sample.class_distance))
        .gather(1, sample.labels[:, None])
        .mean()
    )


def emd_features(sample: Sample) -> float:
    """Return the earth mover's distance between class means of source and target images.

    Cui et al., "Large Scale Fine-Grained Categorization and Domain-Specific Transfer Learning",
    CVPR 2018; the cost is Euclidean, and a class weighs as many images as it has. Smaller is
    better. Raises DataError where the solver finds no optimum.
    """
    source = _given(sample.source_means)
    means = sample.one_hot.T @ sample.vectors.to(torch.float64) / sample.counts[:, None]
    if source.ndim != 2 or source.shape[1] != means.shape[1]:
        raise DataError(
            f"source_means: shape {tuple(source.shape)}; "
            f"expected (source classes, {means.shape[1]})"
        )
    sizes = (
        source.new_ones(len(source)) if sample.source_sizes is None else _given(sample.source_sizes)
    )
    supply, demand = ((mass / mass.sum()).cpu().numpy() for mass in (sizes, sample.counts))
    return _transport_cost(supply, demand, torch.cdist(source, means).cpu().numpy())


def _transport_cost(supply: Numbers, demand: Numbers, cost: Numbers) -> float:
    """Return the least cost of moving `supply` (S,) to `demand` (K,), both of sum 1.

    A linear program over the amounts (S, K) moved at `cost` (S, K): every row of them sums to its
    supply, every column to its demand. Supply (1, 0), demand (0.5, 0.5), cost ((0, 2), (2, 0)) ->
    1.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    if not np.isfinite(cost).all():
        raise DataError("emd_features: the transport problem was not solved (an infinite distance)")
    rows, columns = len(supply), len(demand)
    leaves = kron(eye_array(rows), np.ones((1, columns)))
    arrives = kron(np.ones((1, rows)), eye_array(columns))
    found = linprog(
        cost.ravel(), A_eq=vstack([leaves, arrives]), b_eq=np.concatenate([supply, demand])
    )
    if not found.success:
        raise DataError(f"emd_features: the transport problem was not solved ({found.message})")
    return float(found.fun)


def _given(value: Tensor | None) -> Tensor:
    """Return an input as float64; that it is there has been checked by the score's needs."""
    if value is None:
        raise DataError("this score needs more than features and labels")
    return value.to(torch.float64)


def _positive(mass: Tensor) -> Tensor:
    return torch.where(mass > 0, mass, 1.0)
