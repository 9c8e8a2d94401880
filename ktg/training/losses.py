"""Losses of edges, per sample (B,): functions of log-probabilities, or of feature maps.

Log-probabilities are (B, C), as `log_probabilities` makes them. Working in the log domain keeps
losses exact where a product of probabilities would underflow: `log(p / (q + 1e-10))` saturates at
23.03, and its gradient vanishes, once the logits are more than about 25 apart. The earth mover's
distance is in `ktg.training.sinkhorn`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log softmax(logits / temperature), (B, C), in float32 or better.

    Half-precision logits are widened first: in float16 the log-probability of a class 7e4 logits
    away would be -inf, and 0 * inf is not a number.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    scaled = logits.to(wide) if temperature == 1.0 else logits.to(wide) / temperature
    return torch.log_softmax(scaled, dim=1)


def ce(log_q: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy (B,) of log-probabilities (B, C) with labels, int64 (B,) or probabilities (B, C).

    `smoothing` mixes the label with the uniform distribution (Szegedy et al., "Rethinking the
    Inception Architecture for Computer Vision", CVPR 2016).
    """
    plain = (
        -log_q.gather(1, labels[:, None]).squeeze(1)
        if labels.ndim == 1
        else -(labels * log_q).sum(dim=1)
    )
    return plain if smoothing == 0.0 else (1 - smoothing) * plain - smoothing * log_q.mean(dim=1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q), (B,): what is lost when q (the taught) stands for p (the teacher).

    Up to the entropy of the teacher, the loss of distillation (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015); also that of mutual learning (Zhang et al., "Deep Mutual
    Learning", CVPR 2018).
    """
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def js(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B,), at most log 2 (Lin, IEEE Trans. Information Theory 1991)."""
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    return (kl(log_p, log_mean) + kl(log_q, log_mean)) / 2


def dkd(
    log_p: Tensor, log_q: Tensor, labels: Tensor, alpha: float | Tensor, beta: float | Tensor
) -> Tensor:
    """Return alpha TCKD + beta NCKD, (B,): Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022.

    TCKD is the divergence of how probable the label's class is (against all others together), NCKD
    that of how the others compare among themselves. With alpha 1 and beta 1 - p[label] their sum is
    KL(p || q). `labels` are int64 (B,); alpha and beta are numbers, or (B,).
    """
    others = torch.arange(log_p.shape[1] - 1, device=labels.device).expand(len(labels), -1)
    others = others + (
        others >= labels[:, None]
    )  # by number and not by mask, for which the host would wait
    log_p_rest, log_q_rest = log_p.gather(1, others), log_q.gather(1, others)
    log_p_other = log_p_rest.logsumexp(dim=1, keepdim=True)
    log_q_other = log_q_rest.logsumexp(dim=1, keepdim=True)
    label = labels[:, None]
    target = kl(
        torch.cat([log_p.gather(1, label), log_p_other], dim=1),
        torch.cat([log_q.gather(1, label), log_q_other], dim=1),
    )
    return alpha * target + beta * kl(log_p_rest - log_p_other, log_q_rest - log_q_other)


def attention(maps_p: Tensor, maps_q: Tensor) -> Tensor:
    """Return the squared distance (B,), in [0, 2], of the two attention maps at unit length, from maps (B, C, H, W).

    An attention map is the mean over the channels of the squared activations: Zagoruyko &
    Komodakis, "Paying More Attention to Attention", ICLR 2017, in the form of their code, but
    summed over the positions and not averaged, so that it does not depend on how many there are.
    The larger map is averaged down to the smaller one's size.
    """
    energies = same_size(
        maps_p.square().mean(dim=1, keepdim=True), maps_q.square().mean(dim=1, keepdim=True)
    )
    one, other = (functional.normalize(energy.flatten(1), dim=1) for energy in energies)
    return (one - other).square().sum(dim=1)


def feature(maps_p: Tensor, maps_q: Tensor) -> Tensor:
    """Return the mean squared difference (B,) of maps (B, C, H, W) with as many channels.

    The hint of FitNets (Romero et al., ICLR 2015), whose regressor has been applied to `maps_q`
    already. The larger map is averaged down to the smaller one's size.
    """
    one, other = same_size(maps_p, maps_q)
    return (one - other).square().mean(dim=(1, 2, 3))


def same_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return two maps (B, C, H, W) with the larger one averaged down to the height and width of the smaller."""
    height, width = map(min, one.shape[2:], other.shape[2:])
    return _averaged(one, height, width), _averaged(other, height, width)


def _averaged(maps: Tensor, height: int, width: int) -> Tensor:
    return (
        maps
        if maps.shape[2:] == (height, width)
        else functional.adaptive_avg_pool2d(maps, (height, width))
    )


def uncertain(loss: Tensor, log_variance: Tensor) -> Tensor:
    """Return exp(-s) loss + s / 2 for s = `log_variance`: a loss (B,) weighted by its homoscedastic uncertainty.

    The best s is log(2 mean loss), where the weight is 1 / (2 mean loss): Kendall, Gal & Cipolla,
    "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018, in the form they give for
    classification.
    """
    return torch.exp(-log_variance) * loss + log_variance / 2


NODE_LOSSES: Mapping[Literal["kl", "js"], Callable[[Tensor, Tensor], Tensor]] = {"kl": kl, "js": js}
MAP_LOSSES: Mapping[Literal["attention", "feature"], Callable[[Tensor, Tensor], Tensor]] = {
    "attention": attention,
    "feature": feature,
}
