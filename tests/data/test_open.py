from dataclasses import replace

import numpy as np
import pytest

from ktg import data
from ktg.data.open import open_data, open_test, settings, summary
from ktg.errors import SpecError
from ktg.graph import Data, Formula

DRAWN = Data(name="fractaldb", size=16, formula=Formula(classes=4, instances=20, points=200))


def every(images):
    return images.read(np.arange(len(images)))


def test_images_that_are_found_are_opened_as_ever(tiny):
    spec = Data(path=str(tiny))
    assert open_data(spec).fingerprint == data.open_data(spec).fingerprint
    assert summary(spec) == data.summary(spec)
    np.testing.assert_array_equal(every(open_test(spec)), every(data.open_test(spec)))
    assert settings(spec) == {}


def test_splits_share_no_picture_and_hold_every_class():
    dataset, test = open_data(DRAWN), open_test(DRAWN)
    assert dataset.classes == ("00000", "00001", "00002", "00003")
    splits = {"train": dataset.train, "val": dataset.val, "test": test}
    counts = {split: tuple(np.bincount(images.labels).tolist()) for split, images in splits.items()}
    assert counts == {"train": (13,) * 4, "val": (3,) * 4, "test": (4,) * 4}
    assert summary(DRAWN).counts == counts
    seen = [picture.tobytes() for images in splits.values() for picture in every(images)]
    assert len(set(seen)) == len(seen) == 80
    assert dataset.train.shape == (16, 16, 3)


def test_statistics_are_those_of_the_recipe():
    dataset = open_data(DRAWN)
    assert (dataset.mean, dataset.std) == ((0.2,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("name", ["ofdb", "onep"])
def test_the_one_picture_of_a_class_is_in_every_split(name):
    spec = Data(name=name, size=16, formula=Formula(classes=3, points=200))
    dataset = open_data(spec)
    for images in (dataset.val, open_test(spec)):
        np.testing.assert_array_equal(every(images), every(dataset.train))
        assert images.labels.tolist() == [0, 1, 2]


def test_svd_has_as_many_pictures_as_are_asked_for():
    assert summary(Data(name="svd", formula=Formula(classes=2, instances=1500))).counts[
        "train"
    ] == (960, 960)


def test_only_some_classes_are_drawn():
    whole, some = open_data(DRAWN), open_data(replace(DRAWN, only=("00001", "00003")))
    assert some.classes == ("00001", "00003")
    assert some.train.labels.tolist() == [0] * 13 + [1] * 13
    kept = {picture.tobytes() for picture in every(some.train)}
    wanted = every(whole.train)[np.isin(whole.train.labels, [1, 3])]
    assert kept == {picture.tobytes() for picture in wanted}


def test_few_shot_keeps_pictures_of_the_training_split():
    few = open_data(replace(DRAWN, per_class=2))
    assert few.train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    whole = {picture.tobytes() for picture in every(open_data(DRAWN).train)}
    assert {picture.tobytes() for picture in every(few.train)} <= whole


CHANGES = {
    "size": {"size": 20},
    "split": {"split_seed": 1},
    "val": {"val_fraction": 0.4},
    "few": {"per_class": 3},
    "only": {"only": ("00000", "00001")},
    "name": {"name": "svd"},
    "seed": {"formula": replace(DRAWN.formula, seed=1)},
    "points": {"formula": replace(DRAWN.formula, points=201)},
    "scale": {"formula": replace(DRAWN.formula, scale=0.1)},
    "point": {"formula": replace(DRAWN.formula, patch=False)},
    "classes": {"formula": replace(DRAWN.formula, classes=5)},
    "instances": {"formula": replace(DRAWN.formula, instances=21)},
}


def test_the_fingerprint_is_that_of_the_pictures():
    prints = {
        name: open_data(replace(DRAWN, **change)).fingerprint for name, change in CHANGES.items()
    }
    assert len({open_data(DRAWN).fingerprint, *prints.values()}) == 1 + len(CHANGES)
    same = replace(
        DRAWN, batch_size=3, augment="none", formula=replace(DRAWN.formula, scale=0.4, patch=True)
    )
    assert open_data(same).fingerprint == open_data(DRAWN).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 12}, r"data\.size: expected at least 13"),
        (
            {"formula": Formula(classes=1001)},
            r"data\.formula\.classes: 1,001 is more than the 1,000 categories",
        ),
        (
            {"formula": Formula(instances=1001)},
            r"data\.formula\.instances: 1,001 is more than the 1,000 of fractaldb",
        ),
        (
            {"formula": Formula(instances=2)},
            r"data\.formula\.instances: 2 of each class cannot fill",
        ),
        (
            {"name": "onep", "formula": Formula(instances=5)},
            r"instances: 5 is more than the 1 of onep",
        ),
        (
            {"name": "svd", "formula": Formula(scale=0.1)},
            r"scale: is a setting of fractaldb and ofdb, not of svd",
        ),
        (
            {"only": ("00001", "00009")},
            r"data\.only\[1\]: '00009' is not a class of data\.name: fractaldb",
        ),
    ],
)
def test_what_cannot_be_drawn(change, message):
    with pytest.raises(SpecError, match=message):
        open_data(replace(DRAWN, **change))
