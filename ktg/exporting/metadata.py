"""Describes a model in its file: all it takes to use the network, to train it again and to cite it.

The description is one JSON document, in the metadata of safetensors, ONNX and torch.export files
alike.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ktg.calibration import Rejection, ReliabilityBin
from ktg.data.decode import Geometry
from ktg.errors import SpecError, WeightsError, show
from ktg.graph import Graph, Node, dump, parse
from ktg.graph.fields import check_keys, check_mapping, from_plain, rule, to_plain
from ktg.graph.paths import make_paths_absolute, make_paths_relative

T = TypeVar("T")
VERSION = 1
HELPED = "helped_by"  # beside POOLED: MODEL@SOURCE of the networks that the trials had as helpers
POOLED = "pooled"  # what a graph's provenance calls the trials whose networks are one ensemble
_MEASURED = ("held_out", "calibration")
LARGEST_TEXT = 10_000_000


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """How an image becomes what the network sees: outside it a square, inside all the rest."""

    side: int = rule(
        "Side in pixels of the square that an image is brought to.", at_least=4, at_most=2048
    )
    channels: int = rule("1 for grey images, 3 for red, green, blue.", at_least=1, at_most=3)
    interpolation: Literal["bicubic"] = rule("Filter of that step, antialiased.")
    size: int = rule(
        "Side at which the network sees it; antialiased bilinear.", at_least=4, at_most=2048
    )
    mean: tuple[float, ...] = rule("Mean per channel of values in [0, 1].")
    std: tuple[float, ...] = rule("Standard deviation per channel of values in [0, 1].", above=0)
    bits: int = rule(
        "Bits that values of images with more than 8 fill.", 16, at_least=8, at_most=16
    )
    resize: Literal["crop", "stretch"] = rule(
        "Whether the square is the centre of an oblong image, or all of it squeezed.", "crop"
    )

    @property
    def geometry(self) -> Geometry:
        """The form of the pixels that the model takes."""
        stretch = self.resize == "stretch"
        return Geometry(self.side, self.channels, self.bits, stretch=stretch)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Top-1 accuracy of the target in [0, 1], over `n` seeds; `std` divides by n - 1."""

    split: Literal["val", "test"] = rule("The split it was measured on.")
    mean: float = rule("Mean over the seeds.", at_least=0, at_most=1)
    std: float | None = rule("Standard deviation between the seeds.", None, at_least=0)
    n: int = rule("Number of seeds.", 1, at_least=1)

    def format(self) -> str:
        """Return the accuracy in percent, with its deviation where there are several seeds."""
        spread = "" if self.std is None else f" +- {100 * self.std:.2f}"
        return f"{100 * self.mean:.2f}{spread} %" + (f" (n = {self.n})" if self.n > 1 else "")


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """Where the weights come from."""

    node: str = rule("The node of the graph that these weights belong to.")
    splits: Literal["train", "train and val"] = rule("What the network was trained on.")
    images: int = rule("How many images that were.", at_least=1)
    fingerprint: str = rule("Hash of the images, their labels and their split.")
    date: str = rule("When the training ended, UTC.")
    ktg: str = rule("The version of ktg.")


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How this model does on images that it was not trained on, class by class.

    Precision is 0 where nothing was taken for the class; all three are None for a class without
    images. `confusion` counts images by label (row) and predicted class; empty for many classes.
    """

    split: Literal["val", "test"] = rule("The split it was measured on.")
    precision: tuple[float | None, ...] = rule("Of each class.", at_least=0, at_most=1)
    recall: tuple[float | None, ...] = rule("Of each class.", at_least=0, at_most=1)
    f1: tuple[float | None, ...] = rule("Of each class.", at_least=0, at_most=1)
    support: tuple[int, ...] = rule("Images of each class.", at_least=0)
    confusion: tuple[tuple[int, ...], ...] = rule("Images by label and answer.", (), at_least=0)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What makes the model's probabilities mean something: see `ktg.calibration`."""

    temperature: float = rule("Logits are divided by it before the softmax.", above=0)
    by: Literal["this training", "a training without the validation split"] = rule(
        "Whose answers it was fitted to; a network that was trained on all images has none to fit."
    )
    images: int = rule("Validation images that it was fitted to.", at_least=1)
    error_before: float = rule("Expected calibration error without it.", at_least=0, at_most=1)
    error: float = rule("Expected calibration error with it.", at_least=0, at_most=1)
    bins: tuple[ReliabilityBin, ...] = rule("Confidence and accuracy, with it.")
    rejections: tuple[Rejection, ...] = rule("What thresholds for `unknown` would do.")
    class_means: str | None = rule(
        "Mean features of the classes, by which closeness is measured: float16 in base64.", None
    )


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """The whole document. `accuracy` is that of this model, None where it was not measured.

    `held_out` and `calibration` are None too where no image was left out, and in files of versions
    that did not measure them.
    `members` has the input of each node of an ensemble, and is empty for a single network; of
    `input`, which is the target's, all share what lies outside the networks. `times`: how often a
    member counts, where that is more than once.
    """

    classes: tuple[str, ...]
    input: ModelInput
    training: TrainingFacts
    graph: Graph
    accuracy: Accuracy | None = None
    members: Mapping[str, ModelInput] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)
    held_out: HeldOut | None = None
    calibration: Calibration | None = None

    @property
    def temperature(self) -> float:
        """By what the network's logits are divided: 1 where it was not calibrated."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def node(self) -> Node:
        """The node that the weights belong to; of an ensemble, the target."""
        return self.graph.nodes[self.training.node]

    @property
    def models(self) -> str:
        """What the networks are called, for people: a model, or those of an ensemble."""
        if not self.members:
            return self.node.model
        return f"ensemble of {', '.join(self.graph.nodes[name].model for name in self.members)}"


def to_json(metadata: ModelMetadata, folder: Path) -> str:
    """Return the document; the graph's paths become relative to the `folder` of the model file."""
    plain = {
        "version": VERSION,
        "classes": list(metadata.classes),
        "input": to_plain(metadata.input),
        "accuracy": None if metadata.accuracy is None else to_plain(metadata.accuracy),
        "training": to_plain(metadata.training),
        **(
            {"members": {name: to_plain(given) for name, given in metadata.members.items()}}
            if metadata.members
            else {}
        ),
        **({"times": dict(metadata.times)} if metadata.times else {}),
        **{
            section: to_plain(found)
            for section in _MEASURED
            if (found := getattr(metadata, section)) is not None
        },
        "graph": make_paths_relative(dump(metadata.graph), folder.absolute()),
    }
    return json.dumps(plain, ensure_ascii=False)


