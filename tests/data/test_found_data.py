from pathlib import Path

import numpy as np
import pytest

from ktg.data.found_data import FoundData, LabelledImages, check_classes, check_present
from ktg.data.undecoded import ImageFiles, wrap_array
from ktg.errors import DataError


def source(
    labels: list[int], classes: str = "ab", val: list[int] | None = None, test: bool = False
) -> FoundData:
    def part(of: list[int]) -> LabelledImages:
        return LabelledImages(wrap_array(np.zeros((len(of), 4, 4), np.uint8)), np.array(of))

    held = part(val) if val is not None else None
    return FoundData(
        "data.path: x", tuple(classes), part(labels), held, (lambda: part(labels)) if test else None
    )


def test_a_class_needs_an_image_for_each_split_that_is_made_of_it():
    check_classes(source([0, 0, 0, 1, 1, 1]))
    check_classes(source([0, 1], val=[0, 1], test=True))
    with pytest.raises(DataError, match=r"at least 3 images in the train split.*too few: b \(2\)"):
        check_classes(source([0, 0, 0, 1, 1]))
    with pytest.raises(DataError, match=r"at least 2 images in the train split.*a \(1\), b \(1\)"):
        check_classes(source([0, 1], test=True))
    with pytest.raises(DataError, match=r"at least 1 image in the val split; too few: b \(0\)"):
        check_classes(source([0, 1], val=[0, 0], test=True))


def test_the_only_image_of_a_class_is_named_as_its_label_may_be_misspelt():
    files = ImageFiles(Path("photos"), tuple(f"{number}.png" for number in range(7)))
    labels = LabelledImages(files, np.array([0, 0, 0, 1, 2, 2, 2]))
    for names, hint in (
        (("cat", "caat", "dog"), r"too few: caat \(1: 3.png. Did you mean 'cat'\?\)"),
        (("cat", "horse", "dog"), r"too few: horse \(1: 3.png\)"),
        (("10", "1", "2"), r"too few: 1 \(1: 3.png\)"),
    ):
        with pytest.raises(DataError, match=hint):
            check_classes(FoundData("data.path: x", names, labels, None, None))


def test_one_class_is_not_enough():
    with pytest.raises(DataError, match="classes found: a; at least two"):
        check_classes(source([0, 0, 0], classes="a"))
    with pytest.raises(DataError, match="classes found: none"):
        check_classes(source([], classes=""))


def test_check_present_names_the_split():
    with pytest.raises(DataError, match=r"data.path: x: .*in the test split; too few: a \(0\)"):
        check_present(source([0, 1]), np.array([1]), "test")
