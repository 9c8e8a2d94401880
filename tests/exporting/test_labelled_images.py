"""Labelled images of folders and .npz files, matched to the classes of a model by name."""

import shutil
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from ktg.data.decode import Geometry
from ktg.errors import DataError, SpecError
from ktg.exporting.labelled_images import find_labelled

CLASSES = ("dog", "cat", "owl")  # in another order than folders have


@pytest.fixture
def animals(tmp_path):
    """Make a folder of images from paths, and return it."""

    def make(*names):
        for name in names:
            path = tmp_path / "animals" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (6, 6), len(name)).save(path)
        return tmp_path / "animals"

    return make


def test_a_folder_for_each_class_or_for_some_of_them(animals):
    images = find_labelled(animals("cat/b.png", "cat/a.png", "dog/deep/c.png"), CLASSES)
    names = [images.name(row) for row in range(len(images))]
    assert [name.rpartition("animals/")[2] for name in names] == [
        "cat/a.png",
        "cat/b.png",
        "dog/deep/c.png",
    ]
    assert images.labels.tolist() == [1, 1, 0]
    assert find_labelled(animals("owl/x.png") / ".", ("owl", "cat", "dog")).labels.tolist() == [
        1,
        1,
        2,
        0,
    ]


def test_a_single_class_is_enough(animals):
    assert find_labelled(animals("owl/x.png"), CLASSES).labels.tolist() == [2]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_splits_by_their_names_and_the_test_split_if_none_is_named(animals, val):
    root = animals("train/cat/1.png", f"{val}/dog/2.png", "test/owl/3.png")
    for split, name, label in (
        ("train", "train/cat/1.png", 1),
        ("val", f"{val}/dog/2.png", 0),
        ("test", "test/owl/3.png", 2),
        (None, "test/owl/3.png", 2),
    ):
        images = find_labelled(root, CLASSES, split)
        assert [images.name(0), images.labels.tolist()] == [str(root / name), [label]]
    # Alone, without train/ beside it, which training would refuse.
    assert len(find_labelled(root / "test", CLASSES)) == 1


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train", "test_set"),
        ("train/train", "test/test"),
    ],
)
def test_splits_by_the_names_that_training_knows(animals, train, test):
    names = {"train": f"{train}/cat/1.png", "test": f"{test}/owl/3.png"}
    root = animals(*names.values(), f"{train}/owl/2.png")
    for split, name in (*names.items(), (None, names["test"])):
        assert find_labelled(root, CLASSES, split).name(0) == str(root / name)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": 4, "y": ["cat", "owl", "cat", "dog"]},
        {"x": 4, "y": [0, 2, 0, 1], "classes": ["cat", "dog", "owl"]},
        {"x_train": 1, "y_train": ["owl"], "x_test": 1, "y_test": ["owl"]},
    ],
)
def test_an_npz_by_the_names_of_its_classes(tmp_path, arrays):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3)).astype(np.uint8)
    parts = {
        key: pixels[:value] if key.startswith("x") else np.array(value)
        for key, value in arrays.items()
    }
    np.savez(tmp_path / "some.npz", **parts)
    images = find_labelled(tmp_path / "some.npz", CLASSES)
    if "x_test" in arrays:
        assert (images.place, images.labels.tolist()) == (f"{tmp_path}/some.npz (test)", [2])
        return
    assert images.labels.tolist() == [1, 2, 1, 0]
    assert images.name(2) == "image 2"
    np.testing.assert_array_equal(images.open(2, Geometry(5, 3)), pixels[2])


@pytest.mark.parametrize(
    ("names", "split", "said"),
    [
        (
            ["cat/1.png", "dogs/2.png", "fish/3.png"],
            None,
            "has classes that the model does not know: dogs, fish; it knows dog, cat, owl. "
            "Did you mean 'dog'?",
        ),
        (["1.png"], None, "has no folder for each class, named like it, with its images"),
        (["train/cat/1.png"], None, "has no test split; choose one with --split: train"),
        (["train/cat/1.png"], "val", "has no val split; it has train"),
        (["cat/1.png"], "test", "has no test/ with class folders; leave out --split"),
    ],
)
def test_folders_that_are_refused(animals, names, split, said):
    root = animals(*names)
    with pytest.raises(DataError) as refused:
        find_labelled(root, CLASSES, split)
    assert str(refused.value) == f"{root}: {said}"


def test_places_that_are_no_data(tmp_path, animals):
    root = animals("cat/1.png")
    (root / "dog").mkdir()
    with pytest.raises(DataError, match="no images in dog"):
        find_labelled(root, CLASSES)
    with pytest.raises(DataError, match=r"does not exist\. Did you mean 'animals'\?"):
        find_labelled(tmp_path / "animal", CLASSES)
    with pytest.raises(DataError, match=r"is neither a folder nor an \.npz file"):
        find_labelled(root / "cat/1.png", CLASSES)
    with pytest.raises(SpecError, match="'tset' is not a split; allowed: train, val, test"):
        find_labelled(root, CLASSES, "tset")


