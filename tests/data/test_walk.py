"""Every real file once, whatever links there are."""

import os
from pathlib import Path

import pytest

from ktg.data.walk import list_folders, walk
from ktg.errors import DataError


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "cat/deep/2.JPG", "dog/3.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).touch()
    return tmp_path / "pets"


def test_images_by_name_with_their_real_places(pets):
    found = walk(pets, "cat")
    assert found.images == {
        "cat/1.png": str(pets / "cat/1.png"),
        "cat/deep/2.JPG": str(pets / "cat/deep/2.JPG"),
    }
    assert sorted(walk(pets, "").images) == ["cat/1.png", "cat/deep/2.JPG", "dog/3.png"]
    assert list(walk(pets / "dog", "").images) == ["./3.png"]


def test_circles_of_links_end(pets):
    for place in ("cat/a", "cat/b", "cat/deep/c"):
        (pets / place).symlink_to(pets / "cat/deep")
    (pets / "cat/self").symlink_to("self")
    found = walk(pets, "cat")
    assert sorted(found.images) == ["cat/1.png", "cat/deep/2.JPG"]
    assert sorted(found.again) == ["cat/a", "cat/b", "cat/deep/c"]
    assert found.others == ["cat/self"]


def test_links_to_other_places_are_followed_and_own_names_go_first(pets, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/4.png").touch()
    (pets / "cat/0.png").symlink_to("1.png")
    (pets / "cat/more").symlink_to(tmp_path / "more")
    found = walk(pets, "cat")
    assert sorted(found.images) == ["cat/1.png", "cat/deep/2.JPG", "cat/more/4.png"]
    assert found.images["cat/more/4.png"] == str(tmp_path / "more/4.png")
    assert found.again == ["cat/0.png"]


@pytest.mark.parametrize("target", ["..", "../..", "/"])
def test_a_link_to_a_folder_around_is_refused(pets, target):
    (pets / "dog/all").symlink_to(target)
    with pytest.raises(DataError, match=r"dog/all is a link to .* lies around it"):
        walk(pets, "dog")


def test_links_to_nothing_and_pipes_are_images_that_cannot_be_read(pets):
    (pets / "dog/gone.png").symlink_to("nowhere.png")
    os.mkfifo(pets / "dog/pipe.png")
    assert sorted(walk(pets, "dog").images) == ["dog/3.png", "dog/gone.png", "dog/pipe.png"]


def test_folders_of_systems_are_no_folders_of_images(pets):
    for name in ("@eaDir", "#recycle", ".@__thumb", "Thumbs", "lost+found"):
        (pets / "cat" / name).mkdir()
        (pets / "cat" / name / "5.png").touch()
    found = walk(pets, "cat")
    assert len(found.images) == 2
    assert sorted(found.system) == [
        "cat/#recycle",
        "cat/@eaDir",
        "cat/Thumbs",
        "cat/lost+found",
    ]
    # A class may be called Thumbs.
    assert list_folders(pets / "cat") == ("Thumbs", "deep")


def test_a_folder_that_cannot_be_listed_is_named(pets):
    with pytest.raises(DataError, match=r"nowhere: this folder cannot be listed \(No such"):
        walk(pets, "nowhere")
