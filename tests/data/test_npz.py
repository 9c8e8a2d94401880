import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ktg.data import open_data
from ktg.data.decode import Geometry
from ktg.data.npz import read_npz
from ktg.errors import DataError
from ktg.graph import Data

X = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), dtype=np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def save(tmp_path: Path):
    def write(**arrays: object) -> Path:
        path = tmp_path / "set.npz"
        np.savez_compressed(path, **arrays)
        return path

    return write


@pytest.mark.parametrize("keys", [("x_{}", "y_{}"), ("{}_images", "{}_labels")])
def test_splits_under_either_naming(save, keys):
    splits = {"train": slice(None), "val": slice(3), "test": slice(3)}
    arrays = {keys[0].format(split): X[rows] for split, rows in splits.items()}
    arrays |= {keys[1].format(split): Y[rows, None] for split, rows in splits.items()}
    found = read_npz(save(**arrays), "t")
    assert found.classes == ("0", "1", "2")
    assert found.train.labels.tolist() == Y.tolist()
    assert len(found.val.images) == len(found.test().images) == 3


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels")])
def test_without_splits(save, keys):
    found = read_npz(save(**dict(zip(keys, (X, Y), strict=True))), "t")
    assert found.val is None
    assert found.test is None
    assert len(found.train.images) == 6


def test_names_of_classes_may_be_bytes(save):
    names = np.array(["cat", "dög", "owl"])
    found = read_npz(save(x=X, y=Y, classes=np.char.encode(names, "utf-8")), "t")
    assert found.classes == ("cat", "dög", "owl")


def test_labels_may_be_any_numbers_or_text_and_classes_name_them(save):
    assert read_npz(save(x=X, y=Y * 10 + 5), "t").classes == ("5", "15", "25")
    words = np.array(["b", "a", "b", "a", "c", "c"])
    found = read_npz(save(x=X, y=words), "t")
    assert found.classes == ("a", "b", "c")
    assert found.train.labels.tolist() == [1, 0, 1, 0, 2, 2]
    given = read_npz(save(x=X, y=words, classes=np.array(["c", "b", "a"])), "t")
    assert given.train.labels.tolist() == [1, 2, 1, 2, 0, 0]
    assert read_npz(save(x=X, y=Y, classes=np.array(["u", "v", "w"])), "t").classes == (
        "u",
        "v",
        "w",
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": X, "y": Y}, "lacks x; it holds pictures, y; expected x_train"),
        ({"foo": X}, "holds foo; expected x_train"),
        ({}, "holds nothing"),
        ({"x_train": X}, "lacks y_train"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "lacks y_test"),
        ({"x": X, "y": Y[:4]}, "y has 4 labels for the 6 of x"),
        ({"x": X.astype(np.float32), "y": Y}, "x is of type float32; images must be uint8"),
        ({"x": X[0], "y": Y}, "y has 6 labels for the 5 of x"),
        ({"x": X.transpose(0, 3, 1, 2), "y": Y}, r"shape \(6, 3, 5, 5\).*the channels come last"),
        ({"x": X.reshape(6, 75), "y": Y}, r"x has shape \(6, 75\); allowed: \(N, H, W\)"),
        ({"x": X, "y": np.eye(6, 3)}, "y is of type float64; labels must be whole numbers or text"),
        ({"x": X, "y": np.eye(6, 3, dtype=int)}, r"y has shape \(6, 3\); allowed: \(N,\)"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b"])}, "y has labels that are no class.*: 2"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b", "a"])}, "names a class twice"),
        ({"x": X, "y": Y, "classes": np.array([b"a", b"b", b"\xe9"])}, r"xe9' is not UTF-8; save"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
            "y_test has labels that are no class.*: 3",
        ),
    ],
)
def test_what_does_not_fit_is_named(save, arrays, message):
    with pytest.raises(DataError, match=message):
        read_npz(save(**arrays), "t")


def test_python_objects_are_never_unpickled(save):
    with pytest.raises(DataError, match="x holds Python objects"):
        read_npz(save(x=np.array([{}], dtype=object), y=Y), "t")


def test_a_file_that_is_no_npz(tmp_path: Path):
    path = tmp_path / "set.npz"
    for content in (b"", b"hello", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not an \.npz file"):
            read_npz(path, "t")


@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, save_as):
    path = tmp_path / "set.npz"
    save_as(path, x=X, y=Y, classes=np.array(["a", "b", "c"]))
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [whole[:size] for size in random.integers(0, len(whole), 50)]
    for _ in range(300):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            content[place] = random.integers(256)
        damaged.append(bytes(content))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            found = read_npz(path, "t")
            found.train.images.open(0, Geometry(5, 3))
        except DataError as error:
            assert "set.npz" in str(error) or str(error).startswith("t: ")
            refused += 1
    assert refused > 150


def test_an_array_that_claims_more_than_the_file_has(save):
    path = save(x=X, y=Y)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in content.items():
            shape = array.replace(b"(6, 5, 5, 3), }", b"(6, 55555, 5, 3), }")
            archive.writestr(name, shape)
    with pytest.raises(DataError, match=r"x .* has .* bytes and not"):
        read_npz(path, "t")


def test_pixels_that_are_damaged_are_one_sentence_and_not_one_for_each_image(tmp_path: Path):
    path = tmp_path / "set.npz"
    large = np.random.default_rng(0).integers(0, 256, (6, 200, 200), dtype=np.uint8)
    np.savez(path, x=large, y=np.array([0, 1] * 3))
    content = path.read_bytes()
    path.write_bytes(content.replace(large[5].tobytes()[:50], bytes(50)))
    with pytest.raises(DataError, match=r"set\.npz: x: .*damaged \(Bad CRC-32"):
        open_data(Data(path=str(path)))


def test_a_pipe_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "set.npz")
    with pytest.raises(DataError, match=r"t: a pipe, a socket or a device, and no \.npz file"):
        read_npz(tmp_path / "set.npz", "t")


def test_the_real_one(shared: Path):
    found = read_npz(shared / "data/cifar10_small/cifar10_small.npz", "t")
    assert found.classes[:2] == ("airplane", "automobile")
    assert np.bincount(found.train.labels).tolist() == [800] * 10
    assert np.bincount(found.test().labels).tolist() == [200] * 10
