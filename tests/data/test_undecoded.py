import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import UnidentifiedImageError

from ktg.data.decode import Geometry, Header
from ktg.data.undecoded import ImageArray, ImageFiles, explain_fault, name_faults, wrap_array
from ktg.errors import DataError


def test_identity_of_files_sees_place_names_sizes_and_times(make):
    names = ("a/00.png", "a/01.png", "b/00.png")
    files = ImageFiles(make({"a": 2, "b": 1}), names)
    twin = ImageFiles(make({"a": 2, "b": 1}, name="twin"), names)
    for name in names:
        os.utime(files.root / name, (1, 1))
        os.utime(twin.root / name, (1, 1))
    assert files.identity() == ImageFiles(twin.root / "../set", names).identity()
    assert files.identity() != twin.identity()
    assert files.take(np.array([0, 1])).identity() != files.identity()
    before = files.identity()
    os.utime(files.root / names[0], (2, 2))
    assert files.identity() != before


def test_take_and_names(make):
    files = ImageFiles(make({"a": 2, "b": 1}), ("a/00.png", "a/01.png", "b/00.png")).take(
        np.array([2, 0])
    )
    assert len(files) == 2
    assert files.name(0) == "b/00.png"
    assert files.header(0) == Header((10, 12), False)


def test_rows_of_an_array_keep_their_number_and_bytes():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    taken = wrap_array(images).take(np.array([3, 1]))
    assert taken.name(0) == "image 3"
    np.testing.assert_array_equal(taken.open(0, Geometry(8, 3))[1], images[3])
    assert taken.open(1, Geometry(8, 3))[0] == wrap_array(images[1:2]).open(0, Geometry(8, 3))[0]
    assert taken.open(0, Geometry(4, 3))[1].shape == (4, 4, 3)
    assert taken.identity() != wrap_array(images).identity()


def test_grey_arrays_with_and_without_a_channel_axis():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6), dtype=np.uint8)
    for form in (images, images[..., None]):
        pictures = wrap_array(form)
        assert pictures.header(0) == Header((6, 6), True)
        np.testing.assert_array_equal(pictures.open(2, Geometry(6, 1))[1][..., 0], images[2])


def test_an_array_is_loaded_once_when_asked_for_and_not_pickled(tmp_path: Path):
    path = tmp_path / "images.npy"
    pictures = ImageArray.whole("key", (100, 4, 4), _Load(path))
    assert len(pictures) == 100
    np.save(path, np.zeros((100, 4, 4), np.uint8))
    pictures.open(0, Geometry(4, 1))
    path.unlink()
    pictures.open(1, Geometry(4, 1))
    assert len(pickle.dumps(pictures)) < 3000


class _Load:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> np.ndarray:
        return np.load(self.path)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (UnidentifiedImageError("<_io.BytesIO object at 0x7f>"), "not an image of a known format"),
        (OSError("image file is truncated"), "image file is truncated"),
        (EOFError(), "EOFError"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "No such file or directory"),
        (OSError(errno.ELOOP, "Too many links"), "Too many links"),
    ],
)
def test_lasting_faults_have_a_reason(error, why):
    assert explain_fault(error, "a.png") == why


def test_a_format_that_is_not_opened_says_so():
    why = ".nef files are not opened; convert them to JPEG or PNG"
    assert explain_fault(UnidentifiedImageError(), "deep/A.NEF") == why


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.EIO, "Input/output error"),
            r"a.png: cannot be read now \(Input/output error",
        ),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), r"\(timed out\); look after the disk"),
        (PermissionError(errno.EACCES, "Permission denied"), r"the rights to the file, and try"),
        (MemoryError(), "a.png: there is no memory left to decode it; end other programs"),
        (DataError("of all images"), "of all images"),
    ],
)
def test_what_may_pass_is_raised(error, said):
    with pytest.raises(DataError, match=said):
        explain_fault(error, "a.png")


def test_the_first_names_have_their_reasons():
    faults = {f"{number}.png": "odd" for number in range(6)}
    assert (
        name_faults(faults, 5) == "0.png (odd), 1.png (odd), 2.png (odd), 3.png, 4.png and 1 more"
    )
