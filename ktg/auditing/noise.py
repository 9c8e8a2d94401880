"""Estimates which share of the labels of a data set is wrong, before anything is trained on it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from ktg.auditing.doubtful_labels import estimate_noise
from ktg.auditing.features import compute_features
from ktg.auditing.networks import build_viewer, choose_viewer
from ktg.auditing.pool import ImagePool, pool_training
from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import Node, SourceFile, sources_for
from ktg.models.resolve import resolve_source
from ktg.training.tensor_cache import make_once
from ktg.version import __version__

SAMPLE = 2000  # a standard error of one point where 30 % are wrong
MOST = 0.95  # some images must be left to learn from
_NAME = 200

Files = Mapping[str, SourceFile]
NONE: Files = MappingProxyType({})


@dataclass(frozen=True)
class NoiseEstimate:
    """The share of wrong labels, in hundredths, on so many images, and what looked at them."""

    noise: float
    images: int
    seen_by: str


def estimate_set_noise(
    nodes: Sequence[Node],
    dataset: Dataset,
    *,
    files: Files = NONE,
    sources: Files = NONE,
    device: torch.device | None = None,
    most: int = SAMPLE,
    status: Callable[[str], None] = lambda _: None,
) -> NoiseEstimate | None:
    """Return about which share of the training labels is wrong, in the eyes of frozen networks.

    Of several nodes the one counts whose features tell the classes apart best, at a size that suits
    it, as small images make any network doubt more: with MobileNetV2-1.0 39 % of wrong labels are
    estimated as 41 % at 128 pixels and as 54 % at 64. It takes one forward
    pass over at most `most` images, and is kept by the content of images and weights. None where no
    network fits that has seen photographs: what others see says more of them than of the labels.
    files, sources: by model those that stand for `source: imagenet`, and by name all others.
    """
    seen = _list_weights(nodes, files, sources)
    pool, place = pool_training(dataset, most), device or torch.device("cpu")
    data = dataset.labelled_fingerprint or dataset.fingerprint
    key = hashlib.sha256(repr((__version__, list(seen), data, most)).encode()).hexdigest()

    def measure() -> dict[str, torch.Tensor]:
        noise, seen_by = _measure(list(seen.values()), pool, files, sources, place, status)
        name = seen_by.encode()[:_NAME]
        return {
            "noise": torch.tensor(noise),
            "seen_by": torch.tensor(list(name), dtype=torch.uint8),
        }

    found = make_once(f"noise-{key}", measure)
    noise, seen_by = float(found["noise"]), bytes(found["seen_by"].tolist()).decode(errors="ignore")
    if not seen_by:
        return None
    return NoiseEstimate(min(round(noise, 2), MOST), len(pool), seen_by)


def _measure(
    nodes: Sequence[Node],
    pool: ImagePool,
    files: Files,
    sources: Files,
    device: torch.device,
    status: Callable[[str], None],
) -> tuple[float, str]:
    """Return the noise, and the name of the network that saw it, empty where there is none."""
    if not nodes:
        return 0.0, ""
    if len(nodes) == 1:
        try:
            viewer = build_viewer(nodes[0], pool, sources_for(nodes[0].model, sources, files))
        except KtgError:
            return 0.0, ""
    else:
        viewer = choose_viewer(nodes, pool, files, device, status, sources)
    if viewer.network is None or not viewer.certain:
        return 0.0, ""
    status(f"Looking for wrong labels with {viewer.name}")
    features = compute_features(viewer.network, pool.images, device)
    return estimate_noise(features, pool.labels), viewer.name


def _list_weights(nodes: Sequence[Node], files: Files, sources: Files) -> dict[str, Node]:
    """Return the nodes whose weights are there, by what decides how they see: each once."""
    found = {}
    for node in nodes:
        if node.source == "none":
            continue
        with suppress(KtgError):
            weights = resolve_source(node, sources_for(node.model, sources, files)).content_hash()
            arguments = sorted(node.model_args.items())
            found[repr((node.model, weights, arguments))] = replace(node, input_size=None)
    return found
