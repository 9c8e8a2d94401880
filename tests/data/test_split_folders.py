"""Folders that are splits, and folders that are classes."""

import pytest

from ktg.data.folder import read_folder
from ktg.data.split_folders import find_splits, is_unlabelled, name_split
from ktg.errors import DataError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "train") for name in ("train", "Train", "TRAINING", "seg_train", "train_set")),
        *((name, "train") for name in ("labelled", "Labeled_images")),
        *((name, "val") for name in ("val", "Valid", "validation", "val-images")),
        *((name, "test") for name in ("test", "Testing", "test1", "test_data", "seg_test")),
        *(
            (name, None)
            for name in ("unlabelled", "train_station", "trainer", "testa", "cat", "1", "contest")
        ),
    ],
)
def test_names_of_splits(name, kind):
    assert name_split(name) == kind


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (("Train", "Valid", "TEST"), {"train": "Train", "val": "Valid", "test": "TEST"}),
        (("seg_train/seg_train", "seg_test/seg_test"), None),
        (("train/train", "test"), None),
        (("train", "Training", "test", "Testing"), {"train": "train", "test": "test"}),
        (("Training",), {"train": "Training"}),
    ],
)
def test_folders_of_classes_under_names_of_splits_are_splits(make, places, found):
    root = make({f"{place}/{name}": 1 for place in places for name in "ab"})
    assert find_splits(root, "t") == (found or dict(zip(("train", "test"), places, strict=True)))


@pytest.mark.parametrize(
    "places", [("train", "bus"), ("Training/a", "match/a"), ("test", "other"), ("cat", "dog")]
)
def test_one_name_of_a_split_among_classes_is_a_class(make, places):
    assert find_splits(make(dict.fromkeys(places, 1)), "t") == {}


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("train", "test"), "the folders test, train are named as splits and not as classes"),
        (("train", "test1", "sample"), "the folders test1, train are named as splits"),
        (("Validation/a", "Testing/a"), "the folders Testing, Validation are named as splits"),
        (("Training/a", "training_set/a"), "has both Training/ and training_set/; keep one"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), r"\(cat/test, cat/train\)"),
        (("archive/train/a", "archive/test/a"), "name one of these folders as the data set"),
    ],
)
def test_what_is_no_set_of_splits_is_refused_with_what_was_understood(make, places, message):
    with pytest.raises(DataError, match=message):
        find_splits(make(dict.fromkeys(places, 1)), "t")


@pytest.mark.parametrize(
    ("name", "without"),
    [
        *((name, True) for name in ("unlabelled", "Unlabeled", "unlabeled_images", "unlabelled2")),
        *((name, False) for name in ("labelled", "unlabelled bottles", "unlabel", "cat")),
    ],
)
def test_names_of_folders_without_labels(name, without):
    assert is_unlabelled(name) is without


@pytest.mark.parametrize(
    "places", [("", ""), ("train/", ""), ("train/", "train/"), ("Train/", ""), ("labelled/", "")]
)
def test_a_folder_without_labels_is_no_class(make, places):
    split, beside = places
    root = make({f"{split}a": 3, f"{split}b": 3, f"{beside}unlabelled": 4})
    found = read_folder(root, "t")
    assert found.classes == ("a", "b")
    assert len(found.train.labels) == 6


def test_val_and_test_may_hold_one_too(make):
    folders = ("train/a", "train/b", "test/a", "test/b", "test/unlabelled")
    found = read_folder(make(dict.fromkeys(folders, 3)), "t")
    assert len(found.test().labels) == 6
