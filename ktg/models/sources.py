"""The kinds of sources of weights: values that know everything about the weights of one node.

`ktg.models.resolve` makes one of the name that a node gives. Whoever needs the hash, the
statistics, the accuracy or the weights themselves (`ktg.models.build.read_weights`) asks that
value, and nobody looks at the name again. Importing this module costs neither torch nor timm:
`statistics`, and what needs to know where published weights are, import them when they are called.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ktg.errors import MissingSourceError, SpecError, show
from ktg.graph import IMAGENET, Node, SourceFile
from ktg.graph.paths import WEIGHT_SUFFIXES
from ktg.local import file_sha256
from ktg.models.class_names import read_class_names
from ktg.models.names import HUB, locate_model
from ktg.zoo import Card, find_zoo

# Families of timm whose weights were often trained in TensorFlow, which pads in another way.
_PADDED = re.compile(
    r"(timm/)?(mobilenet|efficientnet|mnasnet|mixnet|fbnet|spnasnet|lcnet|tinynet)"
)
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class _Source:
    """What all sources can be asked; `node` is the one that names the source."""

    node: Node

    def check(self, path: str) -> None:
        """Raise SpecError, at the dotted place `path`, for weights that cannot be there."""

    def content_hash(self) -> str:
        """Return what identifies the weights: a name, or the SHA-256 of their file."""
        return self.node.source

    def statistics(self) -> Statistics | None:
        """Return (mean, std) per channel that the weights expect of pixels in [0, 1].

        None where the data decide.
        """
        from ktg.models.architectures import find_statistics  # timm knows them, and imports torch

        return find_statistics(self.node.model)

    @property
    def file(self) -> Path | None:
        """The file of the weights, None where it is not known or there is none."""
        return None

    @property
    def accuracy(self) -> float | None:
        """The share of its own validation images that it gets right, None where nobody says."""
        return None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes of its head in their order, None where nobody says. May raise DataError."""
        return None

    @property
    def knows_photographs(self) -> bool:
        """Whether it was trained on pictures that were taken, as far as anybody says."""
        return True


class NoWeights(_Source):
    """`none`: the node begins with random weights, and the data decide on the normalisation."""

    def statistics(self) -> None:
        """Return None."""

    @property
    def accuracy(self) -> float:
        """0, what a network without any training is worth."""
        return 0.0

    @property
    def knows_photographs(self) -> bool:
        """False: it has seen nothing."""
        return False


class Published(_Source):
    """`imagenet`: the weights that timm or torchvision publish for the node's model."""

    def check(self, path: str) -> None:
        """Raise MissingSourceError at `path` for a network of ktg's own, which nobody publishes."""
        if (locate_model(self.node.model) or ("",))[0] == "ktg":
            problem = f"no ImageNet weights are published for {self.node.model!r}"
            raise MissingSourceError(path, f"{problem}; allowed: none, or a file of weights")

    def content_hash(self) -> str:
        """Return the name of the weights: it is the same before and after they are downloaded."""
        from ktg.models.imagenet import find_published

        return f"imagenet:{find_published(self.node.model).name}"

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The thousand classes of ImageNet-1k, in the order that all libraries share."""
        from timm.data import ImageNetInfo  # seconds to import, for this one question

        info = ImageNetInfo("imagenet-1k")
        return tuple(info.index_to_description(number) for number in range(info.num_classes()))


class HubWeights(Published):
    """`hf-hub:OWNER/NAME`: weights for the node's model in a repository of the Hugging Face hub."""

    def check(self, path: str) -> None:
        """Raise SpecError at `path` for what cannot name a repository."""
        if not _REPOSITORY.fullmatch(self.node.source.removeprefix(HUB)):
            problem = f"{show(self.node.source)} names no repository of the Hugging Face hub"
            raise SpecError(path, f"{problem}; write {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION")

    def content_hash(self) -> str:
        """Return the name of the weights."""
        return self.node.source

    def statistics(self) -> Statistics | None:
        """Return what the repository's config.json says, else the usual ones of the model."""
        from ktg.models.imagenet import read_hub_statistics

        return read_hub_statistics(self.node.source) or super().statistics()

    @property
    def class_names(self) -> None:
        """None: the repository may say anything."""


