"""Runs a network over images once, for its last feature maps and its head's predictions."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ktg.data import Batches, Images
from ktg.data.augment import to_float
from ktg.models.maps import Layer, find_last_map
from ktg.models.network import Network

MEMORY_BYTES = 2**30
_BATCH_BYTES = 2**23  # of images: their activations are tens of times as large
_BATCH = (4, 256)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ExtractedFeatures:
    """Maps (N, C, H, W) float32 of `layer` on the CPU, the head's softmax (N, S), and the time."""

    layer: Layer
    maps: Tensor
    probs: Tensor
    seconds: float


def extract(
    network: Network,
    images: Images,
    rows: Tensor,
    device: torch.device,
    progress: Progress | None = None,
) -> ExtractedFeatures:
    """Return the features of these rows (N,) of a split, in order, without augmentation.

    The network normalises and resizes as its weights demand. Maps beyond 1 GiB are kept in a
    temporary file that the system deletes with the last reference to them. `progress` is called
    with (done, all) images.
    """
    network.to(memory_format=torch.channels_last)
    network = network.to(device)
    layer = find_last_map(network)
    maps = _allocate(len(rows), *layer.shape)
    probs: list[Tensor] = []
    taken: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> None:
        # At once, because the next layer may work in place; a module that is called again
        # overwrites.
        taken[:] = [layer.maps(output).to("cpu", torch.float32, copy=True)]

    training, start, done = network.training, time.perf_counter(), 0
    hook = network.body.get_submodule(layer.name).register_forward_hook(keep)
    try:
        network.eval()
        with torch.inference_mode():
            for batch, _ in Batches(images, device)(torch.split(rows, _batch(network.size))):
                shown = to_float(batch).contiguous(memory_format=torch.channels_last)
                probs.append(network(shown).softmax(dim=1).to("cpu", torch.float32))
                maps[done : done + len(batch)] = taken[0]
                done += len(batch)
                if progress is not None:
                    progress(done, len(rows))
    finally:
        hook.remove()
        network.train(training)
    return ExtractedFeatures(layer, maps, torch.cat(probs), time.perf_counter() - start)


def _batch(size: int) -> int:
    """Return how many images of `size` pixels a batch holds, so that the activations stay small."""
    least, most = _BATCH
    return min(max(_BATCH_BYTES // (12 * size * size), least), most)


def _allocate(*shape: int) -> Tensor:
    """Return an uninitialised tensor, in memory or in a file that is deleted with it."""
    if 4 * int(np.prod(shape)) <= MEMORY_BYTES:
        return torch.empty(shape)
    with tempfile.TemporaryFile() as file:  # the map holds it open
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=shape))
