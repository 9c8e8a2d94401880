import os

import pytest

from ktg.data import open_data
from ktg.data.folder import read_folder
from ktg.errors import DataError
from ktg.graph import Data


def names(part) -> list[str]:
    return list(part.images.names)


def test_one_folder_per_class(make):
    root = make({"dog": 2, "cat": 1})
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    (root / "cat/._00.png").write_bytes(b"")
    (root / "cat/notes.txt").write_text("not an image")
    (root / "dog/young").mkdir()
    (root / "dog/00.png").rename(root / "dog/young/first.JPG")
    found = read_folder(root, "t")
    assert found.classes == ("cat", "dog")
    assert names(found.train) == ["cat/00.png", "dog/01.png", "dog/young/first.JPG"]
    assert found.train.labels.tolist() == [0, 1, 1]
    assert found.val is None
    assert found.test is None


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_folders_of_splits(make, val: str):
    found = read_folder(
        make({"train/a": 2, "train/b": 1, f"{val}/a": 1, f"{val}/b": 1, "test/a": 1, "test/b": 1}),
        "t",
    )
    assert names(found.train) == ["train/a/00.png", "train/a/01.png", "train/b/00.png"]
    assert names(found.val) == [f"{val}/a/00.png", f"{val}/b/00.png"]
    assert names(found.test()) == ["test/a/00.png", "test/b/00.png"]


def test_train_alone_among_the_splits(make):
    found = read_folder(make({"train/a": 1, "train/b": 1}), "t")
    assert found.classes == ("a", "b")
    assert found.val is None
    assert found.test is None


def test_an_empty_class_folder_is_named(make):
    root = make({"a": 1, "b": 0, "c": 0})
    with pytest.raises(DataError, match="no images in b, c; put images there"):
        read_folder(root, "t")


@pytest.mark.parametrize("folder", ["", "images/"])
@pytest.mark.parametrize(("split", "count", "holds"), [("test", 5, "5 images"), ("val", 1, "1 im")])
def test_a_split_without_class_folders_says_what_to_do(make, split, count, holds, folder):
    root = make({"train/cat": 4, "train/dog": 4, f"{split}/{folder}": count})
    with pytest.raises(DataError) as refused:
        read_folder(root, "t")
    assert str(refused.value).startswith(f"t: {split}/ has {holds}")
    assert str(refused.value).endswith(
        f" and no folder for each class; sort them into {split}/cat/ and so on, rename it "
        f"unlabelled/, or move it away, and a {split} split is drawn"
    )
    (root / split).rename(root / "unlabelled")
    assert read_folder(root, "t").classes == ("cat", "dog")


@pytest.mark.parametrize("split", ["val", "test"])
def test_classes_of_the_splits_must_agree_before_any_image_is_read(make, split: str):
    root = make({"train/cat": 1, "train/dog": 1, f"{split}/cat": 1, f"{split}/dogs": 1})
    with pytest.raises(
        DataError, match=f"{split}/ has classes that train/ has not: dogs. Did you mean 'dog'"
    ):
        read_folder(root, "t")
    (root / split / "dogs").rename(root / split / ".dogs")
    with pytest.raises(DataError, match=f"{split}/ lacks classes that train/ has: dog"):
        read_folder(root, "t")


def test_splits_without_train_and_two_val_folders(make):
    with pytest.raises(DataError, match="has test/ with class folders but no train/"):
        read_folder(make({"test/a": 1}, name="one"), "t")
    with pytest.raises(DataError, match="has both val/ and valid/"):
        read_folder(make({"train/a": 1, "val/a": 1, "valid/a": 1}, name="two"), "t")


def test_a_class_may_be_called_test(make):
    assert read_folder(make({"test": 1, "other": 1}), "t").classes == ("other", "test")


def test_links_that_lead_to_one_file_from_two_classes_or_two_splits_are_refused(make):
    root = make({"cat": 2, "dog": 1, "owl": 1})
    (root / "dog/from.png").symlink_to("../cat/00.png")
    with pytest.raises(DataError, match=r"1 file has two labels.*: cat/00.png is dog/from.png;"):
        read_folder(root, "t")
    (root / "dog/from.png").unlink()
    (root / "tabby").symlink_to("cat")
    with pytest.raises(DataError, match=r"2 files have two labels .* cat/00.png is tabby/00.png, "):
        read_folder(root, "t")
    split = make({"train/a": 1, "train/b": 1, "test/a": 1, "test/b": 1}, name="split")
    (split / "val").symlink_to("test")
    with pytest.raises(DataError, match="2 files have two labels or a place in two splits"):
        read_folder(split, "t")


def test_a_class_that_links_to_itself_has_each_image_once(make):
    root = make({"cat": 3, "dog": 2})
    for link, target in (("latest", "."), ("again", "."), ("00-too.png", "02.png")):
        (root / "cat" / link).symlink_to(target)
    assert names(read_folder(root, "t").train)[:4] == [
        "cat/00.png",
        "cat/01.png",
        "cat/02.png",
        "dog/00.png",
    ]


def test_one_letter_in_two_unicode_forms_is_said_to_be_that(make):
    root = make({"train/caf\u00e9": 1, "train/b": 1, "val/cafe\u0301": 1, "val/b": 1})
    with pytest.raises(DataError, match="written with other characters in val/ than in train/"):
        read_folder(root, "t")


def test_a_class_that_is_not_utf_8_is_refused(make):
    root = make({"cat": 1, "dog": 1})
    os.rename(root / "dog", os.fsencode(root) + b"/caf\xe9")  # noqa: PTH104 - a name in bytes
    with pytest.raises(DataError, match=r"the class folder caf\\xe9 has a name that is not UTF-8"):
        read_folder(root, "t")


def test_names_of_255_bytes_are_names_like_others(make):
    root = make({"a" * 255: 4, "b": 4})
    (root / "b/00.png").rename(root / "b" / f"{'c' * 251}.png")
    assert len(open_data(Data(path=str(root))).train) == 4


@pytest.mark.parametrize("folders", [("Training", "Testing"), ("seg_train/seg_train", "seg_test")])
def test_splits_of_other_names_are_splits(make, folders):
    root = make({f"{split}/{name}": 1 for split in folders for name in "ab"})
    found = read_folder(root, "t")
    assert found.classes == ("a", "b")
    assert names(found.train) == [f"{folders[0]}/{name}/00.png" for name in "ab"]
    assert names(found.test()) == [f"{folders[1]}/{name}/00.png" for name in "ab"]
