"""Images that show one thing are found in a folder, and written as a table."""

import dataclasses
import os
from pathlib import Path

import dirt as pictures
import numpy as np
import pytest
from command import ktg
from hypothesis import given
from hypothesis import strategies as st

from ktg.api.inputs import load_space_file
from ktg.data.locate import find_data
from ktg.data.open import name_images, open_data
from ktg.data.split import count_per_class, list_groups
from ktg.graph import Data
from ktg.proposing.found_groups import FoundGroups, _list_kept, find_groups
from ktg.proposing.found_images import look_at_images
from ktg.proposing.hearing import Hearing

THINGS, EACH = 8, 3  # of each class; photographs of a thing


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Photographs of 8 things of either of two classes, each three times, in `train`."""
    for place, label in enumerate(("good", "bad")):
        folder = tmp_path / "parts" / "train" / label
        folder.mkdir(parents=True)
        for number in range(THINGS):
            thing = pictures.picture(100 * place + number, side=100)
            for again in range(EACH):
                shot = pictures.expose(thing, 10 * number + again)
                shot.save(folder / f"{number:02d}_{again}.png")
    return tmp_path / "parts"


def thing_of(name: str) -> str:
    return name.rpartition("_")[0]


def look(root: Path, **fields: object):
    images = look_at_images(root)
    data = dataclasses.replace(images.spec, size=48, **fields)
    return find_groups(images, data, Hearing(str, max))


def test_each_thing_is_a_group(parts):
    for root in (parts, parts / "train"):  # with a folder around it, and without
        found = look(root)
        assert found.looked_at == len(found.files) == 2 * THINGS * EACH
        groups = {}
        for name, group in found.files:
            groups.setdefault(group, set()).add(thing_of(name))
        assert all(len(things) == 1 for things in groups.values())
        assert sorted(groups) == [*range(1, 2 * THINGS + 1)]
        assert "48 of 48 images are so alike that they seem to show 16 things" in found.sentence


def test_images_of_an_official_test_split_are_not_read(parts, monkeypatch):
    (parts / "test").mkdir()
    for label in ("good", "bad"):
        folder = parts / "test" / label
        folder.mkdir()
        for file in sorted((parts / "train" / label).iterdir())[: 2 * EACH]:
            file.rename(folder / file.name)
    monkeypatch.setattr("ktg.auditing.pool.open_test", None)
    found = look(parts)
    assert found.looked_at == 2 * (THINGS - 2) * EACH
    assert not any(name.startswith("test/") for name, _ in found.files)


def test_a_class_of_too_few_things_is_left_as_it_is(parts):
    for file in sorted((parts / "train" / "bad").iterdir())[2 * EACH :]:
        file.unlink()
    found = look(parts)
    assert {Path(name).parent.name for name, _ in found.files} == {"good"}


def test_a_rare_class_among_photographs_of_other_things_keeps_images_enough(parts, tmp_path):
    odd = parts / "train" / "odd"
    odd.mkdir()
    for number in range(5):  # one of three photographs, of as many things
        (parts / f"train/good/{number:02d}_0.png").rename(odd / f"{number:02d}_0.png")
    found = look(parts)
    assert {Path(name).parent.name for name, _ in found.files} == {"good", "bad"}
    assert sum("good" in name for name, _ in found.files) == (THINGS - 5) * EACH
    found.write(tmp_path / "groups.csv")
    data = open_data(Data(path=str(parts), size=16, groups=str(tmp_path / "groups.csv")))
    assert np.bincount(data.val.labels, minlength=3).min() >= 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(2, 3),
)
def test_no_class_has_fewer_groups_than_needed_that_has_as_many_images(images, needed):
    labels, alike = np.array(images).T
    kept = _list_kept(alike, labels, 4, needed)
    apart = 100 + np.arange(len(alike))  # images that are not in the table
    written = np.where(np.isin(alike, kept), alike, apart)
    counts = count_per_class(list_groups(labels, written)[1], 4)
    wanted = [min(needed, count) for count in count_per_class(labels, 4)]
    assert all(count >= least for count, least in zip(counts, wanted, strict=True))


def test_different_photographs_are_no_groups(photos, large_photos):
    assert look(photos) is None
    assert look(large_photos) is None


def test_of_more_images_than_are_compared_none_is_opened(parts, monkeypatch):
    monkeypatch.setattr("ktg.proposing.found_groups.MOST", 2 * THINGS * EACH - 1)
    monkeypatch.setattr("ktg.proposing.found_groups.gather", None)
    assert look(parts) is None


@pytest.mark.slow
def test_init_writes_them_beside_the_space(parts, tmp_path, monkeypatch):
    words = ("init", parts, "-o", "parts.yaml", "--target", "resnet8", "--size", "32")
    done = ktg(*words, "--budget", "2m", folder=tmp_path)
    assert done.code == 0, done.err
    text = (tmp_path / "parts.yaml").read_text()
    assert "groups: ./parts.groups.csv" in text
    assert "# 48 of 48 images are so alike" in text
    space = load_space_file(tmp_path / "parts.yaml")
    data = space.bind(space.default()).data
    sides = {}
    for split, names in name_images(data).items():
        for name in names:
            sides.setdefault(thing_of(name), set()).add(split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert np.bincount(open_data(data).val.labels).min() >= EACH
    (tmp_path / "parts.yaml").unlink()
    again = ktg(*words, folder=tmp_path)
    assert again.code == 2
    assert "parts.groups.csv: is there already; give --force" in again.err


def test_a_name_that_is_not_utf_8_is_written_and_read_again(tmp_path, parts):
    odd = os.fsdecode(b"good/caf\xe9.png")
    (parts / "train/good/00_0.png").rename(parts / "train" / odd)
    FoundGroups(((odd, 1), ("good/00_1.png", 1)), 2).write(tmp_path / "groups.csv")
    data = Data(path=str(parts / "train"), groups=str(tmp_path / "groups.csv"))
    groups = find_data(data, None).train.groups
    assert len(groups) - len(set(groups.tolist())) == 1
