import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ktg.data import decode as module
from ktg.data.decode import (
    Geometry,
    Header,
    count_bits,
    decode,
    fit,
    list_extensions,
    list_formats,
    read_header,
    read_peak,
)
from ktg.errors import DataError

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (10, 10, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_an_image_of_the_asked_form_keeps_every_byte():
    for kind in ("PNG", "BMP", "TIFF", "PPM", "TGA"):
        content = encoded(Image.fromarray(NOISE), kind)
        np.testing.assert_array_equal(decode(content, Geometry(10, 3)), NOISE, err_msg=kind)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(orientation: int):
    upright = Image.fromarray(NOISE)
    undo = {None: None, **module._UPRIGHT}.get(orientation)
    inverse = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    stored = upright if undo is None else upright.transpose(inverse.get(undo, undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, exif=exif)
    np.testing.assert_array_equal(decode(content, Geometry(10, 3)), NOISE)


def test_orientation_agrees_with_pillow_on_jpeg():
    from PIL import ImageOps

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encoded(Image.fromarray(NOISE), "JPEG", exif=exif, quality=95)
        reference = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        np.testing.assert_array_equal(decode(content, Geometry(10, 3)), reference)


def test_transparent_pixels_become_white_whatever_colour_hides_beneath():
    hidden = np.zeros((10, 10, 4), np.uint8)
    hidden[:, 5:] = (10, 20, 30, 255)
    pixels = decode(encoded(Image.fromarray(hidden)), Geometry(10, 3))
    assert (pixels[:, :5] == 255).all()
    assert (pixels[:, 5:] == (10, 20, 30)).all()
    grey = Image.fromarray(hidden[..., 3]).convert("LA")
    grey.putalpha(0)
    assert (decode(encoded(grey), Geometry(10, 1)) == 255).all()


def test_palette_with_a_transparent_colour_is_put_on_white():
    image = Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10) % 2, "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    content = encoded(image, "GIF", transparency=0)
    pixels = decode(content, Geometry(10, 3))
    assert {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()} == {
        (255, 255, 255),
        (0, 0, 255),
    }


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (10, 10), (0, 255, 255, 0))
    pixels = decode(encoded(image, "TIFF"), Geometry(10, 3))
    np.testing.assert_array_equal(pixels[0, 0], (255, 0, 0))


def test_16_bits_are_scaled_to_8_and_not_cut_off():
    wide = np.linspace(0, 65535, 100).astype(np.uint16).reshape(10, 10)
    for kind in ("PNG", "TIFF", "PPM"):
        pixels = decode(encoded(Image.fromarray(wide), kind), Geometry(10, 1))[..., 0]
        np.testing.assert_array_equal(pixels, np.round(wide / 257).astype(np.uint8), err_msg=kind)


