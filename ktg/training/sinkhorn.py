"""The earth mover's distance between probabilities of classes, some of which lie closer together than others."""

import torch
from torch import Tensor

SHARPNESS = 0.0125
"""The weight of the entropic term, where the largest distance is 1; in float32 not below 1 / 80."""
LEVELS, ROUNDS = 8, 12


def emd(
    log_p: Tensor,
    log_q: Tensor,
    distance: Tensor,
    sharpness: float = SHARPNESS,
    rounds: int = ROUNDS,
) -> Tensor:
    """Return how much probability must be moved how far to make q of p, (B,), to within about 0.03.

    log_p, log_q: log-probabilities (B, C). distance: (C, C), symmetric, 0 on the diagonal and
    nowhere above 1.

    The Sinkhorn divergence (Feydy et al., "Interpolating between Optimal Transport and MMD using
    Sinkhorn Divergences", AISTATS 2019) with so little entropy that it is close to the distance
    itself; it is 0, with gradient 0, where p and q agree. The potentials that Sinkhorn's iterations
    end with are its gradient, so none is taken through them. All pairs are solved at once on the
    device, where an exact solver would make it wait for the host.
    """
    with torch.no_grad():
        f, g = potentials(log_p, log_q, distance, sharpness, rounds)
    return (log_p.exp() * f).sum(dim=1) + (log_q.exp() * g).sum(dim=1)


def potentials(
    log_p: Tensor,
    log_q: Tensor,
    distance: Tensor,
    sharpness: float = SHARPNESS,
    rounds: int = ROUNDS,
) -> tuple[Tensor, Tensor]:
    """Return the dual potentials (B, C) of the transport from p to q, each less that from p to p, or from q to q.

    The entropy is lowered in steps. What p and q have to themselves converges at once and is solved
    before; from there the iterations between them begin, which near agreement are slow and then
    have nothing to do.
    """
    both = torch.cat([log_p, log_q])
    own, more_f, more_g = torch.zeros_like(both), torch.zeros_like(log_p), torch.zeros_like(log_q)
    for level in range(1, LEVELS + 1):
        weight = sharpness ** (level / LEVELS)
        kernel = torch.exp(-distance / weight)
        for _ in range(rounds):
            own = (own - weight * _log_product(both + own / weight, kernel)) / 2
        own_f, own_g = own.chunk(2)
        f, g = own_f + more_f, own_g + more_g
        for _ in range(rounds):
            f = -weight * _log_product(log_q + g / weight, kernel)
            g = -weight * _log_product(log_p + f / weight, kernel)
        more_f, more_g = f - own_f, g - own_g
    return more_f, more_g


def _log_product(logs: Tensor, kernel: Tensor) -> Tensor:
    """Return log(exp(logs) @ kernel) for logs (B, C) and a symmetric kernel (C, C) without a 0.

    One matrix for the whole batch: a product, and no table of (B, C, C). With the largest term
    taken out before, no sum is smaller than the smallest entry of the kernel.
    """
    largest = logs.amax(dim=1, keepdim=True)
    return largest + torch.log(torch.exp(logs - largest) @ kernel)