@dataclass(frozen=True)
class ZooEntry(_Source):
    """`zoo/NAME` or `fractaldb`: an entry of the user's zoo or of ktg's, and its card.

    `node` has the `model_args` of the card.
    """

    card: Card

    def content_hash(self) -> str:
        """Return the SHA-256 on the card; the file is compared with it when it is read."""
        return self.card.sha256

    def statistics(self) -> Statistics:
        """Return those of the card."""
        return self.card.mean, self.card.std

    @property
    def file(self) -> Path:
        """Where the zoo has the weights."""
        return find_zoo(self.card.name, self.card.model).weights_file(self.card.key)

    @property
    def accuracy(self) -> float | None:
        """What the card says."""
        return self.card.accuracy

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the card says; None for weights without a head."""
        return self.card.classes or None

    @property
    def knows_photographs(self) -> bool:
        """False for what was pretrained on pictures by formula only, as its card says."""
        return "formula" not in self.card.provenance and self.card.name != "fractaldb"


@dataclass(frozen=True)
class WeightsFile(_Source):
    """A file of the user's: by its path, under a name in `sources`, or in place of `imagenet`.

    `path` is as the user wrote it; where it is relative, it begins in `base`. `stated` is what
    `sources` or `weights` says of the file, None for a bare path.
    """

    path: str
    base: Path | None = None
    stated: SourceFile | None = None

    def check(self, path: str) -> None:
        """Raise SpecError, at `path` or in `sources`, unless it is a weights file that is there."""
        at = f"sources.{self.node.source}" if self.stated else ""
        check_weights_file(self.path, f"{at}.path" if at else path, self.base)
        for field in ("mean", "std") if at else ():
            values = getattr(self.stated, field)
            if values is not None and len(values) not in (1, 3):
                problem = f"expected one number, or three (red, green, blue), got {len(values)}"
                raise SpecError(f"{at}.{field}", problem)

    def content_hash(self) -> str:
        """Return the SHA-256 of the file, which is read again only when it has changed.

        What is taken of a file that holds several networks follows it.
        """
        self.check("source")
        sha256 = file_sha256(self.file)
        return sha256 if self.part is None else f"{sha256}:{self.part}"

    def statistics(self) -> Statistics:
        """Return what `sources` says, else what a model file of ktg says of itself.

        Else the usual ones of the model.
        """
        from ktg.models.state_dicts import read_stated_statistics

        mean, std = read_stated_statistics(self.file) or super().statistics() or ((), ())
        stated = self.stated or SourceFile(path=self.path)
        return tuple(stated.mean or mean), tuple(stated.std or std)

    def list_guesses(self) -> list[str]:
        """Return in a few words what of the network's input or padding nobody says.

        A file that has the name of the published one is taken for it.
        """
        from ktg.models.imagenet import is_published_name
        from ktg.models.state_dicts import read_stated_statistics

        if self.replaces_published and is_published_name(self.node.model, self.file.name):
            return []
        stated = self.stated or SourceFile(path=self.path)
        guesses = []
        if not (stated.mean and stated.std) and read_stated_statistics(self.file) is None:
            mean, std = self.statistics() or ((), ())
            shown = (
                f"{name} {', '.join(map(str, x))}" for name, x in (("mean", mean), ("std", std))
            )
            guesses.append(f"the normalisation ({'; '.join(shown)}, as usual for the model)")
        if _PADDED.match(self.node.model) and "pad_type" not in self.node.model_args:
            guesses.append(
                "the padding (torch's; weights that come from TensorFlow want pad_type: same)"
            )
        return guesses

    @property
    def part(self) -> str | None:
        """What to take of a file that holds several networks, None where nobody says."""
        return self.stated.part if self.stated else None

    @property
    def replaces_published(self) -> bool:
        """Whether the file holds what would be downloaded, which timm may have to convert."""
        return self.node.source == IMAGENET

    @property
    def file(self) -> Path:
        """The file, absolute where `path` or `base` is."""
        return _join(self.path, self.base)

    @property
    def accuracy(self) -> float | None:
        """What `sources` says."""
        return self.stated.accuracy if self.stated else None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The lines of the file `labels`, else what a model file of ktg says; None without."""
        from ktg.models.state_dicts import read_stated_classes

        labels = self.stated.labels if self.stated else None
        if labels is None:
            return read_stated_classes(self.file)
        return read_class_names(_join(labels, self.base))


Source = NoWeights | Published | HubWeights | ZooEntry | WeightsFile


def _join(name: str, base: Path | None) -> Path:
    return (base or Path()) / Path(name).expanduser()


def check_weights_file(name: str, path: str, base: Path | None = None) -> None:
    """Raise SpecError, at the dotted place `path`, unless `name` is a weights file that is there.

    A relative name begins in the folder `base`.
    """
    file = _join(name, base)
    if file.is_dir():
        raise SpecError(path, f"{name} is a folder; give the weights file in it")
    if not file.is_file():
        if file.exists():  # a pipe, a socket or a device may never end
            raise SpecError(path, f"{name} is no regular file; give a file of weights")
        where = "" if Path(name).is_absolute() else f" in {(base or Path()).absolute()}"
        raise SpecError(path, f"there is no file {name}{where}")
    if not file.name.endswith(WEIGHT_SUFFIXES):
        allowed = ", ".join(WEIGHT_SUFFIXES)
        raise SpecError(path, f"{name} is not a weights file; allowed: {allowed}")
