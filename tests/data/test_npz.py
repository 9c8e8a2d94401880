from pathlib import Path

import numpy as np
import pytest

from ktg.data.npz import read_npz
from ktg.errors import DataError

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


def test_the_real_one(shared: Path):
    found = read_npz(shared / "data/cifar10_small/cifar10_small.npz", "t")
    assert found.classes[:2] == ("airplane", "automobile")
    assert np.bincount(found.train.labels).tolist() == [800] * 10
    assert np.bincount(found.test().labels).tolist() == [200] * 10
