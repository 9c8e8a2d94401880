"""Computes LogME by MacKay's fixed point as published programs do, to compare numbers with them."""

import math

from torch import Tensor

from ktg.affinity.logme import _project_labels as project_labels
from ktg.affinity.sample import Sample


def logme_fixed_point(
    sample: Sample, *, iterations: int = 11, tolerance: float = 1e-2, epsilon: float = 0.0
) -> float:
    """Return LogME by MacKay's fixed point, stopped early as in published programs.

    For comparison with their numbers, which can lie a few hundredths below the maximum that `logme`
    finds. The ratio of the precisions changes by at most the share `tolerance` in the last step;
    `epsilon` is added to the denominators of both (some programs: 1e-3 and 1e-5).
    """
    squares, signal, rest = project_labels(sample)
    return sum(
        _fixed_point(squares, x2, beyond, len(sample.labels), iterations, tolerance, epsilon)
        for x2, beyond in zip(signal.T, rest, strict=True)
    ) / len(sample.classes)


def _fixed_point(
    squares: Tensor,
    x2: Tensor,
    beyond: Tensor,
    images: int,
    iterations: int,
    tolerance: float,
    epsilon: float,
) -> float:
    alpha = beta = squares.new_ones(())
    for _ in range(iterations):
        t = alpha / beta
        gamma = (squares / (squares + t)).sum()
        m2 = (squares * x2 / (t + squares) ** 2).sum()
        res2 = (x2 * (t / (t + squares)) ** 2).sum() + beyond
        alpha, beta = gamma / (m2 + epsilon), (images - gamma) / (res2 + epsilon)
        if abs(alpha / beta - t) <= tolerance * t:
            break
    log_det = (alpha + beta * squares).log().sum() - len(squares) * alpha.log()
    evidence = images * (beta.log() - math.log(2 * math.pi)) - log_det - beta * res2 - alpha * m2
    return float(evidence) / (2 * images)
