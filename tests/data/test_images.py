import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data.decode import Geometry
from ktg.data.images import Images, MappedPixels, OnTheFlyPixels, join
from ktg.data.undecoded import ImageFiles, wrap_array

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
LABELS = np.arange(10)


@pytest.fixture(params=["mapped", "on the fly"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Images:
    rows = np.array([7, 2, 5])
    if request.param == "mapped":
        np.save(tmp_path / "pixels.npy", PIXELS)
        return Images(MappedPixels(tmp_path / "pixels.npy", Geometry(4, 3)), rows, LABELS[rows])
    return Images(OnTheFlyPixels(wrap_array(PIXELS), Geometry(4, 3)), rows, LABELS[rows])


def test_rows_are_those_of_the_split_in_the_order_asked_for(images: Images):
    assert len(images) == 3
    assert images.shape == (4, 4, 3)
    assert images.nbytes == 3 * 48
    assert images.labels.tolist() == [7, 2, 5]
    for rows in ([2, 0, 0], np.array([2, 0, 0], dtype=np.int32)):
        read = images.read(rows)
        np.testing.assert_array_equal(read, PIXELS[[5, 7, 7]])
        assert type(read) is np.ndarray
        assert read.flags.writeable
    assert images.read([]).shape == (0, 4, 4, 3)


def test_a_row_that_is_not_there(images: Images):
    with pytest.raises(IndexError):
        images.read([3])


def test_pickled_after_reading_it_reads_the_same_and_a_map_is_not_copied(images: Images):
    before = images.read([0, 1])
    pickled = pickle.dumps(images)
    np.testing.assert_array_equal(pickle.loads(pickled).read([0, 1]), before)
    if isinstance(images._store, MappedPixels):
        assert len(pickled) < 1000


def test_join_reads_across_both(images: Images):
    both = join(images, images)
    assert len(both) == 6
    assert both.labels.tolist() == [7, 2, 5, 7, 2, 5]
    np.testing.assert_array_equal(both.read([5, 0, 3, 1]), PIXELS[[5, 7, 7, 2]])
    np.testing.assert_array_equal(join(both, images).read([8]), PIXELS[[5]])
    assert both.nbytes == 2 * images.nbytes


def test_the_bits_that_deep_images_fill_are_known_of_a_split_and_of_two_joined():
    images = Images(OnTheFlyPixels(wrap_array(PIXELS), Geometry(4, 3, 12)), LABELS, LABELS)
    for each in (images, join(images, images), images.take(LABELS[:2])):
        assert each.geometry.bits == 12


def test_an_image_that_is_damaged_by_now_is_named(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    pixels = OnTheFlyPixels(ImageFiles(tmp_path, ("a.png", "b.png")), Geometry(4, 3))
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert pixels.read(np.array([0])).shape == (1, 4, 4, 3)
    with pytest.raises(OSError, match=r"^b\.png: not an image of a known format"):
        pixels.read(np.array([0, 1]))


def test_a_fingerprint_with_labels_knows_order_and_labels_and_no_form():
    digests = np.random.default_rng(0).integers(0, 256, (10, 32), dtype=np.uint8)

    def split(rows, labels, side=4):
        rows = np.array(rows)
        pixels = OnTheFlyPixels(wrap_array(PIXELS), Geometry(side, 3))
        return Images(pixels, rows, np.array(labels), digests[rows])

    known = split([1, 2], [0, 1]).fingerprint_with_labels
    assert known == split([1, 2], [0, 1], side=2).fingerprint_with_labels
    others = [split([1, 2], [0, 0]), split([2, 1], [1, 0]), split([1, 3], [0, 1])]
    assert len({known, *(one.fingerprint_with_labels for one in others)}) == 4
    bare = Images(OnTheFlyPixels(wrap_array(PIXELS), Geometry(4, 3)), LABELS, LABELS)
    assert bare.fingerprint_with_labels != bare.take(LABELS[:2]).fingerprint_with_labels
