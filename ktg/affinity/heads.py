"""Scores that need more than features: the source's own predictions, the names of its classes, or its images."""

import warnings
from typing import Any

import torch
from torch import Tensor

from ktg.affinity.sample import Sample
from ktg.errors import DataError


def leep(sample: Sample) -> float:
    """Return the mean log-likelihood of the labels under the source's predictions joined to P(label | source class).

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
    """Return the mean cost of moving an image's source probabilities to its label, at the distance between names.

    With all mass on one side in one class, the optimal transport is known: sum_i p_i d(i, label).
    Smaller is better.
    """
    return float(
        (_given(sample.source_probs) @ _given(sample.class_distance))
        .gather(1, sample.labels[:, None])
        .mean()
    )


def emd_features(sample: Sample) -> float:
    """Return the earth mover's distance between the class means of source and target images, by Euclidean cost.

    Cui et al., "Large Scale Fine-Grained Categorization and Domain-Specific Transfer Learning",
    CVPR 2018; classes weigh as many images as they have. Smaller is better. Raises DataError where
    the solver finds no optimum.
    """
    source = _given(sample.source_means)
    means = sample.one_hot.T @ sample.vectors.to(torch.float64) / sample.counts[:, None]
    if source.ndim != 2 or source.shape[1] != means.shape[1]:
        raise DataError(
            f"source_means: shape {tuple(source.shape)}; expected (source classes, {means.shape[1]})"
        )
    sizes = (
        source.new_ones(len(source)) if sample.source_sizes is None else _given(sample.source_sizes)
    )
    weights = [(mass / mass.sum()).cpu().numpy() for mass in (sizes, sample.counts)]
    transport = solver()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # for a cost that is not a number the solver warns and returns 0
        try:
            return float(transport.emd2(*weights, torch.cdist(source, means).cpu().numpy()))
        except Warning as problem:
            raise DataError(
                f"emd_features: the transport problem was not solved ({problem})"
            ) from problem


def solver() -> Any:
    """Return POT (Flamary et al., "POT: Python Optimal Transport", JMLR 2021), imported when it is first needed."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # its docstrings have escapes that newer versions of Python warn about
        import ot
    return ot


def _given(value: Tensor | None) -> Tensor:
    """Return an input as float64; that it is there has been checked by the score's needs."""
    if value is None:
        raise DataError("this score needs more than features and labels")
    return value.to(torch.float64)


def _positive(mass: Tensor) -> Tensor:
    return torch.where(mass > 0, mass, 1.0)
