from pathlib import Path

import numpy as np
import pytest

from ktg.data.decode import Geometry
from ktg.data.image_index import decode_all, load_index
from ktg.data.undecoded import ImageFiles, wrap_array
from ktg.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)


def test_pixels_are_written_in_order_and_progress_ends_at_all():
    written, told = [], []
    decode_all(wrap_array(IMAGES), Geometry(6, 3), written.append, lambda *at: told.append(at))
    assert b"".join(written) == IMAGES.tobytes()
    assert told == [(n, 30) for n in range(1, 31)]


def test_moments_are_those_of_numpy_over_any_rows():
    index = decode_all(wrap_array(IMAGES), Geometry(6, 3), len)
    for rows in (np.arange(30), np.array([4, 17])):
        mean, std = index.moments(rows)
        np.testing.assert_allclose(mean, (IMAGES[rows] / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(std, (IMAGES[rows] / 255).std(axis=(0, 1, 2)), rtol=1e-10)


def test_deviation_of_flat_images_is_not_zero():
    index = decode_all(wrap_array(np.full((4, 6, 6), 255, np.uint8)), Geometry(6, 1), len)
    assert index.moments(np.arange(4)) == ((1.0,), (1 / 255,))


def test_sums_do_not_overflow_at_the_largest_side():
    index = decode_all(wrap_array(np.full((1, 2048, 2048), 255, np.uint8)), Geometry(2048, 1), len)
    assert index.sums[0, :, 0].tolist() == [255 * 2048**2, 255**2 * 2048**2]


def test_faults_are_noted_as_zeros_and_saved(make, tmp_path: Path):
    root = make({"a": 3})
    (root / "a/01.png").write_bytes(b"no image")
    (root / "a/02.png").write_bytes((root / "a/02.png").read_bytes()[:100])
    written: list[bytes] = []
    index = decode_all(
        ImageFiles(root, ("a/00.png", "a/01.png", "a/02.png")), Geometry(6, 3), written.append
    )
    assert index.sound.tolist() == [0]
    assert index.faults[1] == "not an image of a known format"
    assert not any(written[1] + written[2])
    assert [len(pixels) for pixels in written] == [108] * 3
    index.save(tmp_path / "index.npz")
    loaded = load_index(tmp_path / "index.npz")
    assert loaded.faults == index.faults
    assert loaded.geometry == Geometry(6, 3)
    np.testing.assert_array_equal(loaded.digests, index.digests)
    np.testing.assert_array_equal(loaded.sums, index.sums)


@pytest.mark.parametrize("form", [Geometry(6, 3), Geometry(6, 3, 12), Geometry(6, 3, stretch=True)])
def test_the_form_of_the_images_is_read_back(form: Geometry, tmp_path: Path):
    decode_all(wrap_array(IMAGES), form, len).save(tmp_path / "index.npz")
    assert load_index(tmp_path / "index.npz").geometry == form


def test_a_broken_index_names_its_folder(tmp_path: Path):
    (tmp_path / "index.npz").write_bytes(b"half")
    with pytest.raises(DataError, match=r"broken cache of images.*delete that folder"):
        load_index(tmp_path / "index.npz")
