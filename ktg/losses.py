"""Losses of edges, per sample, as functions of log-probabilities.

All take log-probabilities (B, C) as `log_probabilities` makes them and return (B,). Working in the log domain keeps
them exact where a product of probabilities would underflow: `log(p / (q + 1e-10))` saturates at 23.03, and its
gradient vanishes, once the logits are more than about 25 apart.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log softmax(logits / temperature), (B, C), in float32 or better.

    Half-precision logits are widened first: in float16 the log-probability of a class 7e4 logits away would be -inf,
    and 0 * inf is not a number.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    scaled = logits.to(wide) if temperature == 1.0 else logits.to(wide) / temperature
    return torch.log_softmax(scaled, dim=1)


def ce(log_q: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy (B,) of log-probabilities (B, C) with labels, int64 (B,) or probabilities (B, C).

    `smoothing` mixes the label with the uniform distribution (Szegedy et al., "Rethinking the Inception Architecture
    for Computer Vision", CVPR 2016).
    """
    plain = -log_q.gather(1, labels[:, None]).squeeze(1) if labels.ndim == 1 else -(labels * log_q).sum(dim=1)
    return plain if smoothing == 0.0 else (1 - smoothing) * plain - smoothing * log_q.mean(dim=1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q), (B,): what is lost when q (the taught) stands for p (the teacher).

    Up to the entropy of the teacher, the loss of distillation (Hinton et al., "Distilling the Knowledge in a Neural
    Network", 2015); also that of mutual learning (Zhang et al., "Deep Mutual Learning", CVPR 2018).
    """
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def js(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B,), at most log 2 (Lin, IEEE Trans. Information Theory 1991)."""
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    return (kl(log_p, log_mean) + kl(log_q, log_mean)) / 2


NODE_LOSSES: Mapping[Literal["kl", "js"], Callable[[Tensor, Tensor], Tensor]] = {"kl": kl, "js": js}
