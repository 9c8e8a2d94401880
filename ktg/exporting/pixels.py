"""Brings a file, bytes, an array or a Pillow image to the pixels that a model was trained on."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from ktg.data.decode import Geometry, Pixels, decode, decode_image, explain_unknown

Picture = str | Path | bytes | npt.NDArray[np.uint8] | Image.Image


class PictureError(Exception):
    """An image that cannot be classified, with the reason in one clause."""


def to_pixels(picture: Picture, geometry: Geometry) -> Pixels:
    """Return the (H, W, C) pixels of one image, exactly as the splits of a data set hold them.

    A path, the bytes of a file, a Pillow image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3). A
    Pillow image that is not loaded yet is read as its file. One that is loaded may differ from its
    file: a large JPEG is decoded at a fraction of its size, and Pillow keeps 8 of 16 bits a colour.
    Raises PictureError for anything that is not an image or cannot be decoded.
    """
    try:
        if isinstance(picture, str | Path):
            return decode(Path(picture).read_bytes(), geometry)
        if isinstance(picture, bytes):
            return decode(picture, geometry)
        if not isinstance(picture, Image.Image):
            return decode_image(_from_array(picture), geometry)
        content = _read_file(picture)
        return (
            decode_image(picture.copy(), geometry) if content is None else decode(content, geometry)
        )
    except PictureError:
        raise
    except UnidentifiedImageError:
        name = str(picture) if isinstance(picture, str | Path) else ""
        why = explain_unknown(name)
        raise PictureError(f"is {why}" if why.startswith("not ") else why) from None
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or _first_line(error)}") from error
    except Exception as error:  # Pillow raises errors of every kind for broken files
        raise PictureError(f"cannot be decoded: {_first_line(error)}") from error


def _read_file(image: Image.Image) -> bytes | None:
    """Return the file of a Pillow image that has not been read; None where it has, or has none."""
    # Once it is read there are no tiles left. Of a later frame its file would be the first.
    if not isinstance(image, ImageFile) or image.fp is None or not image.tile or image.tell():
        return None
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    return content


def _from_array(array: object) -> Image.Image:
    if not isinstance(array, np.ndarray):
        raise PictureError(
            "is no image: expected a path, bytes, an array or a Pillow image, got "
            f"{type(array).__name__}"
        )
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if (
        array.dtype != np.uint8
        or array.size == 0
        or not (grey or (array.ndim == 3 and array.shape[2] == 3))
    ):
        raise PictureError(
            f"is no image: expected uint8 (H, W) or (H, W, 3), got {array.dtype} {array.shape}"
        )
    return Image.fromarray(
        np.ascontiguousarray(array[..., 0] if grey and array.ndim == 3 else array)
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
