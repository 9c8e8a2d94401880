"""Asks teachers that never change: their answers to fixed images are computed once, and kept.

An entry of the cache has what one teacher answers to one view of some images: logits and, where an
edge wants them, what its head is given and its maps, float32, in the order of the images. It
depends on the teacher's weights, the content of the images and the arithmetic, so all trainings
share it. A process that is killed leaves what it has computed, and the next one goes on there.
"""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ktg.data import Images
from ktg.data.augment import choose_view, count_views, to_float
from ktg.data.cache_entries import make_entry
from ktg.data.cache_kinds import ANSWERS
from ktg.data.cache_limit import Hold, read_limit_bytes
from ktg.graph import Graph
from ktg.graph.canonical import open_edges
from ktg.graph.vocabulary import EMBEDDING, ViewName
from ktg.local import cache_folder
from ktg.models.maps import Layer, forward_with_maps
from ktg.models.network import Network, flatten_features, record_head_inputs
from ktg.training.randomness import use_seed
from ktg.training.scoring import autocast
from ktg.training.shown_images import Places, ShownImages
from ktg.training.step_errors import explain_errors

FORMAT = 1  # of the entries: raise it when the same teacher begins to give other files
ASKED_AT_ONCE = 64
MARGIN_BYTES = 2**30
RESIDENT_BYTES = 2**26  # of one view, on the device of the training


@dataclass(frozen=True)
class Answers:
    """What a network makes of B images: logits (B, classes), features (B, D), and maps.

    `features` are what its head is given, None where no edge compares them; of the maps (B, C, H,
    W) there are as many as edges compare, the last first.
    """

    logits: Tensor
    features: Tensor | None = None
    maps: Sequence[Tensor] = ()


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Return the answers to the images of all parts, in that order."""
    if len(parts) == 1:
        return parts[0]
    features = [part.features for part in parts if part.features is not None]
    return Answers(
        torch.cat([part.logits for part in parts]),
        torch.cat(features) if features else None,
        [torch.cat(each) for each in zip(*(part.maps for part in parts), strict=True)],
    )


@dataclass(frozen=True)
class Question:
    """How a network is asked: for logits, and for features and maps where an edge compares them."""

    network: Network
    device: torch.device
    precision: torch.dtype
    features: bool = False
    layers: Sequence[Layer] = ()

    def __call__(self, images: Tensor) -> Answers:
        """Return the answers to images (B, C, H, W) in [0, 1], with gradients where they are on."""
        network, features = self.network, None
        with autocast(self.device, self.precision):
            if self.features:
                with record_head_inputs(network) as inputs:
                    logits, maps = forward_with_maps(network, self.layers, images)
                features = flatten_features(inputs[0])
            else:
                logits, maps = forward_with_maps(network, self.layers, images)
        return Answers(logits, features, maps)


@dataclass(frozen=True)
class Teacher:
    """A network that never changes; `key` (hexadecimal) depends on everything in its weights."""

    key: str
    question: Question
    augment: ViewName


class KnownAnswers:
    """The answers of one teacher to all images of a training, each computed when first needed.

    Call it with the places of labelled images and of those without labels, None for no such.
    """

    def __init__(
        self,
        teacher: Teacher,
        labelled: ShownImages,
        unlabelled: ShownImages | None,
        cache: Path | None = None,
    ) -> None:
        self._teacher, self._cache = teacher, cache
        self._labelled, self._unlabelled = labelled, unlabelled
        self._open: dict[tuple[ShownImages, int], StoredAnswers] = {}
        self._seen: dict[Images, Tensor] = {}

    def __call__(self, places: Places, unlabelled: Places | None) -> Answers:
        """Return the answers to the images at these places, on the device of the training."""
        parts = list(self._find(self._labelled, places))
        if unlabelled is not None and self._unlabelled is not None:
            parts += self._find(self._unlabelled, unlabelled)
        return join_answers(parts)

    def logits(self, images: Images) -> Tensor:
        """Return the logits (N, classes) for all images as they are, on the training's device."""
        if images not in self._seen:
            bare = replace(self._teacher.question, features=False, layers=())
            teacher = replace(self._teacher, question=bare)
            kept = keep_answers(teacher, images, self._cache)
            self._seen[images] = kept.take(torch.arange(len(images))).logits
        return self._seen[images]

    def _find(self, shown: ShownImages, places: Places) -> Iterator[Answers]:
        if not shown.draws_once(self._teacher.augment):
            places = places.as_they_are()
        for view, rows in places.split():
            key = (shown, view)
            if key not in self._open:
                images = shown.images(self._teacher.augment, view)
                self._open[key] = keep_answers(self._teacher, images, self._cache)
            yield self._open[key].take(rows)


