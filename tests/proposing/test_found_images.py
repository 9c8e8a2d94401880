"""What a folder of images holds, before any is decoded."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data.undecoded import ImageFiles
from ktg.errors import DataError
from ktg.proposing.found_images import look_at_images, measure_sides


def fill(root: Path, side: int = 16, **counts: int) -> Path:
    """Write so many images into each class folder; `__` in a name stands for a slash."""
    random = np.random.default_rng(0)
    for name, count in counts.items():
        folder = root / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 255, (side, side + 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def test_classes_splits_and_sizes_are_counted(photos):
    found = look_at_images(photos)
    assert found.classes == ("night", "noon")
    assert {split: sum(counts) for split, counts in found.counts.items()} == {
        "train": 20,
        "val": 8,
        "test": 8,
    }
    assert found.official == ("val", "test")
    assert (found.train, found.per_class, found.unlabelled) == (20, 10, 0)
    assert 20 <= found.side <= 28


def test_oblong_images_are_told_from_square_ones(tmp_path):
    assert look_at_images(fill(tmp_path / "pets", cat=9, dog=9)).oblong == 1.25  # 16 x 20 pixels
    (tmp_path / "pets/cat/0.png").write_bytes(b"broken")
    assert measure_sides(ImageFiles(tmp_path, ("pets/cat/0.png",))) == (224, 1.0)


def test_splits_that_are_not_there_are_drawn(tmp_path):
    found = look_at_images(fill(tmp_path / "pets", cat=20, dog=20))
    assert found.official == ()
    assert sum(map(sum, found.counts.values())) == 40
    assert found.side == 16


def test_imbalance_names_the_largest_and_the_smallest_class(tmp_path):
    found = look_at_images(fill(tmp_path / "tiles", free=60, crack=10, fray=30))
    assert found.is_imbalanced
    assert found.imbalance == pytest.approx(6, abs=1)
    largest, smallest = found.extremes
    assert largest.startswith("free 60.")
    assert smallest.startswith("crack 10.")
    assert not look_at_images(fill(tmp_path / "even", a=12, b=10)).is_imbalanced


def test_images_beside_the_splits_count_as_unlabelled(tmp_path):
    root = fill(tmp_path / "pets", train__cat=8, train__dog=8, test__cat=4, test__dog=4, more=5)
    assert look_at_images(root).unlabelled == 5


def test_a_table_gives_the_labels_of_a_flat_folder_or_other_ones(tmp_path):
    flat = fill(tmp_path, flat=20) / "flat"
    rows = "".join(f"{number}.png,{('cat', 'dog')[number % 2]}\n" for number in range(20))
    (flat / "labels.csv").write_text("file,label\n" + rows)
    found = look_at_images(flat)
    assert (found.classes, found.spec.labels) == (("cat", "dog"), None)
    assert sum(map(sum, found.counts.values())) == 20
    few = "".join(f"{number}.png,{'abc'[number % 3]}\n" for number in range(15))
    (tmp_path / "few.csv").write_text("file,label\n" + few)  # beside the folder
    named = look_at_images(flat, "few.csv")
    assert (named.classes, named.spec.labels) == (("a", "b", "c"), "few.csv")
    assert named.unlabelled == 5
    with pytest.raises(DataError, match=r"there is no fewer\.csv in .* or beside it"):
        look_at_images(flat, "fewer.csv")


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({}, "is empty; put the images of each class into a folder of its own"),
        ({"cat": 5}, "classes found: cat; at least two are needed"),
        ({"cat": 5, "dog": 0}, "no images in dog"),
        ({"cat": 9, "dog": 1}, "every class needs at least 3 images"),
    ],
)
def test_what_cannot_be_trained_on_is_one_sentence(tmp_path, folders, said):
    root = tmp_path / "pets"
    root.mkdir()
    with pytest.raises(DataError, match=r"pets.*") as caught:
        look_at_images(fill(root, **folders))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="pets: there is no such folder"):
        look_at_images(tmp_path / "pets")
