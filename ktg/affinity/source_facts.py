"""What is known of a source besides its weights: its accuracy on its own data, and the names of its classes."""

from collections.abc import Mapping
from pathlib import Path

from ktg.affinity.candidate import Candidate
from ktg.errors import DataError
from ktg.graph import IMAGENET, SourceFile
from ktg.models.names import zoo_card


def source_accuracy(candidate: Candidate, sources: Mapping[str, SourceFile]) -> float | None:
    """Return the share of images that the source gets right on its own data; 0 for `none`; None where nobody says.

    It stands in `sources` or on the card of the zoo. Sources of different data have had tasks of
    different difficulty.
    """
    source = candidate.node.source
    if source in sources:
        return sources[source].accuracy
    card = zoo_card(source, sources, candidate.name, candidate.node.model)
    if card is not None:
        return card.accuracy
    return 0.0 if source == "none" else None


def class_names(
    candidate: Candidate, sources: Mapping[str, SourceFile], base: Path | None = None
) -> tuple[str, ...] | None:
    """Return the names of the source's classes in the order of its head, None where nobody says.

    They stand in the file that `sources` names, or on the card of the zoo; those of ImageNet-1k are
    known.
    Raises DataError for a file that cannot be read.
    """
    source = candidate.node.source
    if source in sources:
        file = sources[source].labels
        return None if file is None else read_names((base or Path()) / file)
    card = zoo_card(source, sources, candidate.name, candidate.node.model)
    if card is not None:
        return card.classes or None
    return imagenet_names() if source == IMAGENET else None


def read_names(file: Path) -> tuple[str, ...]:
    """Return the names in a text file, one a line. Raises DataError where it cannot be read or a line is empty."""
    try:
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{file}: cannot be read as names of classes ({reason})") from None
    empty = [number for number, name in enumerate(names, 1) if not name]
    if empty or not names:
        raise DataError(
            f"{file}: line {empty[0] if empty else 1} is empty; expected the name of a class on each line"
        )
    return names


def imagenet_names() -> tuple[str, ...]:
    """Return the names of the thousand classes of ImageNet-1k, in the order that all libraries share."""
    from timm.data import ImageNetInfo  # seconds to import, for this one question

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_description(number) for number in range(info.num_classes()))