def test_every_value_of_16_bits_is_that_of_old_caches():
    values = np.arange(65536).reshape(256, 256)
    scaled = np.asarray(module._scale(values, 16))
    np.testing.assert_array_equal(scaled, (values + 128) // 257)
    assert repr(Geometry(8, 3)) == "Geometry(side=8, channels=3)"
    assert repr(Geometry(8, 3, 12)) == "Geometry(side=8, channels=3, bits=12)"


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize(("dtype", "kind"), [(np.uint16, "PNG"), (np.int32, "TIFF")])
def test_values_of_fewer_bits_fill_the_8(bits: int, dtype: type, kind: str):
    white = 2**bits - 1
    values = np.linspace(0, white, 100).astype(dtype).reshape(10, 10)
    content = encoded(Image.fromarray(values), kind)
    assert read_peak(io.BytesIO(content)) == white
    assert count_bits(white) == bits
    pixels = decode(content, Geometry(10, 1, bits))[..., 0]
    np.testing.assert_allclose(pixels, values * (255 / white), atol=0.51)
    brighter = encoded(Image.fromarray(np.full_like(values, white + 1)), kind)
    assert (decode(brighter, Geometry(10, 1, bits)) == 255).all()


def deep_png(values: np.ndarray) -> bytes:
    """Return a PNG of 16 bits a channel, which Pillow cannot write: (H, W, 3) or (H, W, 4)."""
    height, width, channels = values.shape
    kind = {3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def deep_tiff(values: np.ndarray, order: str = "<", *, packed: bool = False) -> bytes:
    """Return a TIFF of 16 bits a colour (H, W, 3) in one strip, deflated or not."""
    height, width, _ = values.shape
    strip = values.astype(f"{order}u2").tobytes()
    strip = zlib.compress(strip) if packed else strip
    entries = {256: width, 257: height, 258: 134, 259: 8 if packed else 1, 262: 2, 273: 140}
    entries |= {277: 3, 278: height, 279: len(strip), 284: 1}
    written = b"".join(
        struct.pack(f"{order}HHII", tag, 3, 3, value)
        if tag == 258
        else struct.pack(f"{order}HHII", tag, 4, 1, value)
        for tag, value in entries.items()
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    count = struct.pack(f"{order}H", len(entries))
    assert len(head + count + written) == 130
    return head + count + written + bytes(4) + struct.pack(f"{order}HHH", 16, 16, 16) + strip


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize(
    "write",
    [
        deep_png,
        deep_tiff,
        lambda values: deep_tiff(values, ">"),
        lambda values: deep_tiff(values, packed=True),
        lambda values: deep_tiff(values, ">", packed=True),
    ],
)
def test_colours_of_fewer_bits_in_16_fill_the_8(bits: int, write):
    white = 2**bits - 1
    values = RANDOM.integers(0, white + 1, (10, 10, 3)).astype(np.uint16)
    values[0, 0] = white
    content = write(values)
    assert read_header(io.BytesIO(content)) == Header((10, 10), grey=False, deep=True)
    assert read_peak(io.BytesIO(content)) == white
    pixels = decode(content, Geometry(10, 3, bits))
    np.testing.assert_allclose(pixels, values * (255 / white), atol=0.51)
    # Where the set fills all 16, images are what they have always been: the upper 8 bits.
    np.testing.assert_array_equal(decode(content, Geometry(10, 3)), values >> 8)


def test_alpha_of_16_bits_has_all_of_them_and_is_no_peak():
    values = np.zeros((10, 10, 4), np.uint16)
    values[..., 0], values[:5, :, 3] = 1023, 65535
    content = deep_png(values)
    assert read_peak(io.BytesIO(content)) == 1023
    pixels = decode(content, Geometry(10, 3, 10))
    assert (pixels[:5] == (255, 0, 0)).all()
    assert (pixels[5:] == 255).all()


def test_8_bits_have_no_peak_and_depths_are_those_of_cameras():
    assert read_peak(io.BytesIO(encoded(Image.fromarray(NOISE)))) == 0
    counted = [count_bits(peak) for peak in (0, 255, 256, 4095, 4096, 16384, 65535, 70_000)]
    assert counted == [8, 8, 10, 12, 14, 16, 16, 16]


def test_bilevel_images_are_black_and_white():
    pixels = decode(encoded(Image.fromarray(NOISE[..., 0] > 128)), Geometry(10, 1))
    np.testing.assert_array_equal(pixels[..., 0], np.where(NOISE[..., 0] > 128, 255, 0))


def test_values_without_a_range_are_refused():
    for values in (np.zeros((10, 10), np.float32), np.full((10, 10), 70_000, np.int32)):
        with pytest.raises(ValueError, match="save it with 8 or 16 bits"):
            decode(encoded(Image.fromarray(values), "TIFF"), Geometry(10, 1))


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (10, 10), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content, Geometry(10, 3)) == (255, 0, 0)).all()


def test_decompression_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch):
    content = encoded(Image.fromarray(NOISE))
    calls = (
        lambda: decode(content, Geometry(10, 3)),
        lambda: read_header(io.BytesIO(content)),
    )
    monkeypatch.setenv("KTG_MAX_PIXELS", "99")
    for call in calls:
        with pytest.raises(ValueError, match=r"10 x 10 pixels, more than the 99 .*KTG_MAX_PIXELS"):
            call()
    monkeypatch.setenv("KTG_MAX_PIXELS", "many")
    for call in calls:
        with pytest.raises(DataError, match=r"KTG_MAX_PIXELS: expected a number .* got 'many'"):
            call()
    monkeypatch.setenv("KTG_MAX_PIXELS", "100")
    for call in calls:
        call()


