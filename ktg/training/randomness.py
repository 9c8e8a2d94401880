"""Derives every seed from the things it serves, and draws the order of the images.

A seed is derived and never drawn, so one stream of random numbers does not depend on how many
others were opened before it: a trial gives the same numbers alone, in a search, and when resumed.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*parts: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on all parts and on nothing else."""
    # The zero byte keeps ("a", "bc") and ("ab", "c") apart. Python's own hash() would not do: it is
    # salted and differs from process to process.
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def use_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the block (dropout reads them); restore them after."""
    # Not torch.manual_seed: it seeds the generators of all GPUs, and only this one is restored.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def epoch_rows(images: int, batch_size: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the rows of every batch of an epoch, int64 (steps, batch_size), in random order.

    The images that do not fill a last batch are left out until the next epoch's order, so every
    step has equal weight and batch norm never sees a tiny batch.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    steps = images // batch_size
    return torch.randperm(images, generator=generator)[: steps * batch_size].view(steps, batch_size)


def balanced_rows(labels: torch.Tensor, batch_size: int, seed: int, epoch: int) -> torch.Tensor:
    """Return rows for the batches of an epoch, int64 (steps, batch_size), of labels int64 (N,).

    There are as many as in a plain epoch. Each class that has images comes once in every round, in
    random order; those of a rare class are shown several times, always all before one again.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "balanced order", epoch))
    steps = len(labels) // batch_size
    classes = labels.bincount().nonzero().flatten()
    rounds = -(-steps * batch_size // len(classes))
    columns = []
    for label in classes:
        own = (labels == label).nonzero().flatten()
        passes = -(-rounds // len(own))
        order = torch.cat([torch.randperm(len(own), generator=generator) for _ in range(passes)])
        columns.append(own[order[:rounds]])
    within = torch.rand(rounds, len(classes), generator=generator).argsort(dim=1)
    rows = torch.stack(columns, dim=1).gather(1, within).flatten()
    return rows[: steps * batch_size].view(steps, batch_size)


def endless_passes(images: int, batch_size: int, steps: int, epoch: int) -> torch.Tensor:
    """Return which pass over the images each of the `endless_rows` of an epoch belongs to."""
    first = epoch * steps * batch_size
    places = torch.arange(first, first + steps * batch_size)
    return (places // images).view(steps, batch_size)


def endless_rows(images: int, batch_size: int, steps: int, seed: int, epoch: int) -> torch.Tensor:
    """Return rows for every batch of an epoch, int64 (steps, batch_size), of any number of images.

    The passes over the images follow each other without regard to epochs, each in its own order.
    """
    first, count = epoch * steps * batch_size, steps * batch_size
    # Only the passes that this epoch touches are drawn, so epoch 100 costs as much as epoch 0 and
    # a resumed run needs no state.
    passes = range(first // images, (first + count - 1) // images + 1)
    orders = []
    for number in passes:
        generator = torch.Generator().manual_seed(derive_seed(seed, "unlabelled order", number))
        orders.append(torch.randperm(images, generator=generator))
    begin = first - passes[0] * images
    return torch.cat(orders)[begin : begin + count].view(steps, batch_size)
