import pytest

from ktg.data.folder import nested, passed_over, read_folder
from ktg.errors import DataError


def names(part) -> list[str]:
    return list(part.pictures.names)


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


def test_what_lies_beside_classes_or_splits_is_passed_over(make):
    plain, split = (
        make({"a": 1, "b": 1}, name="plain"),
        make({"train/a": 1, "train/b": 1, "valid/a": 1, "tset": 0}),
    )
    for root in (plain, split):
        (root / "one.png").touch()
        (root / ".hidden.png").touch()
        (root / "list.csv").touch()
    (split / "valid/two.jpeg").touch()
    assert passed_over(plain) == (["one.png"], [])
    assert passed_over(split) == (["one.png", "valid/two.jpeg"], ["tset"])


@pytest.mark.parametrize("split", ["", "train/"])
def test_classes_that_consist_of_folders_are_told_apart_from_classes_that_have_some(make, split):
    root = make(
        {f"{split}{name}": 1 for name in ("pets/cat", "pets/dog", "flowers/rose", "flowers/tulip")},
        name="high",
    )
    found = [f"{split}{name}" for name in ("flowers/rose", "flowers/tulip", "pets/cat", "pets/dog")]
    assert nested(root) == found
    assert nested(root / split / "pets") == []
    (root / split / "pets/one.png").touch()
    assert nested(root) == []
    assert (
        nested(make({f"{split}a/images": 1, f"{split}b/images": 1}, name="one folder each")) == []
    )