def test_a_small_file_of_many_pixels_is_refused_before_they_are_unpacked():
    content = encoded(Image.fromarray(np.zeros((9400, 9400), np.uint16)))
    assert len(content) < 300_000
    with pytest.raises(ValueError, match="9400 x 9400 pixels, more than the 67108864"):
        decode(content, Geometry(10, 1))


def test_a_jpeg_counts_as_large_as_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    content = encoded(Image.new("RGB", (800, 800), "red"), "JPEG")
    monkeypatch.setenv("KTG_MAX_PIXELS", "10000")
    assert read_header(io.BytesIO(content)) == Header((800, 800), False)
    assert decode(content, Geometry(10, 3)).shape == (10, 10, 3)
    with pytest.raises(ValueError, match="800 x 800 pixels, more than the 10000"):
        decode(content, Geometry(400, 3))


def test_broken_exif_beside_a_sound_image_is_passed_over():
    content = encoded(Image.fromarray(NOISE), exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    np.testing.assert_array_equal(decode(content, Geometry(10, 3)), NOISE)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 32), st.sampled_from([1, 3]))
def test_every_size_becomes_the_square_and_a_flat_image_stays_flat(
    width: int, height: int, side: int, channels: int
):
    pixels = fit(Image.new("RGB", (width, height), (77, 77, 77)), Geometry(side, channels))
    assert pixels.shape == (side, side, channels)
    assert pixels.dtype == np.uint8
    assert (pixels == 77).all()


def test_fit_is_the_centre_of_the_image_resized_by_its_shorter_side(shared: Path):
    path = next((shared / "data/cats_dogs/cat").glob("*.jpg"))
    image = Image.open(path)
    scale = 96 / min(image.size)
    whole = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
    )
    left, top = (whole.width - 96) // 2, (whole.height - 96) // 2
    reference = np.asarray(whole.crop((left, top, left + 96, top + 96)), dtype=float)
    ours = fit(image, Geometry(96, 3)).astype(float)
    assert np.abs(ours - reference).mean() < 6  # half a pixel apart at most
    assert np.corrcoef(ours.ravel(), reference.ravel())[0, 1] > 0.98


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 24))
def test_a_stretched_image_is_all_of_it(width: int, height: int, side: int):
    image = Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8))
    found = fit(image, Geometry(side, 3, stretch=True))
    expected = image.resize((side, side), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found, np.asarray(expected))
    if width == height:
        np.testing.assert_array_equal(found, fit(image, Geometry(side, 3)))


def test_what_lies_at_the_border_is_cut_off_unless_stretched():
    columns = np.zeros((10, 30), np.uint8)
    columns[:, :6] = 255
    image = Image.fromarray(columns)
    assert fit(image, Geometry(10, 1)).max() == 0
    assert fit(image, Geometry(10, 1, stretch=True))[:, 0].min() > 200


def test_a_large_jpeg_decoded_at_a_fraction_looks_as_if_decoded_whole(shared: Path):
    small = Image.open(next((shared / "data/flowers/rose").glob("*.jpg"))).convert("RGB")
    large = small.resize((small.width * 8, small.height * 8), Image.Resampling.BICUBIC)
    content = encoded(large, "JPEG", quality=95)
    whole = fit(Image.open(io.BytesIO(content)), Geometry(64, 3)).astype(float)
    assert np.abs(decode(content, Geometry(64, 3)) - whole).mean() < 2


def test_headers_tell_sides_and_greyness():
    assert read_header(io.BytesIO(encoded(Image.new("L", (12, 7))))) == Header((7, 12), True)
    assert read_header(io.BytesIO(encoded(Image.new("RGB", (7, 12))))) == Header((7, 12), False)


def test_no_format_that_runs_other_programs_and_the_usual_endings():
    assert not {"EPS", "WMF"} & set(list_formats())
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".ppm",
        ".gif",
        ".heic",
    } <= list_extensions()
    assert not {".eps", ".pdf", ".mpg", ".txt", ".h5"} & list_extensions()
    with pytest.raises(OSError, match="cannot identify"):
        decode(encoded(Image.fromarray(NOISE), "EPS"), Geometry(10, 3))
