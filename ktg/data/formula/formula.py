"""What every generator of pictures offers: classes, and the same picture whenever it is asked for the same one."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


class Formula(Protocol):
    """Draws pictures by class and number. Picklable, so that worker processes can draw for themselves."""

    @property
    def classes(self) -> int:
        """How many classes there are."""
        ...

    @property
    def instances(self) -> int:
        """How many pictures there are of each class."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        ...

    def draw(self, label: int, instance: int) -> Picture:
        """Return one picture (H, W, 3): equal for equal arguments, in any order and any process."""
        ...

    def name(self, instance: int) -> str:
        """Return what the file of a picture is called after its class, without the ending."""
        ...
