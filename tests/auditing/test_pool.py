"""All images of a data set come with their names, splits and labels."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ktg.auditing.pool import gather, pool_training
from ktg.data import Images, open_data
from ktg.errors import SpecError
from ktg.graph import Data


def test_every_image_of_every_split_is_there_under_its_name(dirty):
    pool = gather(Data(path=str(dirty), size=64))
    assert len(pool) == len(pool.images) == len(pool.labels) == len({*pool.names})
    assert pool.counts == {"train": 52, "val": 12, "test": 13}
    row = pool.names.index("test/red/leak.png")
    assert pool.splits[row] == "test"
    assert pool.classes[pool.labels[row]] == "red"
    expected = np.asarray(Image.open(dirty / "test/red/leak.png"))
    assert np.array_equal(pool.images.read([row])[0], expected)


def test_what_cannot_be_read_is_named_and_left_out(dirty, tmp_path, caplog):
    folder = tmp_path / "photos"
    shutil.copytree(dirty, folder)
    for broken in ("train/red/broken.png", "test/red/broken.png"):
        (folder / broken).write_bytes(b"no image")
    pool = gather(Data(path=str(folder), size=64))
    assert "train/red/broken.png" in caplog.text and "test/red/broken.png" in caplog.text
    assert pool.counts == {"train": 52, "val": 12, "test": 13}
    assert len(pool.images) == len({*pool.names})
    assert not any("broken" in name for name in pool.names)


def test_splits_that_are_made_are_named_too_and_few_shots_ignored(tiny):
    pool = gather(Data(path=str(tiny), per_class=2))
    assert sum(pool.counts.values()) == len({*pool.names}) == 160
    assert pool.counts["test"] == 32


def test_labels_that_are_not_used_are_no_training_images(tiny):
    dataset = open_data(Data(path=str(tiny)))
    train = dataset.train
    weights = np.where(np.arange(len(train)) % 3 == 0, 0, 1).astype(np.float32)
    known = Images(train._store, train._rows, train.labels, train.digests, weights)
    pool = pool_training(replace(dataset, train=known), 1000)
    used = np.flatnonzero(weights)
    assert np.array_equal(pool.labels, train.labels[used])
    assert np.array_equal(pool.images.digests, train.digests[used])
    assert len(pool_training(replace(dataset, train=known), 10)) == 10


def test_drawn_data_are_refused():
    with pytest.raises(SpecError, match="fractaldb is drawn by a formula"):
        gather(Data(name="fractaldb"))
