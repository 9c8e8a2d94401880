"""Decodes the bytes of an image file to a square of uint8 pixels.

One function makes the pixels for the cache and for decoding on the fly, so both hold the same
bytes.
"""

import functools
import io
import os
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ktg.errors import DataError, show

Pixels = npt.NDArray[np.uint8]

# A file of kilobytes may unpack to gigabytes; this many pixels take less than one while they are
# brought to size. Pillow has bounds of its own above.
MAX_PIXELS = 2**26
LIMIT = "KTG_MAX_PIXELS"

# Cameras and microscopes write values of so many bits into files of 16.
_DEPTHS = (8, 10, 12, 14, 16)

# Formats that Pillow lists but that run other programs (EPS: Ghostscript), hold no picture of their
# own or are only recognised, never decoded.
_NOT_PICTURES = frozenset(
    {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MCIDAS", "MPEG", "WMF", "XVTHUMB"}
)

# Photographs that Pillow cannot open: listed, so that a folder of them is an error and not empty.
_UNOPENED = frozenset({".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".svg"})

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
# How Pillow reads 16 bits a colour from PNG and TIFF, and the same with the other byte first.
_OTHER_BYTE = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_LOWER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in _OTHER_BYTE.items()
}
_WITH_DEEP_COLOURS = (PngImageFile, TiffImageFile)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, repr=False)
class Geometry:
    """The form of all images of a data set: squares of `side` pixels with 1 or 3 channels.

    Of images with more than 8 bits the lowest `bits` of each value count: 2**bits - 1 is white.
    stretch: whether all of an oblong image is squeezed into the square, in place of its centre.
    """

    side: int
    channels: int
    bits: int = 16
    stretch: bool = False

    def __repr__(self) -> str:
        # Names of caches and fingerprints contain this text, and are older than the last two.
        more = "" if self.bits == 16 else f", bits={self.bits}"
        more += ", stretch=True" if self.stretch else ""
        return f"Geometry(side={self.side}, channels={self.channels}{more})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.side, self.side, self.channels


@dataclass(frozen=True)
class Header:
    """Sides (shorter first) and greyness of an image, known before any pixel is decoded.

    The sides are sorted, so that a photograph and the same one turned by its EXIF orientation
    agree. `deep` says that its values have more than 8 bits.
    """

    sides: tuple[int, int]
    grey: bool
    deep: bool = False


@functools.cache
def list_formats() -> tuple[str, ...]:
    """Return the names of the formats that are opened, whatever the ending of a file."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _NOT_PICTURES))


@functools.cache
def list_extensions() -> frozenset[str]:
    """Return the file extensions, in lower case with the dot, that count as images in a folder."""
    opened = set(list_formats())
    return _UNOPENED | {
        end for end, kind in Image.registered_extensions().items() if kind in opened
    }


def explain_unknown(name: str) -> str:
    """Return why a file is not opened whose content is of no format that is."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - also of names in archives
    if ending in _UNOPENED:
        return f"{ending} files are not opened; convert them to JPEG or PNG"
    return "not an image of a known format"


def read_header(file: BinaryIO) -> Header:
    """Return the header of an open file. Raises what Pillow raises for a file that is no image."""
    with Image.open(file, formats=list_formats()) as image:
        low, high = sorted(image.size)
        image.draft(None, (1, 1))
        _guard(image)
        deep = image.mode.startswith("I") or _has_deep_colours(image)
        return Header((low, high), image.mode in _GREY_MODES, deep)


def read_peak(file: BinaryIO) -> int:
    """Return the largest value of an image with more than 8 bits, 0 for any other one."""
    with Image.open(file, formats=list_formats()) as image:
        if _has_deep_colours(image):
            _guard(image)
            return int(_split_alpha(_read_deep_colours(image))[0].max())
        if not image.mode.startswith("I"):
            return 0
        _guard(image)
        return int(np.asarray(image).max())


def count_bits(peak: int) -> int:
    """Return how many bits images fill whose largest value is `peak`: 8, 10, 12, 14 or 16.

    200 -> 8, 256 -> 10, 4095 -> 12, 20000 -> 16.
    """
    return next((bits for bits in _DEPTHS if peak < 2**bits), _DEPTHS[-1])


def decode(content: bytes, geometry: Geometry) -> Pixels:
    """Return the pixels (H, W, C) of the first frame: upright, on white if transparent, square.

    Raises whatever Pillow raises for a broken file, and ValueError for one that it opens but that
    is too large or has no agreed range of values.
    """
    with Image.open(io.BytesIO(content), formats=list_formats()) as image:
        return decode_image(image, geometry)


def decode_image(image: Image.Image, geometry: Geometry) -> Pixels:
    """Return what `decode` does, for an image that is open already (read or not)."""
    # JPEG can be decoded at 1/2, 1/4 or 1/8; twice the final side is kept for a sharp resize.
    image.draft(None, (2 * geometry.side, 2 * geometry.side))
    _guard(image)  # before any pixel is unpacked
    # Of values that fill 16 bits the upper 8, which Pillow keeps, say enough.
    deep = geometry.bits < 16 and _has_deep_colours(image)
    shown = _scale_colours(_read_deep_colours(image), geometry.bits) if deep else image
    image.load()
    turn = _find_turn(image)
    upright = shown if turn is None else shown.transpose(turn)
    return fit(_to_8_bits(upright, geometry.bits), geometry)


def fit(image: Image.Image, geometry: Geometry) -> Pixels:
    """Return the centre square of `image`, resized by antialiased bicubic filtering if necessary.

    Of 120 x 80 pixels, columns 20 to 99 are kept; all of them if the image is to be stretched.
    """
    if not geometry.stretch:
        # The usual order, resizing the shorter side and then cutting, would round the longer side.
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    image = image.convert("L" if geometry.channels == 1 else "RGB")
    if image.size != (geometry.side, geometry.side):
        image = image.resize((geometry.side, geometry.side), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).reshape(geometry.shape)


def max_pixels() -> int:
    """Return how many pixels of one image are unpacked at most: $KTG_MAX_PIXELS, or 2**26."""
    text = os.environ.get(LIMIT) or str(MAX_PIXELS)
    if not text.isdecimal() or int(text) == 0:
        raise DataError(f"{LIMIT}: expected a number of pixels, at least 1, got {show(text)}")
    return int(text)


def _guard(image: Image.Image) -> None:
    most = max_pixels()
    if image.width * image.height > most:
        size = f"{image.width} x {image.height} pixels"
        raise ValueError(f"{size}, more than the {most} that are opened ({LIMIT} raises this)")


def _find_turn(image: Image.Image) -> Image.Transpose | None:
    """Return how an image is turned upright, by its EXIF; broken EXIF is as if there were none."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return None


def _has_deep_colours(image: Image.Image) -> bool:
    """Return whether an image is a PNG or TIFF of 16 bits a colour; Pillow keeps the upper 8.

    It must not have been loaded.
    """
    tiles = image.tile if isinstance(image, _WITH_DEEP_COLOURS) else []
    return any(_read_raw_mode(tile.args) in _LOWER for tile in tiles)


def _read_raw_mode(args: object) -> object:
    """Return the words by which Pillow unpacks a part of an image: alone, or before others."""
    return args[0] if isinstance(args, tuple) and args else args


def _swap_bytes(args: tuple[Any, ...] | str | None) -> tuple[Any, ...] | str:
    """Return the arguments of a part whose values have the other byte first."""
    lower = _LOWER[str(_read_raw_mode(args))]
    return (lower, *args[1:]) if isinstance(args, tuple) else lower


def _read_deep_colours(image: Image.Image) -> npt.NDArray[np.uint16]:
    """Return the values (H, W, C) of an image of 16 bits a colour, with its alpha if it has any."""
    file = image.fp if isinstance(image, _WITH_DEEP_COLOURS) else None
    assert file is not None  # noqa: S101 - it has not been loaded
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    with Image.open(io.BytesIO(content)) as lower:
        assert isinstance(lower, _WITH_DEEP_COLOURS)  # noqa: S101 - as `image` is
        # Read as if the lower byte came first, the upper 8 bits of a value are its lower ones.
        lower.tile = [tile._replace(args=_swap_bytes(tile.args)) for tile in lower.tile]
        high, low = (np.asarray(each).astype(np.uint16) for each in (image, lower))
        return high << np.uint16(8) | low


def _split_alpha(
    values: npt.NDArray[np.uint16],
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Return the colours (H, W, 3) and alpha (H, W, 1 or 0) of values (H, W, C)."""
    return values[..., :3], values[..., 3:]


def _scale_colours(values: npt.NDArray[np.uint16], bits: int) -> Image.Image:
    """Return colours of so many bits, and alpha of 16, as an image with 8 bits each."""
    colours, alpha = _split_alpha(values)
    levels = np.concatenate([_grey_levels(bits)[colours], _grey_levels(16)[alpha]], axis=2)
    return Image.fromarray(levels)


def _to_8_bits(image: Image.Image, bits: int) -> Image.Image:
    """Return the image with 8 bits per channel and no transparency; deep ones fill `bits`."""
    if image.mode == "F":
        raise ValueError(
            "32-bit floating-point pixels, which have no agreed range; save it with 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        return _scale(np.asarray(image), bits)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    # CMYK, YCbCr, LAB and the like go through RGB, also on the way to grey.
    return image.convert("L" if image.mode == "1" else "RGB")


def _scale(values: npt.NDArray[np.generic], bits: int) -> Image.Image:
    """Return values of so many bits as a grey image: 0 is black, and 2**bits - 1 or more white."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels beyond the range of 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(_grey_levels(bits)[values])


@functools.cache
def _grey_levels(bits: int) -> Pixels:
    """Return the grey level (65536,) of each value of 16 bits, for images that fill `bits`."""
    white = 2**bits - 1
    values = np.minimum(np.arange(2**16), white)
    levels: Pixels = ((values * 255 + white // 2) // white).astype(np.uint8)
    return levels