@dataclass
class StoredAnswers:
    """The answers to N images, by the names of their files (N, ...): in memory, or mapped.

    `hold` keeps the files from being removed.
    """

    arrays: Mapping[str, np.ndarray]
    device: torch.device
    hold: Hold | None = None
    _resident: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(array.nbytes for array in self.arrays.values()) <= RESIDENT_BYTES:
            self._resident = {
                name: torch.from_numpy(np.array(array)).to(self.device)
                for name, array in self.arrays.items()
            }
            self.arrays, self.hold = {}, None  # no file need be open any more

    def take(self, rows: Tensor) -> Answers:
        """Return the answers to the images of these rows, int64 (B,) on the CPU."""
        if self._resident:
            here = rows.to(self.device, non_blocking=True)
            found = {name: values[here] for name, values in self._resident.items()}
        else:
            found = {name: self._read(array, rows) for name, array in self.arrays.items()}
        maps = [found[name] for name in sorted(found) if name.startswith("map")]
        return Answers(found["logits"], found.get("features"), maps)

    def _read(self, array: np.ndarray, rows: Tensor) -> Tensor:
        values = torch.from_numpy(np.asarray(array[rows.numpy()]))
        values = values.pin_memory() if self.device.type == "cuda" else values
        return values.to(self.device, non_blocking=True)


def keep_answers(teacher: Teacher, images: Images, cache: Path | None = None) -> StoredAnswers:
    """Return the answers to all images from the cache, computed now by the first who asks.

    Where they cannot be kept, as on a full disk, they are in memory for this training.
    """
    question = teacher.question
    parts = (
        FORMAT,
        teacher.key,
        images.fingerprint,
        question.network.size,
        question.features,
        [layer.name for layer in question.layers],
        str(question.precision),
        question.device.type,
    )
    name = hashlib.sha256(repr(parts).encode()).hexdigest()
    entry = ANSWERS.place(name, cache)
    try:
        write = functools.partial(_write, question, images)
        hold = make_entry(entry, write, resume=True, read=_map)
        return StoredAnswers(_map(entry), question.device, hold)
    except OSError:
        shutil.rmtree(entry.with_name(f"{entry.name}.tmp"), ignore_errors=True)
        pieces = [_to_arrays(each) for each in _ask(question, images, 0)]
        arrays = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
        return StoredAnswers(arrays, question.device)