def from_json(text: str | None, file: Path) -> ModelMetadata:
    """Return what `to_json` wrote into `file`. Raises WeightsError for anything else."""
    if text is None:
        raise WeightsError(
            f"{file}: is not a model of ktg: it says nothing of its classes and its input; "
            "write one with `ktg train GRAPH --weights model.safetensors`"
        )
    try:
        if len(text) > LARGEST_TEXT:
            raise SpecError(
                "",
                f"the description has {len(text):,} characters; at most {LARGEST_TEXT:,} are read",
            )
        return _about(json.loads(text), file.absolute().parent)
    except SpecError as error:
        raise WeightsError(f"{file}: its description is damaged: {error}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: its description is damaged: it is not JSON") from error


def _about(raw: Any, folder: Path) -> ModelMetadata:
    raw = check_mapping(raw, "")
    sections = ("version", "classes", "input", "accuracy", "training", "graph")
    if raw.get("version") != VERSION:
        raise SpecError(
            "version",
            f"{show(raw.get('version'))} is not a format this ktg reads; allowed: {VERSION}",
        )
    check_keys(raw, dict.fromkeys((*sections, "members", "times", *_MEASURED)), "")
    missing = [section for section in sections if section not in raw]
    if missing:
        raise SpecError(missing[0], "is missing")
    metadata = ModelMetadata(
        classes=_classes(raw["classes"]),
        input=_input(raw["input"], "input"),
        accuracy=None
        if raw["accuracy"] is None
        else from_plain(Accuracy, raw["accuracy"], "accuracy"),
        training=from_plain(TrainingFacts, raw["training"], "training"),
        graph=parse(make_paths_absolute(_graph(raw["graph"]), folder)),
        members={
            name: _input(given, f"members.{name}")
            for name, given in check_mapping(raw.get("members", {}), "members").items()
        },
        times=check_mapping(raw.get("times", {}), "times"),
        held_out=_read(HeldOut, raw, "held_out"),
        calibration=_read(Calibration, raw, "calibration"),
    )
    _check_lengths(metadata)
    for place, name in (
        ("training.node", metadata.training.node),
        *((f"members.{name}", name) for name in metadata.members),
    ):
        if name not in metadata.graph.nodes:
            raise SpecError(place, f"the graph has no node {show(name)}")
    for name, often in metadata.times.items():
        if name not in metadata.members:
            raise SpecError(f"times.{name}", "is no member")
        if not isinstance(often, int) or isinstance(often, bool) or often < 1:
            raise SpecError(
                f"times.{name}", f"expected a whole number from 1 on, got {show(often)}"
            )
    for name, given in metadata.members.items():
        # One square of pixels goes to all members; each resizes and normalises it for itself.
        if given.geometry != metadata.input.geometry:
            raise SpecError(f"members.{name}", "does not take the images that `input` describes")
    return metadata


def _read(kind: type[T], raw: Mapping[str, Any], section: str) -> T | None:
    return None if raw.get(section) is None else from_plain(kind, raw[section], section)


def _check_lengths(metadata: ModelMetadata) -> None:
    """Raise SpecError where what was measured class by class is not of these classes."""
    held_out, calibration = metadata.held_out, metadata.calibration
    if held_out is not None:
        rows: list[Sequence[object]]
        rows = [held_out.precision, held_out.recall, held_out.f1, held_out.support]
        rows += [held_out.confusion, *held_out.confusion] if held_out.confusion else []
        if any(len(row) != len(metadata.classes) for row in rows):
            raise SpecError("held_out", f"is not of {len(metadata.classes)} classes")
    for found in calibration.rejections if calibration else ():
        if not len(found.thresholds) == len(found.answered) == len(found.right) > 0:
            raise SpecError("calibration.rejections", "its columns are not of one length")


def _classes(raw: object) -> tuple[str, ...]:
    if (
        not isinstance(raw, list)
        or len(raw) < 2
        or not all(isinstance(name, str) and name for name in raw)
    ):
        raise SpecError("classes", f"expected the names of at least two classes, got {show(raw)}")
    for name in raw:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise SpecError("classes", f"{show(name)} is not text that can be written")
    return tuple(raw)


def _input(raw: object, path: str) -> ModelInput:
    found = from_plain(ModelInput, raw, path)
    for name, values in (("mean", found.mean), ("std", found.std)):
        if len(values) not in (1, 3):
            raise SpecError(f"{path}.{name}", f"expected one number, or three, got {len(values)}")
    if found.channels == 2:
        raise SpecError(f"{path}.channels", "2 is not allowed; allowed: 1, 3")
    return found


def _graph(raw: object) -> Mapping[str, Any]:
    return check_mapping(raw, "graph")
