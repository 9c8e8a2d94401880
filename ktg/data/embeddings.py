"""Measures distances between names of classes: by word embeddings, or from a table of the user."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ktg.errors import DataError, join_names

Vectors = dict[str, npt.NDArray[np.float64]]
_WORD = re.compile(r"[^\W_]+")


def measure_class_distances(
    path: Path,
    source: Sequence[str],
    target: Sequence[str],
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> npt.NDArray[np.float64]:
    """Return the distance (S, K) of each source class's name from each target class's name.

    path: a file of word2vec or GloVe in text form.
    A name is the mean of its words, scaled to unit length; of synonyms ("great white shark, white
    shark") the first counts, and words that the file lacks are left out. Cosine distance is
    1 - cosine, between 0 and 2: vectors (1, 0) and (0.8, 0.6) -> 0.2. Euclidean distance is that of
    the unit vectors: sqrt(2 * 0.2) = 0.632.
    Raises DataError for a file without embeddings, and for names without any known word.
    """
    if not source or not target:
        raise DataError(
            "emd: needs the names of the classes, of the source and of the data; "
            "one of them has none"
        )
    wanted = {word for name in (*source, *target) for word in split_words(name)}
    known = read_embeddings(path, wanted)
    unknown = [
        name
        for name in dict.fromkeys((*source, *target))
        if not any(word in known for word in split_words(name))
    ]
    if unknown:
        raise DataError(f"{path}: has no word of these class names: {join_names(unknown)}")
    rows, columns = (
        np.stack([_average(name, known) for name in names]) for names in (source, target)
    )
    cosine = rows @ columns.T
    # Between vectors of unit length: euclidean ** 2 = 2 * cosine distance.
    distance: npt.NDArray[np.float64] = np.clip(1 - cosine, 0, 2)
    return distance if metric == "cosine" else np.sqrt(2 * distance)


def read_class_distances(
    path: Path, source: Sequence[str], target: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Return the distances (S, K) in a CSV: a row for each source class, a column for each target.

    The header names the target classes, the first cell of each row its source class. The file may
    hold more classes. Raises DataError for a file that is no such table, and for classes that it
    lacks.
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
        raise DataError(f"{path}: has no distances for these classes: {join_names(lacking)}")
    places = [header.index(name, 1) for name in target]
    try:
        values = np.array([[float(known[name][place]) for place in places] for name in source])
    except (ValueError, IndexError):
        problem = "has a cell that is no number; expected a distance in each"
        raise DataError(f"{path}: {problem}") from None
    if not (np.isfinite(values) & (values >= 0)).all():
        raise DataError(f"{path}: has a distance that is negative or not finite")
    return values


def split_words(name: str) -> list[str]:
    """Return the words of a class name, in lower case: "Great_White, shark" -> great, white."""
    return _WORD.findall(name.partition(",")[0].lower())


def read_embeddings(path: Path, wanted: Iterable[str]) -> Vectors:
    """Return the vectors of the words in `wanted` that a file has; each line is a word and numbers.

    A first line of two numbers (how many words, how many numbers each), as word2vec writes it, is
    skipped. If a word occurs in several cases, lower case counts, else the first.
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
                    expected = f"expected {length or 'several'}"
                    raise DataError(f"{path}: line {number} has {len(values)} numbers; {expected}")
                if word.lower() in words_wanted and (word.islower() or word.lower() not in found):
                    found[word.lower()] = np.array(values, dtype=np.float64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as word embeddings ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{path}: line {number} is not a word and its numbers") from None
    return found


def _average(name: str, known: Vectors) -> npt.NDArray[np.float64]:
    """Return the mean of a name's words at unit length (zeros stay zeros)."""
    mean: npt.NDArray[np.float64] = np.mean(
        [known[word] for word in split_words(name) if word in known], axis=0
    )
    return mean / (np.linalg.norm(mean) or 1.0)
