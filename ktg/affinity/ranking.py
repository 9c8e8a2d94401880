"""Scores candidates on a data set, and caches results by the content that they depend on."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from ktg.affinity.candidate import Candidate, build_candidate
from ktg.affinity.features import ExtractedFeatures, extract
from ktg.affinity.sample import Sample
from ktg.affinity.scores import SCORES, NotApplicableError, measure
from ktg.data import Dataset
from ktg.data.undecoded import Rows
from ktg.graph import SourceFile
from ktg.graph.holes import ScoreName
from ktg.local import cache_folder, write_text
from ktg.models.network import Network
from ktg.models.resolve import resolve_source
from ktg.models.sources import ZooEntry
from ktg.training.step_errors import explain_errors

FORMAT = 1
SAMPLE = 2000
# What a network's own numbers say without fine-tuning: any score should do better than these.
BASELINES = ("source_accuracy", "parameters", "knn", "linear_probe")

Progress = Callable[[int, int], None]


@dataclass
class Measured:
    """The scores of one candidate, and for scores without a value the reason.

    `parameters` counts the backbone's; `forward_s` and `score_s` are seconds; `dimensions` are
    (C, H, W) of `layer`; `source_accuracy` is what its card or file says, not measured.
    """

    layer: str
    dimensions: tuple[int, ...]
    parameters: int
    images: int
    forward_s: float
    scores: dict[str, float] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    score_s: dict[str, float] = field(default_factory=dict)
    source_accuracy: float | None = None

    def value(self, name: str) -> float | None:
        """Return a score, the parameters or the source's accuracy; None without a value."""
        if name == "source_accuracy":
            return self.source_accuracy
        return float(self.parameters) if name == "parameters" else self.scores.get(name)


def sample_rows(labels: Rows, most: int, seed: int = 0) -> Rows:
    """Return at most `most` rows, in order, with each class in its share (at least one image).

    The rows of a smaller sample with the same seed are among those of a larger one, up to rounding.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    chosen = []
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        share = max(int(most * len(own) / len(labels)), 1)
        chosen.append(np.random.default_rng((seed, label)).permutation(own)[:share])
    return np.sort(np.concatenate(chosen))


def measure_candidate(
    candidate: Candidate,
    data: Dataset,
    names: Sequence[ScoreName] = get_args(ScoreName),
    *,
    sources: Mapping[str, SourceFile] | None = None,
    base: Path | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    device: torch.device | None = None,
    progress: Progress | None = None,
    class_distance: npt.NDArray[np.float64] | None = None,
) -> Measured:
    """Return a candidate's scores on a sample of the training split, from the cache if there.

    class_distance: (S, K) from each class of the source to each of the data, for the score emd.
    Labels of weight 0 are not used. Raises KtgError where the candidate cannot be measured at all:
    its weights do not fit, it has no map, or there is too little memory.
    """
    used = data.train.used_rows
    sources, rows = sources or {}, used[sample_rows(data.train.labels[used], sample, seed)]
    key = _key(candidate, sources, base, data, rows, seed, class_distance)
    file = cache_folder() / "affinity" / f"{key}.json"
    known = _load(file)
    missing = [
        name
        for name in names
        if known is None or name not in {**known.scores, **known.not_applicable}
    ]
    if known is None or missing:
        place = device or torch.device("cpu")
        with explain_errors(candidate.name):
            net, has_head = build_candidate(candidate, sources, data, base=base, seed=seed)
            features = extract(net, data.train, torch.from_numpy(rows), place, progress)
            probs = features.probs if has_head else None
            images = Sample.of(
                features.maps,
                data.train.labels[rows],
                source_probs=probs,
                class_distance=None if probs is None else class_distance,
            )
            fresh = _score_images(images, missing, features, net)
        known = fresh if known is None else _join(known, fresh)
        _save(file, known)
    accuracy = resolve_source(candidate.node, sources, base, candidate.name).accuracy
    return dataclasses.replace(known, source_accuracy=accuracy)


def _score_images(
    images: Sample, names: Sequence[ScoreName], features: ExtractedFeatures, net: Network
) -> Measured:
    result = Measured(
        layer=features.layer.name,
        dimensions=features.layer.shape,
        parameters=sum(parameter.numel() for _, parameter in net.backbone_parameters()),
        images=len(images.labels),
        forward_s=features.seconds,
    )
    for name in names:
        start = time.perf_counter()
        try:
            result.scores[name] = measure(name, images)
        except NotApplicableError as reason:
            result.not_applicable[name] = str(reason).removeprefix(f"{name}: ")
        result.score_s[name] = time.perf_counter() - start
    return result


def _key(
    candidate: Candidate,
    sources: Mapping[str, SourceFile],
    base: Path | None,
    data: Dataset,
    rows: Rows,
    seed: int,
    class_distance: npt.NDArray[np.float64] | None,
) -> str:
    """Return a hash of everything that the scores depend on."""
    source = resolve_source(candidate.node, sources, base)
    node, weights = source.node, source.content_hash()
    stated = source.card if isinstance(source, ZooEntry) else sources.get(node.source)
    what = {
        "format": FORMAT,
        "node": [node.model, node.input_size, dict(node.model_args)],
        "weights": weights if weights != "none" else [weights, seed],
        "statistics": [stated.mean, stated.std] if stated else None,
        "data": data.fingerprint,
        "rows": hashlib.sha256(rows.tobytes()).hexdigest(),
    }
    if class_distance is not None:
        what["class_distance"] = hashlib.sha256(class_distance.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _load(file: Path) -> Measured | None:
    """Return the cached scores; None where there are none, or where they cannot be read."""
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Measured(**content | {"dimensions": tuple(content["dimensions"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _save(file: Path, result: Measured) -> None:
    """Keep a result whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(dataclasses.asdict(result), indent=1))


def _join(known: Measured, fresh: Measured) -> Measured:
    return dataclasses.replace(
        known,
        scores=known.scores | fresh.scores,
        not_applicable=known.not_applicable | fresh.not_applicable,
        score_s=known.score_s | fresh.score_s,
    )


def rank_candidates(found: Mapping[str, Measured], name: ScoreName) -> list[str]:
    """Return the candidates, the best by a score first; those without a value come last."""
    sign = -1.0 if SCORES[name].better == "larger" else 1.0

    def place(candidate: str) -> tuple[bool, float]:
        value = found[candidate].value(name)
        return value is None, 0.0 if value is None else sign * value

    return sorted(found, key=place)
