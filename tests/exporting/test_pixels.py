"""Images of every kind become the pixels of the data's own decoder, or a clause says why not."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data.decode import Geometry, decode
from ktg.exporting.pixels import PictureError, to_pixels

FORM = Geometry(8, 3)
NOISE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


ODD = {
    "cmyk": encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    "16 bits": encoded(Image.fromarray((NOISE[..., 0].astype(np.uint16)) * 257)),
    "animated": encoded(
        Image.fromarray(NOISE), "GIF", save_all=True, append_images=[Image.new("RGB", (20, 12))]
    ),
    "rotated": encoded(Image.fromarray(NOISE), "JPEG", exif=exif(6)),
    "one pixel": encoded(Image.new("RGB", (1, 1), "red")),
    "wide": encoded(Image.new("L", (20_000, 3))),
    "transparent": encoded(Image.new("RGBA", (5, 5))),
    "bilevel": encoded(Image.new("1", (5, 5))),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_images_are_those_of_the_data(kind, tmp_path):
    (tmp_path / "no_ending").write_bytes(ODD[kind])
    np.testing.assert_array_equal(to_pixels(tmp_path / "no_ending", FORM), decode(ODD[kind], FORM))
    np.testing.assert_array_equal(to_pixels(ODD[kind], FORM), decode(ODD[kind], FORM))


def test_a_pillow_image_keeps_its_orientation_and_is_left_as_it_was():
    opened = Image.open(io.BytesIO(ODD["rotated"]))
    turned = to_pixels(opened, FORM)
    np.testing.assert_array_equal(turned, decode(ODD["rotated"], FORM))
    assert opened.size == (20, 12)


def deep_png() -> bytes:
    """Return a PNG of 16 bits a colour that fills 12 of them, which Pillow does not write."""
    values = NOISE.astype(">u2") * 16
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        size, check = len(content), zlib.crc32(kind + content)
        return struct.pack(">I", size) + kind + content + struct.pack(">I", check)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 12, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (encoded(Image.fromarray(NOISE).resize((900, 700)), "JPEG"), FORM),
        (deep_png(), Geometry(8, 3, 12)),
        (ODD["animated"], FORM),
    ],
)
def test_a_pillow_image_that_is_not_loaded_is_its_file(content, form):
    opened, expected = Image.open(io.BytesIO(content)), decode(content, form)
    for _ in range(2):  # it is left as it was
        np.testing.assert_array_equal(to_pixels(opened, form), expected)
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(Image.open(io.BytesIO(content))))
    loaded = Image.open(io.BytesIO(content))
    loaded.load()
    assert to_pixels(loaded, form).shape == form.shape


def test_another_frame_than_the_first_is_what_was_chosen():
    opened = Image.open(io.BytesIO(ODD["animated"]))
    opened.seek(1)
    assert not to_pixels(opened, FORM).any()  # the second is black


def test_a_format_that_is_not_opened_says_what_to_do(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        PictureError, match=r"^\.heic files are not opened; convert them to JPEG or"
    ):
        to_pixels(tmp_path / "a.heic", FORM)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (b"", "is not an image of a known format"),
        (b"hello", "is not an image of a known format"),
        (ODD["cmyk"][:300], "cannot be read: .*[Tt]runcated"),
        (
            encoded(Image.new("1", (12_000, 12_000))),
            "cannot be decoded: .*(pixels|decompression bomb)",
        ),
        (encoded(Image.new("1", (20_000, 20_000))), "cannot be decoded: .*decompression bomb"),
        (
            encoded(Image.fromarray(NOISE[..., 0].astype(np.float32)), "TIFF"),
            "32-bit floating-point",
        ),
        (Path("/absent.png"), "cannot be read: No such file"),
        (Path("/"), "cannot be read: Is a directory"),
        (NOISE.astype(float), r"is no image: expected uint8 .*got float64 \(12, 20, 3\)"),
        (NOISE[None], r"is no image: .*\(1, 12, 20, 3\)"),
        (np.zeros((0, 4), np.uint8), "is no image"),
        (None, "is no image: expected a path, bytes, an array or a Pillow image, got NoneType"),
    ],
)
def test_what_is_no_image_is_said_in_one_line(picture, said):
    with pytest.raises(PictureError, match=said) as caught:
        to_pixels(picture, FORM)
    assert "\n" not in str(caught.value)


def test_grey_arrays_of_both_forms():
    grey = NOISE[..., 0]
    np.testing.assert_array_equal(to_pixels(grey, FORM), to_pixels(grey[..., None], FORM))
    assert to_pixels(NOISE, Geometry(8, 1)).shape == (8, 8, 1)
