"""Contact sheets: one row of pictures for each class."""

import numpy as np

from ktg.data.formula.formula import Formula, Picture
from ktg.errors import SpecError


def sheet(formula: Formula, classes: int, columns: int, gap: int = 2) -> Picture:
    """Return a sheet (H, W, 3): a row for each of the first `classes` classes, of `columns` pictures spread over all.

    Of a formula with one picture a class, every picture is of another class. Raises SpecError for
    more than there are. `gap` white pixels lie between pictures.
    """
    one = formula.instances == 1
    wanted = classes * columns if one else classes
    if not 1 <= wanted <= formula.classes:
        raise SpecError("classes", f"expected 1 to {formula.classes}, got {wanted}")
    height, width, _ = formula.shape
    drawn = np.full(
        (classes * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8
    )
    for row in range(classes):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            place = (
                (row * columns + column, 0) if one else (row, column * formula.instances // columns)
            )
            drawn[top : top + height, left : left + width] = formula.draw(*place)
    return drawn
