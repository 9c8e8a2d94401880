"""Chooses by which network images are seen, among those that are at hand, or by none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch

from ktg.auditing.doubtful_labels import (
    can_hold_out,
    choose_strength,
    predict_out_of_fold,
    reduce_features,
    split_folds,
)
from ktg.auditing.features import Floats, compute_features, compute_plain_features
from ktg.auditing.pool import ImagePool
from ktg.data.undecoded import Rows
from ktg.errors import KtgError
from ktg.graph import Node, SourceFile, sources_for
from ktg.models.build import build_network
from ktg.models.names import locate_model
from ktg.models.network import Network
from ktg.models.resolve import resolve_source

SAMPLE = 400
_SIZES = (128, 224)  # small images are enlarged, which frozen features profit from
_OWN_SIZE = 32  # of ktg's own networks


@dataclass(frozen=True)
class Viewer:
    """What images are seen by: a network, or plain features for None, and its name.

    `certain`: whether it knows photographs.
    """

    network: Network | None
    name: str
    certain: bool


PLAIN = Viewer(None, "colours and coarse shapes", certain=False)


def build_viewer(
    node: Node, pool: ImagePool, sources: Mapping[str, SourceFile], where: str = "--model"
) -> Viewer:
    """Return the network of a node, by default at a size that suits its kind.

    Raises SpecError and WeightsError as `build_network` does.
    """
    side = pool.images.shape[0]
    if node.input_size is None:
        own = (locate_model(node.model) or ("",))[0] == "ktg"
        node = replace(node, input_size=_OWN_SIZE if own else int(np.clip(side, *_SIZES)))
    network = build_network(
        node,
        sources,
        classes=len(pool.classes),
        image_size=side,
        mean=pool.mean,
        std=pool.std,
        seed=0,
        where=where,
    )
    certain = resolve_source(node, sources).knows_photographs
    source = node.source.rpartition("/")[2] if node.source.startswith("/") else node.source
    return Viewer(network, f"{node.model}@{source} at {network.size} px", certain)


def choose_viewer(
    nodes: Sequence[Node],
    pool: ImagePool,
    files: Mapping[str, SourceFile],
    device: torch.device,
    status: Callable[[str], None] = lambda _: None,
    sources: Mapping[str, SourceFile] = MappingProxyType({}),
    passed_over: Callable[[KtgError], None] = lambda _: None,
) -> Viewer:
    """Return the network whose frozen features tell the classes of a sample apart best.

    Plain features compete, too. Networks that do not fit, or whose weights cannot be loaded, are
    passed over. files: by model, those that stand for `source: imagenet`. sources: files by the
    name of a source. passed_over: told why, for each of them.
    """
    rows = sample_rows(pool)
    labels = pool.labels[rows]
    if not nodes or not can_hold_out(labels, np.arange(len(labels))):
        return PLAIN
    sample = pool.images.take(rows)
    best, most = PLAIN, score_features(compute_plain_features(sample), labels)
    for node in nodes:
        status(f"trying {node.model}@{node.source}")
        try:
            own = sources_for(node.model, sources, files)
            viewer = build_viewer(node, pool, own, f"{node.model}@{node.source}")
            assert viewer.network is not None  # noqa: S101 - it was built
            score = score_features(compute_features(viewer.network, sample, device), labels)
        except KtgError as error:
            passed_over(error)
            continue
        if score > most:
            best, most = viewer, score
    return best


def sample_rows(pool: ImagePool) -> Rows:
    """Return at most 400 of the training images, drawn alike in every run."""
    own = np.flatnonzero([split == "train" for split in pool.splits])
    return np.sort(np.random.default_rng(0).permutation(own)[:SAMPLE])


def score_features(features: Floats, labels: Rows) -> float:
    """Return the accuracy, out of fold, of logistic regression on features (N, D)."""
    values, classes = reduce_features(features), int(labels.max()) + 1
    folds = split_folds(labels, np.arange(len(labels)))
    strength = choose_strength(values, labels, folds, classes)
    everything = np.ones(len(labels), dtype=bool)
    found = predict_out_of_fold(values, labels, folds, strength, everything, classes)
    return float((found.argmax(axis=1) == labels).mean())
