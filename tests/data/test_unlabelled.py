"""Images without labels: found at any depth, never one that is validated or tested on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import open_data, open_test, summary
from ktg.errors import DataError
from ktg.graph import Data


def pixels_of(images) -> set[bytes]:
    return {each.tobytes() for each in images.read(range(len(images)))}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder of 30 images of two classes without splits, no two alike."""
    random = np.random.default_rng(0)
    for number in range(30):
        file = tmp_path / "plain" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return tmp_path / "plain"


def test_a_data_set_may_be_its_own_supply_and_keeps_what_is_held_out(plain):
    spec = Data(path=str(plain), per_class=2, unlabelled=str(plain))
    dataset, test = open_data(spec), open_test(spec)
    assert len(dataset.unlabelled) == 30 - len(dataset.val) - len(test)
    assert [summary(spec, test=both).unlabelled for both in (True, False)] == [
        len(dataset.unlabelled)
    ] * 2
    assert (dataset.unlabelled.labels == -1).all()
    found = pixels_of(dataset.unlabelled)
    assert not found & (pixels_of(dataset.val) | pixels_of(test))
    assert found >= pixels_of(dataset.train)  # to be seen without its label too does no harm


def test_official_splits_are_kept_apart_through_links_too(photos, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    for split in ("train", "val", "test"):
        (folder / split).symlink_to(photos / split)
    dataset = open_data(Data(path=str(photos), size=16, unlabelled=str(folder)))
    assert len(dataset.unlabelled) == 20
    assert pixels_of(dataset.unlabelled) == pixels_of(dataset.train)
    assert dataset.unlabelled.shape == dataset.train.shape
    assert summary(Data(path=str(photos), unlabelled=str(folder))).unlabelled == 20


def test_the_rest_is_as_without_but_the_fingerprint_is_another(plain, photos):
    spec = Data(path=str(plain))
    one, other = (
        open_data(spec),
        open_data(dataclasses.replace(spec, unlabelled=str(photos / "train"))),
    )
    assert one.unlabelled is None
    assert len(other.unlabelled) == 20
    assert pixels_of(one.train) == pixels_of(other.train)
    assert (one.mean, one.std, one.classes) == (other.mean, other.std, other.classes)
    assert one.fingerprint != other.fingerprint
    assert (
        open_data(dataclasses.replace(spec, unlabelled=str(photos / "train"))).fingerprint
        == other.fingerprint
    )


def test_what_cannot_be_read_is_named_or_skipped(plain, tmp_path):
    more = tmp_path / "more" / "deep" / "er"
    more.mkdir(parents=True)
    (more / "bad.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(more / "good.png")
    spec = Data(path=str(plain), unlabelled=str(tmp_path / "more"))
    with pytest.raises(DataError, match=r"data\.unlabelled: .*bad\.png"):
        open_data(spec)
    dataset = open_data(dataclasses.replace(spec, corrupt="skip"))
    assert (len(dataset.unlabelled), dataset.skipped) == (1, ("deep/er/bad.png",))


def test_a_folder_with_nothing_to_give_is_refused(plain, photos, tmp_path):
    with pytest.raises(DataError, match=r"data\.unlabelled: nowhere is no folder"):
        open_data(Data(path=str(plain), unlabelled="nowhere"))
    with pytest.raises(
        DataError, match="has no images but those of the validation and test splits"
    ):
        open_data(Data(path=str(photos), size=16, unlabelled=str(photos / "test")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no images"):
        open_data(Data(path=str(plain), unlabelled="empty"), base=tmp_path)
