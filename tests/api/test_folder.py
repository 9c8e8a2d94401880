"""What `ktg search FOLDER` makes ready."""

import os
from pathlib import Path

import numpy as np
import pytest

from ktg.api.folder import check_out, check_outside, choose_out, claim_out, is_images
from ktg.api.listener import Listener
from ktg.errors import UserError


def test_folders_and_arrays_are_images_and_spaces_are_not(tmp_path):
    (tmp_path / "space.yaml").write_text("nodes: {}")
    np.savez(tmp_path / "tiny.npz", x=np.zeros(1))
    assert is_images(tmp_path)
    assert is_images(str(tmp_path / "tiny.npz"))
    assert not is_images(tmp_path / "space.yaml")
    assert not is_images({"nodes": {}})


def test_the_folder_of_results_is_named_after_the_experiment_but_is_not_that_of_the_images(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    elsewhere = Path("/elsewhere/birds")
    assert choose_out(None, "birds", elsewhere) == Path("birds")
    assert choose_out(None, "birds", tmp_path / "birds") == Path("birds-result")
    assert choose_out("out", "birds", elsewhere) == Path("out")


def test_a_folder_that_cannot_be_filled_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "best.yaml").touch()
    for out, said in (
        ("file", "file is a file; give the name of a folder"),
        ("full", "best.yaml is there already; give --force"),
        ("gone/out", "there is no folder"),
    ):
        with pytest.raises(UserError, match=said):
            check_out(tmp_path / out, force=False)
    check_out(tmp_path / "full", force=True)
    check_out(tmp_path / "new", force=False)
    assert not (tmp_path / "new").exists()


def test_results_and_records_do_not_lie_among_the_images(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    for name in ("cat", "dog"):
        (photos / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    check_outside(Path("photos-result"), photos)
    check_outside(Path("new"), tmp_path / "images.npz")
    with pytest.raises(UserError, match=r"--out: .*photos/new lies among the images of .*photos,"):
        check_outside(Path("photos/new"), photos)
    monkeypatch.chdir(photos)
    with pytest.raises(UserError, match=r"the current folder: .* begin from another folder, such"):
        check_outside(tmp_path / "new", Path())
    # Beside folders of splits nothing is taken for a class.
    for name in ("cat", "dog"):
        (photos / "train" / name).mkdir(parents=True)
    check_outside(Path("photos"), Path())
    with pytest.raises(UserError, match="lies among the images"):
        check_outside(Path("train/new"), Path())


@pytest.mark.parametrize("tables", [["train.csv"], ["train/metadata.csv", "test/metadata.csv"]])
def test_images_that_a_table_labels_are_folders_without_classes(tmp_path, monkeypatch, tables):
    photos = tmp_path / "photos"
    for split in ("train", "test"):
        (photos / split).mkdir(parents=True)
        (photos / split / "1.jpg").touch()
    for table in tables:
        (photos / table).write_text("file_name,label\n1.jpg,cat\n")
    monkeypatch.chdir(tmp_path)
    check_outside(Path("photos-result"), photos)
    with pytest.raises(UserError, match=r"photos/new lies among the images"):
        check_outside(Path("photos/new"), photos)


def test_a_space_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "space.yaml").touch()
    check_out(tmp_path, force=False)
    with pytest.raises(UserError, match=r"space\.yaml is there already; give --force"):
        check_out(tmp_path, force=False, more=("space.yaml",))
    check_out(tmp_path, force=True, more=("space.yaml",))


def test_where_no_lock_can_be_written_the_files_that_are_there_decide(tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "birds"
    with claim_out(out, Listener()) as free:
        assert free == out
    out.mkdir()
    (out / "best.yaml").touch()
    with claim_out(out, Listener()) as free:
        assert free == tmp_path / "birds-2"


def test_a_folder_that_others_have_filled_or_are_about_to_is_left_to_them(tmp_path):
    told = []
    listener, out = Listener(warn=told.append), tmp_path / "birds"
    with claim_out(out, listener) as first:
        assert (first, told) == (out, [])
        with claim_out(out, listener) as second:
            assert second == tmp_path / "birds-2"
    assert told == [
        f"{out}: another search has taken it since this one began, so the results go to "
        f"{second}; with --resume give `--out {second}`"
    ]
    out.mkdir()
    with claim_out(out, listener) as empty:
        assert empty == out
    for folder, file in ((out, "best.yaml"), (second, "report.html")):
        folder.mkdir(exist_ok=True)
        (folder / file).touch()
    with claim_out(out, listener) as third:
        assert third == tmp_path / "birds-3"
    assert not third.exists()
    third.touch()  # a folder of images would do as well
    with claim_out(out, listener) as fourth:
        assert fourth == tmp_path / "birds-4"
    assert not list(Path(os.environ["KTG_CACHE"], "ray").glob("results-*"))