def test_a_table_of_labels_with_and_without_splits(tmp_path):
    for number in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    lines = [f"{number}.png,{('cat', 'dog')[number % 2]}" for number in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    found = find_labelled(tmp_path, ("dog", "cat"))
    assert len(found) == 6
    assert sorted(found.labels) == [0] * 3 + [1] * 3
    assert found.open(0, Geometry(8, 3)).name == "0.png"
    split = [f"{line},{'train' if number < 4 else 'test'}" for number, line in enumerate(lines)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,split", *split]))
    assert len(find_labelled(tmp_path, ("dog", "cat"))) == 2
    assert len(find_labelled(tmp_path, ("dog", "cat"), "train")) == 4
    with pytest.raises(DataError, match="has no val split; it has train, test"):
        find_labelled(tmp_path, ("dog", "cat"), "val")


@pytest.mark.parametrize("name", ["Test", "test", "seg_test/seg_test", "validation"])
def test_a_folder_with_one_split_alone_by_the_names_that_training_knows(animals, name):
    kind = "val" if name == "validation" else "test"
    root = animals(f"{name}/cat/1.png", f"{name}/dog/2.png")
    images = find_labelled(root, CLASSES, kind)
    assert (images.place, images.labels.tolist()) == (str(root / name), [1, 0])


def test_a_class_that_is_named_as_a_split_is_a_class(animals):
    root = animals("Test/deep/1.png")
    assert find_labelled(root, ("Test", "cat")).labels.tolist() == [0]
    assert find_labelled(root, ("deep", "cat")).labels.tolist() == [0]


def test_classes_are_compared_in_one_unicode_form(animals):
    names = [normalize(form, "é") for form in ("NFD", "NFC")]
    for written, known in (names, reversed(names)):
        root = animals(f"{written}/1.png")
        assert find_labelled(root, ("cat", known)).labels.tolist() == [1]
        shutil.rmtree(root)


def test_a_table_of_any_name_is_read_where_it_is_named(tmp_path):
    for number in range(4):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    lines = [f"{number}.png,{('cat', 'dog')[number % 2]}" for number in range(4)]
    (tmp_path / "mine.csv").write_text("\n".join(["file,label", *lines]))
    with pytest.raises(DataError, match="has no folder for each class"):
        find_labelled(tmp_path, CLASSES)
    assert sorted(find_labelled(tmp_path, CLASSES, labels="mine.csv").labels) == [0, 0, 1, 1]
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 5, 5), np.uint8), y=["owl"] * 4)
    rows = [line.replace(".png", "") for line in lines]
    (tmp_path / "mine.csv").write_text("\n".join(["file,label", *rows]))
    found = find_labelled(tmp_path / "x.npz", CLASSES, labels="mine.csv")
    assert found.labels.tolist() == [1, 0, 1, 0]


def test_images_of_other_classes_may_be_left_out_but_not_all(animals):
    root = animals("cat/1.png", "emu/2.png", "emu/3.png", "owl/4.png")
    images = find_labelled(root, CLASSES, leave_out=True)
    assert (images.left_out, images.labels.tolist()) == ((("emu", 2),), [1, 2])
    assert [images.name(row) for row in range(2)] == [f"{root}/cat/1.png", f"{root}/owl/4.png"]
    with pytest.raises(DataError, match="does not know: cat, emu, owl"):
        find_labelled(root, ("gnu", "yak"), leave_out=True)


SPLIT = ("train/cat/1.png", "val/cat/2.png", "test/cat/3.png")


@pytest.mark.parametrize(
    ("names", "measured", "split", "trained", "part"),
    [
        (SPLIT, "", None, "", False),
        (SPLIT, "", "train", "", True),
        (SPLIT, "", "val", "", True),
        (SPLIT, "test", None, "", False),
        (SPLIT, "train", None, "", True),
        (SPLIT, "val", None, "", True),
        (SPLIT, "", None, "test", True),  # as if training had split that folder
        (SPLIT, "", "train", "test", False),
        (("a/train/cat/1.png", "a/test/cat/2.png"), "a", None, "a/train", False),
        (("cat/1.png", "dog/2.png"), "", None, "", True),
        (("cat/1.png", "dog/2.png"), "", None, "elsewhere", False),
        (("cat/tom/1.png", "dog/2.png"), "cat", None, "", True),
        ((*SPLIT, "more/cat/4.png"), "more", None, "", False),
        (("Test/cat/1.png", "images/2.png"), "Test", None, "", False),  # beside a table
    ],
)
def test_which_images_a_training_has_used(animals, names, measured, split, trained, part):
    root = animals(*names)
    images = find_labelled(root / measured, (*CLASSES, "tom"), split)
    assert images.is_part_of(root / trained) is part


def test_the_test_split_of_a_table_or_of_arrays_was_not_used(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    lines = ["file,label,split"]
    for number in range(4):
        Image.new("RGB", (8, 8)).save(root / f"{number}.png")
        lines.append(f"{number}.png,cat,{('train', 'test')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(lines))
    arrays = {
        f"{key}_{split}": value
        for split in ("train", "test")
        for key, value in (("x", np.zeros((2, 5, 5), np.uint8)), ("y", np.array(["cat"] * 2)))
    }
    np.savez(tmp_path / "x.npz", **arrays)
    for place in (root, tmp_path / "x.npz"):
        found = {split: find_labelled(place, CLASSES, split) for split in (None, "test", "train")}
        used = {split: images.is_part_of(place) for split, images in found.items()}
        assert used == {None: False, "test": False, "train": True}
        assert found["train"].place == f"{place} (train)"
