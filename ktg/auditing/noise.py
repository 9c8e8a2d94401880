"""Estimates which share of the labels of a data set is wrong, before anything is trained on it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from ktg.auditing.doubtful_labels import estimate_noise
from ktg.auditing.features import compute_features
from ktg.auditing.networks import PLAIN, Viewer, build_viewer, choose_viewer
from ktg.auditing.pool import ImagePool, pool_training
from ktg.data import Dataset
from ktg.errors import KtgError, WeightsError
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


class _NotKeptError(Exception):
    """Holds what was found, None for nothing, where a later look may find something else."""

    def __init__(self, found: Mapping[str, torch.Tensor] | None = None) -> None:
        super().__init__()
        self.found = found


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
    pass over at most `most` images, and is kept by the content of images and weights, if all nodes
    could be asked. None where no network fits that has seen photographs: what others see says more
    of them than of the labels. files, sources: by model those that stand for `source: imagenet`,
    and by name all others. Raises WeightsError where such a network may be in weights that cannot
    be loaded now.
    """
    seen = _list_weights(nodes, files, sources)
    if not seen:
        return None
    pool, place = pool_training(dataset, most), device or torch.device("cpu")
    data = dataset.labelled_fingerprint or dataset.fingerprint
    key = hashlib.sha256(repr((__version__, data, most, list(seen))).encode()).hexdigest()

    def measure() -> dict[str, torch.Tensor]:
        viewer, complete = _find_viewer([*seen.values()], pool, files, sources, place, status)
        if viewer.network is None or not viewer.certain:
            raise _NotKeptError
        status(f"Looking for wrong labels with {viewer.name}")
        features = compute_features(viewer.network, pool.images, place)
        name = viewer.name.encode()[:_NAME]
        found = {
            "noise": torch.tensor(estimate_noise(features, pool.labels)),
            "seen_by": torch.tensor(list(name), dtype=torch.uint8),
        }
        if not complete:
            raise _NotKeptError(found)
        return found

    found: Mapping[str, torch.Tensor] | None
    try:
        found = make_once(f"noise-{key}", measure)
    except _NotKeptError as told:
        found = told.found
    if found is None:
        return None
    seen_by = bytes(found["seen_by"].tolist()).decode(errors="ignore")
    return NoiseEstimate(min(round(float(found["noise"]), 2), MOST), len(pool), seen_by)


def _find_viewer(
    nodes: Sequence[Node],
    pool: ImagePool,
    files: Files,
    sources: Files,
    device: torch.device,
    status: Callable[[str], None],
) -> tuple[Viewer, bool]:
    """Return what looks at the images, and whether all weights could be loaded.

    Raises WeightsError where none that could be knows photographs.
    """
    failed: list[KtgError] = []
    viewer = PLAIN
    if len(nodes) > 1:
        viewer = choose_viewer(nodes, pool, files, device, status, sources, failed.append)
    else:
        (node,) = nodes
        try:
            own = sources_for(node.model, sources, files)
            viewer = build_viewer(node, pool, own, f"{node.model}@{node.source}")
        except KtgError as error:
            failed.append(error)
    unread = [error for error in failed if isinstance(error, WeightsError)]
    if unread and not viewer.certain:
        raise unread[0]
    return viewer, not unread


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
