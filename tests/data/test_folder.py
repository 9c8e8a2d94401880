import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import open_data, open_test, summarize
from ktg.data.folder import find_nested, find_unused, read_folder
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
    assert find_unused(plain) == (["one.png"], [])
    assert find_unused(split) == (["one.png", "valid/two.jpeg"], ["tset"])


@pytest.mark.parametrize("split", ["", "train/"])
def test_classes_that_consist_of_folders_are_told_apart_from_classes_that_have_some(make, split):
    root = make(
        {f"{split}{name}": 1 for name in ("pets/cat", "pets/dog", "flowers/rose", "flowers/tulip")},
        name="high",
    )
    found = [f"{split}{name}" for name in ("flowers/rose", "flowers/tulip", "pets/cat", "pets/dog")]
    assert find_nested(root) == found
    assert find_nested(root / split / "pets") == []
    (root / split / "pets/one.png").touch()
    assert find_nested(root) == []
    assert (
        find_nested(make({f"{split}a/images": 1, f"{split}b/images": 1}, name="one folder each"))
        == []
    )


def pixels_of(images) -> set[bytes]:
    return {each.tobytes() for each in images.read(range(len(images)))}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder of 30 images of two classes without splits, no two alike."""
    random = np.random.default_rng(0)
    for number in range(30):
        file = tmp_path / "plain" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return tmp_path / "plain"


def test_a_data_set_may_be_its_own_supply_and_keeps_what_is_held_out(plain):
    spec = Data(path=str(plain), per_class=2, unlabelled=str(plain))
    dataset, test = open_data(spec), open_test(spec)
    assert len(dataset.unlabelled) == 30 - len(dataset.val) - len(test)
    assert [summarize(spec, test=both).unlabelled for both in (True, False)] == [
        len(dataset.unlabelled)
    ] * 2
    assert (dataset.unlabelled.labels == -1).all()
    found = pixels_of(dataset.unlabelled)
    assert not found & (pixels_of(dataset.val) | pixels_of(test))
    assert found >= pixels_of(dataset.train)  # to be seen without its label too does no harm


def test_official_splits_are_kept_apart_through_links_too(photos, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    for split in ("train", "val", "test"):
        (folder / split).symlink_to(photos / split)
    dataset = open_data(Data(path=str(photos), size=16, unlabelled=str(folder)))
    assert len(dataset.unlabelled) == 20
    assert pixels_of(dataset.unlabelled) == pixels_of(dataset.train)
    assert dataset.unlabelled.shape == dataset.train.shape
    assert summarize(Data(path=str(photos), unlabelled=str(folder))).unlabelled == 20


def test_the_rest_is_as_without_but_the_fingerprint_is_another(plain, photos):
    spec = Data(path=str(plain))
    one, other = (
        open_data(spec),
        open_data(dataclasses.replace(spec, unlabelled=str(photos / "train"))),
    )
    assert one.unlabelled is None
    assert len(other.unlabelled) == 20
    assert pixels_of(one.train) == pixels_of(other.train)
    assert (one.mean, one.std, one.classes) == (other.mean, other.std, other.classes)
    assert one.fingerprint != other.fingerprint
    assert (
        open_data(dataclasses.replace(spec, unlabelled=str(photos / "train"))).fingerprint
        == other.fingerprint
    )


def test_what_cannot_be_read_is_named_or_skipped(plain, tmp_path):
    more = tmp_path / "more" / "deep" / "er"
    more.mkdir(parents=True)
    (more / "bad.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(more / "good.png")
    spec = Data(path=str(plain), unlabelled=str(tmp_path / "more"))
    with pytest.raises(DataError, match=r"data\.unlabelled: .*bad\.png"):
        open_data(spec)
    dataset = open_data(dataclasses.replace(spec, corrupt="skip"))
    assert (len(dataset.unlabelled), dataset.skipped) == (1, ("deep/er/bad.png",))


def test_a_folder_with_nothing_to_give_is_refused(plain, photos, tmp_path):
    with pytest.raises(DataError, match=r"data\.unlabelled: nowhere is no folder"):
        open_data(Data(path=str(plain), unlabelled="nowhere"))
    with pytest.raises(
        DataError, match="has no images but those of the validation and test splits"
    ):
        open_data(Data(path=str(photos), size=16, unlabelled=str(photos / "test")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no images"):
        open_data(Data(path=str(plain), unlabelled="empty"), base=tmp_path)