def _write(question: Question, images: Images, folder: Path) -> None:
    """Write one file of plain float32 for each kind of answer, and their shapes."""
    shapes: dict[str, list[int]] = {}
    files = {path.stem: path for path in folder.glob("*.f32")}
    # The last piece is computed in any case, because it says how large one answer is.
    last = (len(images) - 1) // ASKED_AT_ONCE * ASKED_AT_ONCE
    answers = _ask(question, images, start := min(_count_whole(files, folder), last))
    for number, each in enumerate(answers):
        arrays = _to_arrays(each)
        for name, array in arrays.items():
            shapes[name] = [len(images), *array.shape[1:]]
            row_bytes = array.nbytes // len(array)
            with (folder / f"{name}.f32").open("r+b" if number or start else "wb") as file:
                file.truncate((start + number * ASKED_AT_ONCE) * row_bytes)
                file.seek(0, os.SEEK_END)
                file.write(array.tobytes())
        if number == 0:
            rows = {name: array.nbytes // len(array) for name, array in arrays.items()}
            (folder / "row_bytes.json").write_text(json.dumps(rows))
    (folder / "shapes.json").write_text(json.dumps(shapes))


def _count_whole(files: Mapping[str, Path], folder: Path) -> int:
    """Return to how many images a process that was killed has left answers: whole pieces."""
    try:
        row_bytes = json.loads((folder / "row_bytes.json").read_text())
        rows = min(files[name].stat().st_size // size for name, size in row_bytes.items())
    except (OSError, ValueError, KeyError):
        return 0
    return int(rows) // ASKED_AT_ONCE * ASKED_AT_ONCE


def _map(entry: Path) -> dict[str, np.ndarray]:
    shapes = json.loads((entry / "shapes.json").read_text())
    return {
        name: np.memmap(entry / f"{name}.f32", np.float32, "r", shape=tuple(shape))
        for name, shape in shapes.items()
    }


def _ask(question: Question, images: Images, start: int) -> Iterator[Answers]:
    """Yield the answers to the images from `start` on, piece by piece."""
    question.network.eval()
    for first in range(start, len(images), ASKED_AT_ONCE):
        rows = np.arange(first, min(first + ASKED_AT_ONCE, len(images)))
        # The last piece is filled up: another kernel may compute one of another size, and its last
        # bits may differ.
        full = np.arange(first, first + ASKED_AT_ONCE) % len(images)
        with explain_errors(f"the answers of a teacher to {ASKED_AT_ONCE} images at once"):
            pixels = torch.from_numpy(images.read(full)).permute(0, 3, 1, 2).to(question.device)
            shown = to_float(pixels).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                answers = question(shown)
        yield _cut(answers, len(rows))


def _cut(answers: Answers, count: int) -> Answers:
    features = None if answers.features is None else answers.features[:count]
    return Answers(answers.logits[:count], features, [each[:count] for each in answers.maps])


def _to_arrays(answers: Answers) -> dict[str, np.ndarray]:
    named = {"logits": answers.logits, "features": answers.features}
    named |= {f"map{number:02}": each for number, each in enumerate(answers.maps)}
    return {
        name: np.ascontiguousarray(each.float().cpu().numpy())
        for name, each in named.items()
        if each is not None
    }


def find_known_teachers(
    graph: Graph,
    teachers: Mapping[str, Network],
    keys: Mapping[str, str],
    layers: Mapping[str, Sequence[Layer]],
    labelled: ShownImages,
    unlabelled: ShownImages | None,
    device: torch.device,
    precision: torch.dtype,
    cache: Path | None = None,
) -> dict[str, KnownAnswers]:
    """Return the teachers whose answers can be computed beforehand, by node.

    They are those that are shown images which look alike whenever they are shown, which answer the
    same whatever chance does, and for whose answers there is room; `keys` are of their weights. All
    others are asked in every step.
    """
    known: dict[str, KnownAnswers] = {}
    room = min(read_limit_bytes(), _measure_free(cache) - MARGIN_BYTES)
    embedded = find_embedded(graph)
    for name, network in teachers.items():
        views = count_views(graph.data, graph.nodes[name])
        if views is None or labelled.source.fingerprint is None:
            continue
        maps = layers.get(name, ())
        question = Question(network, device, precision, name in embedded, maps)
        images = views * (len(labelled) + (len(unlabelled) if unlabelled else 0))
        needed = images * _measure_answer(question, labelled.source.shape[0])
        if 0 < needed <= room:
            room -= needed
            augment = choose_view(graph.data, graph.nodes[name])
            teacher = Teacher(keys[name], question, augment)
            known[name] = KnownAnswers(teacher, labelled, unlabelled, cache)
    return known


def _measure_free(cache: Path | None) -> int:
    folder = cache or cache_folder()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


def _measure_answer(question: Question, side: int) -> int:
    """Return the bytes of the answer to one image; 0 where it depends on chance."""
    generator = torch.Generator(question.device).manual_seed(0)
    images = torch.rand((2, 3, side, side), generator=generator, device=question.device)
    answers = []
    for seed in (0, 1):
        with use_seed(seed, question.device), torch.no_grad():
            answers.append(_to_arrays(question(images)))
    first, again = answers
    if any(not np.array_equal(first[name], again[name]) for name in first):
        return 0
    return sum(int(array.nbytes) // len(array) for array in first.values())


def find_embedded(graph: Graph) -> frozenset[str]:
    """Return the nodes of which an edge compares what their heads are given."""
    edges = open_edges(graph).items()
    return frozenset(name for pair, edge in edges if edge.loss == EMBEDDING for name in pair)
