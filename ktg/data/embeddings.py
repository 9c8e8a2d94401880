"""Distances between the names of classes: from word embeddings (word2vec or GloVe), or from a table of the user's."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ktg.errors import DataError

Vectors = dict[str, npt.NDArray[np.float64]]
_WORD = re.compile(r"[^\W_]+")
_LISTED = 20


def class_distance(
    path: Path,
    source: Sequence[str],
    target: Sequence[str],
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> npt.NDArray[np.float64]:
    """Return the distance of each source class's name (rows) from each target class's name (columns).

    A name is the mean of its words at unit length; of synonyms, "great white shark, white shark",
    the first counts. Cosine distance is 1 - cosine, between 0 and 2. Words that the file lacks are
    passed over where others of the name are there. Raises DataError for a file that holds no
    embeddings, and for names without any known word, listed.
    """
    if not source or not target:
        raise DataError(
            "emd: needs the names of the classes, of the source and of the data; one of them has none"
        )
    known = read_embeddings(path, {word for name in (*source, *target) for word in words(name)})
    unknown = [
        name
        for name in dict.fromkeys((*source, *target))
        if not any(word in known for word in words(name))
    ]
    if unknown:
        more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        raise DataError(
            f"{path}: has no word of these class names: {', '.join(unknown[:_LISTED])}{more}"
        )
    rows, columns = (
        np.stack([_vector(name, known) for name in names]) for names in (source, target)
    )
    cosine = rows @ columns.T
    # Of vectors at unit length, the one distance is half the square of the other.
    distance: npt.NDArray[np.float64] = np.clip(1 - cosine, 0, 2)
    return distance if metric == "cosine" else np.sqrt(2 * distance)


def table_distance(
    path: Path, source: Sequence[str], target: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Return the distances (S, K) in a CSV with a row for each source class and a column for each target class.

    The header names the target classes, the first cell of each row its source class; others may be
    there too.
    Raises DataError for a file that is no such table, and for classes that it lacks, listed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError):
        raise DataError(
            f"{path}: cannot be read as a table of distances (CSV in UTF-8, with a header)"
        ) from None
    known = {row[0]: row for row in rows}
    lacking = [name for name in source if name not in known] + [
        name for name in target if name not in header[1:]
    ]
    if lacking:
        more = f" and {len(lacking) - _LISTED} more" if len(lacking) > _LISTED else ""
        raise DataError(
            f"{path}: has no distances for these classes: {', '.join(lacking[:_LISTED])}{more}"
        )
    places = [header.index(name, 1) for name in target]
    try:
        values = np.array([[float(known[name][place]) for place in places] for name in source])
    except (ValueError, IndexError):
        raise DataError(
            f"{path}: has a cell that is no number; expected a distance in each"
        ) from None
    if not (np.isfinite(values) & (values >= 0)).all():
        raise DataError(f"{path}: has a distance that is negative or not finite")
    return values


def words(name: str) -> list[str]:
    """Return the words of a class name, in lower case."""
    return _WORD.findall(name.partition(",")[0].lower())


def read_embeddings(path: Path, wanted: Iterable[str]) -> Vectors:
    """Return the vectors of the words in `wanted` that a file has: a word and its numbers on each line.

    A first line of two numbers (how many words, how many numbers each), as word2vec writes it, is
    passed over. Of a word in several cases the lower one counts, else the first.
    """
    words_wanted, found, length = set(wanted), Vectors(), 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                word, *values = line.rstrip().split(" ")
                if number == 1 and len(values) == 1:
                    continue
                length = length or len(values)
                if len(values) != length or length < 2:
                    raise DataError(
                        f"{path}: line {number} has {len(values)} numbers; expected {length or 'several'}"
                    )
                if word.lower() in words_wanted and (word.islower() or word.lower() not in found):
                    found[word.lower()] = np.array(values, dtype=np.float64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as word embeddings ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{path}: line {number} is not a word and its numbers") from None
    return found


def _vector(name: str, known: Vectors) -> npt.NDArray[np.float64]:
    """Return the mean of a name's words at unit length (zeros stay zeros)."""
    mean: npt.NDArray[np.float64] = np.mean(
        [known[word] for word in words(name) if word in known], axis=0
    )
    return mean / (np.linalg.norm(mean) or 1.0)
