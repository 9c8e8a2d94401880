"""Draws views of the images of a data set."""

from pathlib import Path
from typing import get_args

from ktg.api.inputs import check_writable
from ktg.api.listener import QUIET, Listener
from ktg.errors import UserError
from ktg.graph import Data
from ktg.graph.spec import AugmentName

AUGMENTS: tuple[AugmentName, ...] = get_args(AugmentName)
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def draw_views(
    images: str,
    output: str | Path,
    *,
    augment: AugmentName | None = None,
    rows: int = 4,
    columns: int = 8,
    size: int | None = None,
    seed: int = 0,
    listener: Listener = QUIET,
) -> tuple[tuple[int, int], list[str]]:
    """Draw what augmentation makes of training images; return (width, height) and what is shown.

    images: a folder, an .npz, or a data set known by name. The first row of the picture shows
    `columns` of them as they are. Below are `rows` views by one augmentation, or a row for each.
    """
    spec, file = find_images_spec(images, size), Path(output)
    if file.suffix.lower() not in PICTURES:
        allowed = f"allowed: {', '.join(PICTURES)}"
        raise UserError(f"-o: {file} ends in {file.suffix or 'nothing'}; {allowed}")
    check_writable(file)

    import torch
    from PIL import Image

    from ktg.data.contact_sheets import draw_augment_sheet
    from ktg.data.open import open_data
    from ktg.local import atomic_write

    train = open_data(spec, progress=listener.decoding).train
    shown = [place * len(train) // columns for place in range(min(columns, len(train)))]
    pixels = torch.from_numpy(train.read(shown)).permute(0, 3, 1, 2).contiguous()
    names: list[AugmentName] = ["none", *([augment] * rows if augment else AUGMENTS[1:])]
    drawn = draw_augment_sheet(pixels, names, seed)
    kind = Image.registered_extensions()[file.suffix.lower()]
    with atomic_write(file) as temporary:
        Image.fromarray(drawn).save(temporary, format=kind)
    return (drawn.shape[1], drawn.shape[0]), list(dict.fromkeys(names))


def find_images_spec(images: str, size: int | None) -> Data:
    """Return the description of a folder or .npz where there is one, else of a named data set."""
    from ktg.data.set_names import check_name

    if Path(images).exists():
        return Data(path=str(Path(images).absolute()), size=size)
    if "/" in images or images.endswith(".npz"):
        raise UserError(f"{images}: there is no such folder or .npz file")
    check_name(images)
    return Data(name=images, size=size)
