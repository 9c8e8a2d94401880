"""Seeds that are derived, never drawn: the same parts always give the same stream, in whatever order they are asked."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*parts: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on all parts and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block (dropout reads them) and give them back untouched after it."""
    # Not torch.manual_seed: it seeds the generators of all GPUs, and only this one is given back.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def epoch_rows(images: int, batch_size: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the rows of every batch of an epoch, int64 (steps, batch_size), in an order of the epoch's own.

    The images that do not fill a last batch wait for the next epoch's order, so every step has
    equal weight and batch norm never sees a tiny batch.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    steps = images // batch_size
    return torch.randperm(images, generator=generator)[: steps * batch_size].view(steps, batch_size)


def endless_rows(images: int, batch_size: int, steps: int, seed: int, epoch: int) -> torch.Tensor:
    """Return rows for every batch of an epoch, int64 (steps, batch_size), of images of which there may be any number.

    The passes over them follow each other without regard to epochs, each in an order of its own.
    """
    first, count = epoch * steps * batch_size, steps * batch_size
    passes = range(first // images, (first + count - 1) // images + 1)
    orders = []
    for number in passes:
        generator = torch.Generator().manual_seed(derive_seed(seed, "unlabelled order", number))
        orders.append(torch.randperm(images, generator=generator))
    begin = first - passes[0] * images
    return torch.cat(orders)[begin : begin + count].view(steps, batch_size)
