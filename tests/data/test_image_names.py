"""Images by the names that tables give them, and never another image in place of a missing one."""

import shutil
from pathlib import Path
from unicodedata import normalize

import pytest

from ktg.data.image_names import Belonging, ImageNames
from ktg.errors import DataError

TRAIN, TEST = Belonging("train"), Belonging("test")


@pytest.fixture
def place(tmp_path):
    """Return a function that makes empty files below a folder, and returns it."""

    def make(*names: str) -> Path:
        root = tmp_path / "data"
        shutil.rmtree(root, ignore_errors=True)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    return make


@pytest.mark.parametrize(
    ("names", "wanted", "belongs", "found"),
    [
        (["train/5.jpg", "test/5.jpg"], "5", TRAIN, "train/5.jpg"),
        (["train/5.jpg", "test/5.jpg"], "5.jpg", TEST, "test/5.jpg"),
        # Another image of that name is no stand-in for one that is missing ...
        (["train/4.jpg", "test/5.jpg"], "5.jpg", TRAIN, None),
        (["train/5.jpg", "test/4.jpg"], "5.jpg", TEST, None),
        (["train/4.jpg", "test/5.jpg"], "train/5.jpg", TRAIN, None),
        # ... but a line may say that a training image is validated on, and folders have any name.
        (["train/5.jpg", "test/4.jpg"], "5.jpg", Belonging("val", stated=True), "train/5.jpg"),
        (["train/4.jpg", "test/5.jpg"], "5.jpg", Belonging("val", stated=True), None),
        (["5.jpg", "more/5.jpg"], "5.jpg", TRAIN, "./5.jpg"),
        (["images/5.jpg", "more/4.jpg"], "5.jpg", TEST, "images/5.jpg"),
        (["test_images/5.jpg"], "5.jpg", TRAIN, "test_images/5.jpg"),
        (["train/4.jpg", "test/5.jpg"], "test/5.jpg", TRAIN, "test/5.jpg"),
        (["train/4.jpg", "test/5.jpg"], "5.jpg", None, "test/5.jpg"),
    ],
)
def test_an_image_of_another_split_is_another_image(place, names, wanted, belongs, found):
    images = ImageNames(place(*names), [wanted])
    if found is not None:
        assert images.find(wanted, ".", "t", belongs) == found
        return
    other = next(name for name in names if name.endswith("/5.jpg"))
    with pytest.raises(DataError, match=f"t: there is no {belongs.split} image .*{other} is anoth"):
        images.find(wanted, ".", "t", belongs)


@pytest.mark.parametrize("lead", ["{root}/", "data/", "tmp/data/", "C:\\old\\data\\", "/old/data/"])
def test_paths_of_another_place_are_found(place, lead):
    root = place("cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    wanted = [lead.format(root=root) + name for name in ("cat/1.jpg", "dog/1.jpg", "dog/2.jpg")]
    images = ImageNames(root, wanted)
    assert [images.find(name, ".", "t", TRAIN) for name in wanted] == [
        "cat/1.jpg",
        "dog/1.jpg",
        "dog/2.jpg",
    ]


@pytest.mark.parametrize("lead", ["", "/old/"])
def test_no_folder_of_the_data_is_left_out(place, lead):
    root = place("cat/1.jpg", "dog/2.jpg")
    wanted = [f"{lead}{name}" for name in ("cat/1.jpg", "cat/2.jpg")]
    images = ImageNames(root, wanted)
    assert images.find(wanted[0], ".", "t", TRAIN) == "cat/1.jpg"
    with pytest.raises(DataError, match=r"there is no image '.*cat/2.jpg'. Did you mean '2.jpg'"):
        images.find(wanted[1], ".", "t", TRAIN)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_are_one(place, forms):
    name, wanted = (normalize(form, "é.jpg") for form in forms)
    root = place(f"a/{name}", "b/x.jpg")
    for path in (wanted, f"a/{wanted}", f"{root}/a/{wanted}", wanted.removesuffix(".jpg")):
        assert ImageNames(root, [path]).find(path, ".", "t", TRAIN) == f"a/{name}"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("", "t: no file is named"),
        ("caf\udce9.jpg", "which is not UTF-8; save it as CSV in UTF-8"),
        ("x.jpg", "'x.jpg' may be a/x.jpg or b/x.jpg; write its folder, too"),
    ],
)
def test_what_cannot_be_found_is_said(place, wanted, said):
    images = ImageNames(place("a/x.jpg", "b/x.jpg", "café.jpg"), [wanted])
    with pytest.raises(DataError, match=said):
        images.find(wanted, ".", "t", TRAIN)
