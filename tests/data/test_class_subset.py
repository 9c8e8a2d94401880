import numpy as np
import pytest

from ktg.data import open_data, open_test
from ktg.data.class_subset import renumber_classes
from ktg.errors import SpecError
from ktg.graph import Data


def test_labels_are_numbered_anew_in_the_old_order():
    assert renumber_classes(("a", "b", "c", "d"), ("d", "b"), "here").tolist() == [-1, 0, -1, 1]


def test_only_some_classes_are_left_and_their_images_are_the_same(make):
    root = make({"ant": 10, "bee": 10, "cat": 10, "dog": 10})
    whole, some = (open_data(Data(path=str(root), only=only)) for only in (None, ("dog", "bee")))
    assert some.classes == ("bee", "dog")
    assert some.train.labels.tolist() == [0] * 6 + [1] * 6
    assert set(some.val.labels.tolist()) == {0, 1}
    assert some.fingerprint != whole.fingerprint
    assert some.fingerprint != open_data(Data(path=str(root), only=("bee", "cat"))).fingerprint
    assert some.fingerprint == open_data(Data(path=str(root), only=("bee", "dog"))).fingerprint
    test = open_test(Data(path=str(root), only=("bee", "dog")))
    assert np.bincount(test.labels).tolist() == [2, 2]
    every = (whole.train, whole.val, open_test(Data(path=str(root))))
    for some_split, whole_split in zip((some.train, some.val, test), every, strict=True):
        kept = np.flatnonzero(np.isin(whole_split.labels, [1, 3]))
        np.testing.assert_array_equal(
            some_split.read(np.arange(len(some_split))), whole_split.read(kept)
        )
    few = [
        open_data(Data(path=str(root), only=only, per_class=2)).train
        for only in (None, ("bee", "dog"))
    ]
    np.testing.assert_array_equal(few[1].read(np.arange(4)), few[0].read([2, 3, 6, 7]))


def test_official_splits_lose_the_same_classes(tmp_path):
    random = np.random.default_rng(0)
    splits = {
        split: random.integers(0, 256, (6, 4, 4), dtype=np.uint8)
        for split in ("train", "val", "test")
    }
    arrays = {f"x_{split}": images for split, images in splits.items()}
    np.savez(tmp_path / "a.npz", **arrays, **{f"y_{split}": [0, 1, 2, 0, 1, 2] for split in splits})
    spec = Data(path=str(tmp_path / "a.npz"), only=("0", "2"))
    dataset, test = open_data(spec), open_test(spec)
    for images, found in (
        (splits["train"], dataset.train),
        (splits["val"], dataset.val),
        (splits["test"], test),
    ):
        assert found.labels.tolist() == [0, 1, 0, 1]
        np.testing.assert_array_equal(found.read(np.arange(4))[..., 0], images[[0, 2, 3, 5]])


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (
            ("bee", "cta"),
            r"data\.only\[1\]: 'cta' is not a class of data\.path: .*Did you mean 'cat'",
        ),
        (("bee", "bee"), r"data\.only: names the class 'bee' twice"),
        (("bee",), r"data\.only: at least two classes are needed to tell apart, got bee"),
    ],
)
def test_classes_that_cannot_be_left(make, only, message):
    root = make({"bee": 3, "cat": 3})
    with pytest.raises(SpecError, match=message):
        open_data(Data(path=str(root), only=only))


def test_a_name_in_another_unicode_form_is_said_to_be_that():
    with pytest.raises(SpecError, match=r"data\.only\[1\]: .* looks like a class of t and"):
        renumber_classes(["caf\u00e9", "bar"], ["bar", "cafe\u0301"], "t")
