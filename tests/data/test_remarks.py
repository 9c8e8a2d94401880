"""What is said of data sets that are odd."""

import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ktg.data import undecoded
from ktg.data.folder import read_folder
from ktg.data.npz import read_npz
from ktg.data.open import open_data
from ktg.data.remarks import find_nested, find_unused, remark_on_folder, remark_on_images
from ktg.errors import DataError
from ktg.graph import Data


def remarks(root) -> list[str]:
    return list(remark_on_folder(Data(path=str(root))))


def of_images(root, corrupt="error") -> list[str]:
    found = read_folder(root, "t")
    parts = {"train": found.train} | ({"test": found.test()} if found.test else {})
    return list(remark_on_images(parts, corrupt))


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


def test_a_folder_without_labels_is_said_to_be_no_class_unless_it_is_used(make):
    root = make({"a": 4, "b": 4, "unlabelled": 3})
    assert remarks(root) == ["taken for images without labels, and for no class: unlabelled"]
    for place in ("auto", str(root / "unlabelled")):
        spec = Data(path=str(root), unlabelled=(place,))
        assert list(remark_on_folder(spec)) == []
        assert len(open_data(spec).unlabelled) == 3


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


def test_an_ordinary_folder_is_no_remark(make):
    root = make({"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2})
    assert remarks(root) == of_images(root) == []
    assert list(remark_on_folder(Data(name="digits"))) == []


def test_what_is_passed_over_in_classes_is_counted(make):
    root = make({"cat": 2, "dog": 2, "cat/@eaDir": 2, "dog/Thumbs": 1, "dog/.@__thumb": 1})
    for name in ("00.jpg_large", "notes"):
        (root / "dog" / name).touch()
    (root / "cat/latest").symlink_to(".")
    assert remarks(root) == [
        "passed over in class folders: 2 files without the ending of an image "
        "(dog/00.jpg_large, dog/notes)",
        "passed over in class folders: 2 folders that systems leave behind, with thumbnails and "
        "the like (cat/@eaDir, dog/Thumbs)",
        "passed over in class folders: 1 link to what is there already (cat/latest)",
    ]


def test_a_class_with_the_name_of_a_split_is_said_to_be_one(make):
    assert remarks(make({"train": 1, "bus": 1})) == [
        "train/ is taken for a class, though it is named as a split"
    ]


def test_exact_copies_in_other_splits_and_classes_are_named(make):
    root = make({"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2})
    shutil.copy(root / "train/a/00.png", root / "test/a/00.png")
    shutil.copy(root / "train/a/01.png", root / "train/b/01.png")
    assert of_images(root) == [
        "1 image lies in two splits, as exact copies, and accuracy on images that were trained on "
        "says nothing: test/a/00.png is train/a/00.png",
        "1 image lies with two labels, as exact copies, and one of the labels is wrong: "
        "train/a/01.png is train/b/01.png",
    ]


@pytest.mark.parametrize("corrupt", ["error", "skip"])
def test_files_that_are_no_images_are_named(make, corrupt):
    root = make({"a": 2, "b": 2, "c": 2})
    for place in ("a/00.png", "b/00.png"):
        (root / place).write_bytes(b"<html>not found</html>")
    (root / "a/gone.png").symlink_to("nowhere")
    os.mkfifo(root / "b/pipe.png")
    (end,) = of_images(root, corrupt)
    does = "leaves them out" if corrupt == "skip" else "refuses them unless data.corrupt: skip"
    assert end == (
        f"4 of 8 images cannot be read, and training {does}: "
        "a/00.png (not an image of a known format), a/gone.png (No such file or directory), "
        "b/00.png (not an image of a known format), b/pipe.png"
    )


def test_what_is_not_opened_says_what_to_do(make, monkeypatch):
    root = make({"a": 2, "b": 2})
    (root / "a/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 200)
    (said,) = of_images(root)
    assert said.endswith(": a/IMG_1.HEIC (.heic files are not opened; convert them to JPEG or PNG)")
    monkeypatch.setenv("KTG_MAX_PIXELS", "100")
    (said,) = of_images(root)
    assert "a/00.png (12 x 10 pixels, more than the 100 that are opened (KTG_MAX_PIXELS" in said


def test_a_disk_that_fails_is_no_broken_image(make, monkeypatch):
    root = make({"a": 2, "b": 2})
    monkeypatch.setattr(undecoded, "_open_file", fail(errno.EIO))
    with pytest.raises(DataError, match=r"a/00.png: cannot be read now \(Input/output error\)"):
        of_images(root)


def fail(number: int):
    def open_file(file):
        raise OSError(number, os.strerror(number), str(file))

    return open_file


def test_a_truncated_image_has_a_header_and_is_found_by_training_alone(make):
    root = make({"a": 2, "b": 2})
    Image.new("RGB", (12, 10)).save(root / "a/00.bmp")
    (root / "a/00.bmp").write_bytes((root / "a/00.bmp").read_bytes()[:100])
    assert of_images(root) == []


def test_exact_copies_in_arrays_are_named(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3)).astype(np.uint8)
    images[7], test = images[2], images[:3].copy()
    test[1:] += 1
    labels = np.arange(12) % 2
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=test, y_test=[0, 1, 0])
    found = read_npz(tmp_path / "x.npz", "t")
    said = list(remark_on_images({"train": found.train, "test": found.test()}, "error"))
    assert [sentence.partition(", as")[0] for sentence in said] == [
        "1 image lies in two splits",
        "1 image lies with two labels",
    ]
    assert said[0].endswith(": test image 0 is train image 0")
    assert said[1].endswith(": train image 2 is train image 7")
