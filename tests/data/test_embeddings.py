"""Distances of class names from files as word2vec and GloVe write them."""

from pathlib import Path

import numpy as np
import pytest

from ktg.data.embeddings import measure_class_distances, read_class_distances, split_words
from ktg.errors import DataError

LINES = "cat 1 0 0\ndog 0.8 0.6 0\ncar 0 0 2\nshark 0 1 0\nWhite 1 1 1\nwhite 0 1 1\n"


@pytest.fixture(params=["", "6 3\n"], ids=["glove", "word2vec"])
def file(request, tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(request.param + LINES, encoding="utf-8")
    return path


def test_distances_are_those_of_the_directions(file):
    found = measure_class_distances(file, ["cat", "car"], ["dog", "cat", "car"])
    np.testing.assert_allclose(found, [[0.2, 0, 1], [1, 1, 0]], atol=1e-12)
    euclidean = measure_class_distances(file, ["cat"], ["dog", "car"], "euclidean")
    np.testing.assert_allclose(euclidean, [[np.sqrt(0.4), np.sqrt(2)]])


def test_a_name_is_the_mean_of_the_words_of_its_first_synonym(file):
    assert split_words("great_white shark, white shark") == ["great", "white", "shark"]
    np.testing.assert_allclose(
        measure_class_distances(file, ["White shark, cat"], ["shark"]),
        [[1 - 2 / np.sqrt(5)]],
        atol=1e-12,
    )


def test_names_without_a_known_word_are_listed(file):
    with pytest.raises(DataError, match="no word of these class names: zebra, red fox"):
        measure_class_distances(file, ["cat", "zebra"], ["red fox", "dog"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cat 1 0\ndog 1\n", "line 2 has 1 numbers; expected 2"),
        ("cat one two\n", "line 1 is not a word"),
        ("cat\n", "line 1"),
    ],
)
def test_a_file_of_something_else_is_named_by_line(tmp_path, text, problem):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(DataError, match=problem):
        measure_class_distances(tmp_path / "bad.txt", ["cat"], ["dog"])


def test_missing_names_and_missing_files(tmp_path, file):
    with pytest.raises(DataError, match="needs the names"):
        measure_class_distances(file, [], ["cat"])
    with pytest.raises(DataError, match="No such file"):
        measure_class_distances(tmp_path / "none.txt", ["cat"], ["dog"])


TABLE = "source,dog,cat,cow\nwolf,1,2,3\nlion,4,0.5,6\n"


def test_a_table_of_distances_is_read_by_name(tmp_path):
    (tmp_path / "d.csv").write_text(TABLE)
    found = read_class_distances(tmp_path / "d.csv", ["lion", "wolf", "lion"], ["cat", "dog"])
    np.testing.assert_array_equal(found, [[0.5, 4], [2, 1], [0.5, 4]])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (TABLE.replace("wolf", "fox"), "has no distances for these classes: wolf$"),
        (TABLE.replace("cat", "cot"), "has no distances for these classes: cat$"),
        (TABLE.replace("0.5", "near"), "has a cell that is no number"),
        (TABLE.replace("0.5", "nan"), "negative or not finite"),
        (TABLE.replace("0.5", "-1"), "negative or not finite"),
        (TABLE.replace("lion,4,0.5,6", "lion,4"), "has a cell that is no number"),
        ("", "cannot be read as a table"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, problem):
    (tmp_path / "d.csv").write_text(content)
    with pytest.raises(DataError, match=problem):
        read_class_distances(tmp_path / "d.csv", ["wolf", "lion"], ["dog", "cat"])
