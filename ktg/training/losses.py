"""Computes the losses of edges, per sample (B,), in nats: from log-probabilities or feature maps.

Log-probabilities are (B, C), as `log_probabilities` makes them. Working in the log domain keeps
losses exact where a product of probabilities would underflow: `log(p / (q + 1e-10))` saturates at
23.03, and its gradient vanishes, once the logits are more than about 25 apart. In every loss p is
the source of the edge, which teaches, and q its target, which learns. The earth mover's distance
is in `ktg.training.sinkhorn`; which edge uses which loss, in `ktg.training.edge_losses`.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

LOG_ZERO = -4.0  # what log 0 counts as in the reverse cross-entropy


def log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return log softmax(logits / temperature), (B, C), in float32 or better.

    >>> log_probabilities(torch.tensor([[1.0, 0.0]]), temperature=2.0)
    tensor([[-0.4741, -0.9741]])
    """
    # Half-precision logits are widened first: in float16 the log-probability of a class 7e4 logits
    # away would be -inf, and 0 * inf is not a number.
    wide = torch.promote_types(logits.dtype, torch.float32)
    scaled = logits.to(wide) if temperature == 1.0 else logits.to(wide) / temperature
    return torch.log_softmax(scaled, dim=1)


def ce(log_q: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy (B,) of log-probabilities (B, C) with the labels.

    `labels` are int64 (B,), or probabilities (B, C). `smoothing` in [0, 1) mixes them with the
    uniform distribution (Szegedy et al., "Rethinking the Inception Architecture for Computer
    Vision", CVPR 2016).

    >>> log_q = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> ce(log_q, torch.tensor([0])), ce(log_q, torch.tensor([0]), smoothing=0.1)
    (tensor([0.6931]), tensor([0.7394]))
    """
    if labels.ndim == 1:
        plain = -log_q.gather(1, labels[:, None]).squeeze(1)
    else:
        plain = -(labels * log_q).sum(dim=1)
    return plain if smoothing == 0.0 else (1 - smoothing) * plain - smoothing * log_q.mean(dim=1)


def gce(log_q: Tensor, labels: Tensor, exponent: float, smoothing: float = 0.0) -> Tensor:
    """Return the generalised cross-entropy (1 - q[label]^e) / e, (B,), of log-probabilities (B, C).

    Near e = 0 it is the cross-entropy, at e = 1 the mean absolute error: between them a wrong label
    pulls the less, the surer the network is of another class. At most 1 / e. `labels` and
    `smoothing` are as for `ce`. Zhang & Sabuncu, "Generalized Cross Entropy Loss for Training Deep
    Neural Networks with Noisy Labels", NeurIPS 2018.

    >>> gce(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]), exponent=0.5)
    tensor([1.])
    """
    each = -torch.expm1(exponent * log_q) / exponent  # exact where q is near 1
    if labels.ndim == 1:
        plain = each.gather(1, labels[:, None]).squeeze(1)
    else:
        plain = (labels * each).sum(dim=1)
    return plain if smoothing == 0.0 else (1 - smoothing) * plain + smoothing * each.mean(dim=1)


def sce(log_q: Tensor, labels: Tensor, alpha: float, beta: float, smoothing: float = 0.0) -> Tensor:
    """Return alpha CE + beta RCE, (B,): symmetric cross-entropy of log-probabilities (B, C).

    RCE is the cross-entropy the other way round, -sum_k q_k log y_k, where log 0 counts as -4: of a
    hard label 4 (1 - q[label]), which wrong labels mislead less. `labels` and `smoothing` are as
    for `ce`; only CE is smoothed. Wang et al., "Symmetric Cross Entropy for Robust Learning with
    Noisy Labels", ICCV 2019, who weigh CE and RCE as 0.1 to 1 on CIFAR-10.

    >>> sce(torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0]), alpha=1.0, beta=1.0)
    tensor([4.3863])
    """
    if labels.ndim == 1:
        reverse = -LOG_ZERO * -torch.expm1(log_q.gather(1, labels[:, None]).squeeze(1))
    else:
        reverse = -(log_q.exp() * labels.clamp(min=math.exp(LOG_ZERO)).log()).sum(dim=1)
    return alpha * ce(log_q, labels, smoothing) + beta * reverse


def bootstrap(
    log_p: Tensor, log_q: Tensor, labels: Tensor, share: float, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy (B,) with the mixture (1 - share) label + share p.

    p are the predictions of the network itself or of a peer, as log-probabilities (B, C) without
    gradients. `labels` and `smoothing` are as for `ce`. Reed et al., "Training Deep Neural Networks
    on Noisy Labels with Bootstrapping", ICLR workshop 2015 (the soft kind, with a fixed share).

    >>> log_p, log_q = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]]).log()
    >>> bootstrap(log_p, log_q, torch.tensor([0]), share=0.5)  # -0.75 log 0.25 - 0.25 log 0.75
    tensor([1.1116])
    """
    soft = -(log_p.exp() * log_q).sum(dim=1)
    return (1 - share) * ce(log_q, labels, smoothing) + share * soft


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q), (B,): the information lost when q stands for p.

    Up to the entropy of p this is the loss of distillation (Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015), and that of mutual learning (Zhang et al., "Deep Mutual
    Learning", CVPR 2018).

    >>> kl(torch.tensor([[0.8, 0.1, 0.1]]).log(), torch.tensor([[0.5, 0.25, 0.25]]).log())
    tensor([0.1927])
    """
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def js(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (B,), symmetric and at most log 2.

    Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Trans. Information Theory 1991.

    >>> js(torch.tensor([[0.8, 0.1, 0.1]]).log(), torch.tensor([[0.5, 0.25, 0.25]]).log())
    tensor([0.0507])
    """
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    return (kl(log_p, log_mean) + kl(log_q, log_mean)) / 2


def dkd(
    log_p: Tensor, log_q: Tensor, labels: Tensor, alpha: float | Tensor, beta: float | Tensor
) -> Tensor:
    """Return alpha TCKD + beta NCKD, (B,): decoupled knowledge distillation.

    TCKD is the divergence of how probable the label's class is (against all others together), NCKD
    that of how the others compare among themselves. With alpha 1 and beta 1 - p[label] their sum is
    KL(p || q). `labels` are int64 (B,); alpha and beta are numbers, or (B,). Zhao et al.,
    "Decoupled Knowledge Distillation", CVPR 2022.

    >>> log_p, log_q = torch.tensor([[[0.8, 0.1, 0.1]], [[0.5, 0.4, 0.1]]]).log()
    >>> dkd(log_p, log_q, torch.tensor([0]), alpha=1.0, beta=8.0)
    tensor([1.9779])
    """
    # The other classes are gathered by number. A boolean mask would make the host wait for the
    # device, which has to count its ones before the shape of the result is known.
    others = torch.arange(log_p.shape[1] - 1, device=labels.device).expand(len(labels), -1)
    others = others + (others >= labels[:, None])
    log_p_rest, log_q_rest = log_p.gather(1, others), log_q.gather(1, others)
    log_p_other = log_p_rest.logsumexp(dim=1, keepdim=True)
    log_q_other = log_q_rest.logsumexp(dim=1, keepdim=True)
    label = labels[:, None]
    target = kl(
        torch.cat([log_p.gather(1, label), log_p_other], dim=1),
        torch.cat([log_q.gather(1, label), log_q_other], dim=1),
    )
    return alpha * target + beta * kl(log_p_rest - log_p_other, log_q_rest - log_q_other)


def dist(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return 2 - r_i - R, (B,): how far two networks rank classes, and images, differently.

    r_i is the correlation (Pearson's) of the two over the classes for image i, and R that over the
    images of the batch, averaged over the classes, which all images share. The mean over the batch
    is the loss of Huang et al., "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022,
    with both weights 1. Of two classes each r_i is 1 or -1, and R alone teaches.

    >>> log_p = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2]]).log()
    >>> log_q = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.3, 0.4]]).log()
    >>> dist(log_p, log_q)  # r = (0.6934, -0.5), R = (1 - 1 + 1) / 3
    tensor([0.9733, 2.1667])
    """
    p, q = log_p.exp(), log_q.exp()
    return 2 - correlate(p, q, 1) - correlate(p, q, 0).mean()


def correlate(one: Tensor, other: Tensor, dim: int) -> Tensor:
    """Return Pearson's correlation of two tensors along a dimension; 0 where one is constant.

    >>> correlate(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0]), dim=0)
    tensor(0.5000)
    """
    lengths = [
        functional.normalize(each - each.mean(dim, keepdim=True), dim=dim, eps=1e-8)
        for each in (one, other)
    ]
    return (lengths[0] * lengths[1]).sum(dim)


def embedding(features_p: Tensor, features_q: Tensor) -> Tensor:
    """Return 1 - cos, (B,) in [0, 2], of what the heads of two networks are given, (B, D) each.

    A learned linear projection has brought `features_q` to the D of `features_p`: Chen et al.,
    "Improved Feature Distillation via Projector Ensemble", NeurIPS 2022, with one projector. Of few
    classes features say more than probabilities do.

    >>> embedding(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([0.4000])
    """
    return 1 - functional.cosine_similarity(features_p, features_q, dim=1)


def attention(maps_p: Tensor, maps_q: Tensor) -> Tensor:
    """Return the squared distance (B,), in [0, 2], of two attention maps scaled to unit length.

    An attention map is the mean over the channels of the squared activations (B, C, H, W):
    Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017, in the form of their
    code, but summed over the positions and not averaged, so that it does not depend on how many
    there are. The larger map is averaged down to the smaller one's size.

    >>> maps_p = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> attention(maps_p, torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]]))  # 2 - sqrt(2)
    tensor([0.5858])
    """
    energies = match_sizes(
        maps_p.square().mean(dim=1, keepdim=True), maps_q.square().mean(dim=1, keepdim=True)
    )
    one, other = (functional.normalize(energy.flatten(1), dim=1) for energy in energies)
    return (one - other).square().sum(dim=1)


def feature(maps_p: Tensor, maps_q: Tensor) -> Tensor:
    """Return the mean squared difference (B,) of two maps (B, C, H, W) with the same C.

    The hint of FitNets (Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015), whose
    regressor has been applied to `maps_q` already. The larger map is averaged down to the smaller
    one's size.

    >>> maps_p = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> feature(maps_p, torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]]))
    tensor([0.5000])
    """
    one, other = match_sizes(maps_p, maps_q)
    return (one - other).square().mean(dim=(1, 2, 3))


def match_sizes(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return two maps (B, C, H, W), the larger averaged down to the size of the smaller.

    >>> match_sizes(torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]]), torch.ones(1, 1, 1, 1))
    (tensor([[[[0.5000]]]]), tensor([[[[1.]]]]))
    """
    height, width = map(min, one.shape[2:], other.shape[2:])
    return _shrink(one, (height, width)), _shrink(other, (height, width))


def _shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else functional.adaptive_avg_pool2d(maps, size)


def weigh_by_uncertainty(loss: Tensor, log_variance: Tensor) -> Tensor:
    """Return exp(-s) loss + s / 2 for s = `log_variance`: a loss (B,) weighted by its uncertainty.

    The best s is log(2 mean loss), where the weight is 1 / (2 mean loss): Kendall, Gal & Cipolla,
    "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018, in the form they give for
    classification.

    >>> log_variance = torch.tensor(4.0).log()
    >>> weigh_by_uncertainty(torch.tensor([2.0]), log_variance)  # 2 / 4 + log(4) / 2
    tensor([1.1931])
    """
    return torch.exp(-log_variance) * loss + log_variance / 2
