"""Images without labels: from folders, archives, lists and the rest, never those held out."""

import dataclasses
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import open_data, open_test, summarize
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
    spec = Data(path=str(plain), per_class=2, unlabelled=(str(plain),))
    dataset, test = open_data(spec), open_test(spec)
    assert len(dataset.unlabelled) == 30 - len(dataset.val) - len(test)
    assert [summarize(spec, test=both).unlabelled for both in (True, False)] == [
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
    dataset = open_data(Data(path=str(photos), size=16, unlabelled=(str(folder),)))
    assert len(dataset.unlabelled) == 20
    assert pixels_of(dataset.unlabelled) == pixels_of(dataset.train)
    assert dataset.unlabelled.shape == dataset.train.shape
    assert summarize(Data(path=str(photos), unlabelled=(str(folder),))).unlabelled == 20


def test_the_rest_is_as_without_but_the_fingerprint_is_another(plain, photos):
    spec = Data(path=str(plain))
    one, other = (
        open_data(spec),
        open_data(dataclasses.replace(spec, unlabelled=(str(photos / "train"),))),
    )
    assert one.unlabelled is None
    assert len(other.unlabelled) == 20
    assert pixels_of(one.train) == pixels_of(other.train)
    assert (one.mean, one.std, one.classes) == (other.mean, other.std, other.classes)
    assert one.fingerprint != other.fingerprint
    assert (
        open_data(dataclasses.replace(spec, unlabelled=(str(photos / "train"),))).fingerprint
        == other.fingerprint
    )


def test_what_cannot_be_read_is_named_or_skipped(plain, tmp_path):
    more = tmp_path / "more" / "deep" / "er"
    more.mkdir(parents=True)
    (more / "bad.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(more / "good.png")
    spec = Data(path=str(plain), unlabelled=(str(tmp_path / "more"),))
    with pytest.raises(DataError, match=r"data\.unlabelled: .*bad\.png"):
        open_data(spec)
    dataset = open_data(dataclasses.replace(spec, corrupt="skip"))
    assert (len(dataset.unlabelled), dataset.skipped) == (1, ("deep/er/bad.png",))


def test_a_folder_with_nothing_to_give_is_refused(plain, photos, tmp_path):
    with pytest.raises(DataError, match=r"data\.unlabelled: nowhere does not exist"):
        open_data(Data(path=str(plain), unlabelled=("nowhere",)))
    with pytest.raises(DataError, match="has no images but those used otherwise"):
        open_data(Data(path=str(photos), size=16, unlabelled=(str(photos / "test"),)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no images"):
        open_data(Data(path=str(plain), unlabelled=("empty",)), base=tmp_path)


def test_auto_is_what_the_labels_leave_out_and_what_lies_beside_the_classes(make, plain):
    """The rest of a few-shot pool, and loose images; never a test folder of any name."""
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(plain / "loose.png")
    spec = Data(path=str(plain), per_class=2, unlabelled=("auto",))
    dataset, test = open_data(spec), open_test(spec)
    shown = pixels_of(dataset.unlabelled)
    assert len(shown) == 31 - 4 - len(dataset.val) - len(test)
    assert not shown & (pixels_of(dataset.train) | pixels_of(dataset.val) | pixels_of(test))
    assert (dataset.unlabelled.labels == -1).all()
    assert summarize(spec).unlabelled == len(shown)

    root = make({"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1, "more": 3, "test_2": 4})
    spec = Data(path=str(root), unlabelled=("auto",))
    dataset = open_data(spec)
    assert len(dataset.unlabelled) == 3
    assert summarize(spec).unlabelled == 3


def test_auto_of_an_array_is_the_rest_of_its_few_shot_pool(tiny):
    dataset = open_data(Data(path=str(tiny), per_class=3, unlabelled=("auto",)))
    assert len(dataset.train) == 12
    assert len(dataset.train) + len(dataset.val) + len(dataset.unlabelled) == 128
    with pytest.raises(DataError, match="auto: there are no images but the labelled ones"):
        open_data(Data(path=str(tiny), unlabelled=("auto",)))


def test_several_places_are_joined_and_a_file_named_twice_counts_once(plain, photos, tmp_path):
    every = sorted(file for file in (photos / "train").rglob("*") if file.is_file())
    files = [os.path.relpath(file, tmp_path) for file in every]
    (tmp_path / "list.txt").write_text("\n".join(files[:5]))
    (tmp_path / "table.csv").write_text("file,remark\n" + "".join(f"{f},x\n" for f in files[3:9]))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(every[10], "deep/one.jpg")
    places = tuple(str(tmp_path / name) for name in ("list.txt", "table.csv", "more.zip"))
    spec = Data(path=str(plain), unlabelled=places)
    dataset = open_data(spec)
    assert len(dataset.unlabelled) == 9 + 1
    assert summarize(spec).unlabelled == 10
    whole = open_data(Data(path=str(plain), unlabelled=(str(photos / "train"),))).unlabelled
    rows = [*range(9), 10]
    np.testing.assert_array_equal(dataset.unlabelled.read(range(10)), whole.read(rows))


def test_the_same_images_in_a_tar_are_the_same_images(plain, photos, tmp_path):
    whole = open_data(Data(path=str(plain), unlabelled=(str(photos / "train"),))).unlabelled
    for mode in ("w", "w:gz"):
        with tarfile.open(tmp_path / "more.tar", mode) as archive:
            archive.add(photos / "train", "train")
        packed = open_data(Data(path=str(plain), unlabelled=(str(tmp_path / "more.tar"),)))
        assert packed.unlabelled.fingerprint == whole.fingerprint
        np.testing.assert_array_equal(packed.unlabelled.read(range(20)), whole.read(range(20)))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.txt", "gone.png\n", "line 1: there is no file gone.png beside the list"),
        ("list.csv", "file\n\nno/where.png\n", "line 3: there is no file no/where.png"),
        ("list.txt", "\n\n", "has no images"),
        ("notes.pdf", "x", "is neither a folder, an archive"),
        ("more.zip", "no zip", "cannot be read as an archive"),
        ("more.tgz", "no tar", "cannot be read as an archive"),
    ],
)
def test_a_list_or_archive_that_is_none_is_one_sentence(plain, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"data.unlabelled: {name}") as caught:
        open_data(Data(path=str(plain), unlabelled=(name,)), base=tmp_path)
    assert said in str(caught.value)


def test_a_list_that_is_no_text_is_refused(plain, tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00photo")
    with pytest.raises(DataError, match=r"list.txt is not text in UTF-8"):
        open_data(Data(path=str(plain), unlabelled=("list.txt",)), base=tmp_path)


def test_the_labelled_fingerprint_is_that_without_images_without_labels(plain, photos):
    spec = Data(path=str(plain))
    more = open_data(dataclasses.replace(spec, unlabelled=(str(photos / "train"),)))
    assert more.labelled_fingerprint == open_data(spec).fingerprint
    assert open_data(spec).labelled_fingerprint is None
