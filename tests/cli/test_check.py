"""`ktg check`: what it says of files and data, and what it does without."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command import ktg
from PIL import Image

from ktg.proposing.kinds import LEADS


def checked(room, file) -> dict:
    return json.loads(ktg("check", file, "--json", folder=room).out)


def test_a_space(room):
    found = checked(room, "space.yaml")
    assert found["kind"] == "search space"
    assert (found["holes"], found["graphs"], found["trials"]) == (2, "a continuum", 3)
    # 3 trials and three baselines of 4 epochs, and a race that takes a quarter of all.
    assert found["cost"] == "about 32 epochs of up to 2 networks, 32 if none were stopped early"
    assert found["classes"] == 4


def test_a_graph(room):
    found = checked(room, "graph.yaml")
    assert found["kind"] == "graph"
    assert found["target"] == "n0 (resnet8)"
    assert (found["nodes"], found["teachers"], found["not live"], found["open edges"]) == (
        "n0, n1",
        "none",
        "none",
        3,
    )
    assert found["cost"] == "2 networks x 4 epochs for each seed"


def test_the_time_is_measured_unless_it_is_not_wanted(room):
    for file in ("space.yaml", "graph.yaml"):
        assert "for one training here, measured by a few steps" in checked(room, file)["time"]
    assert "for all, " in checked(room, "space.yaml")["time"]
    done = ktg("check", "space.yaml", "--quick", "--json", folder=room)
    assert "time" not in json.loads(done.out)


def test_data(room):
    found = checked(room, "tiny.npz")
    assert found["data"]["train"] == "104 images, at least 26 in each class"
    assert found["data"]["test"] == "32 images, at least 8 in each class"
    assert found["class names"] == "0, 1, 2, 3"
    assert "class names  0, 1, 2, 3\n" in ktg("check", "tiny.npz", folder=room).out
    (room / "tiny.npz").rename(room / "TINY.NPZ")
    assert checked(room, "TINY.NPZ") == found


def test_splits_without_classes_are_refused_alike_by_check_and_train(room, refused):
    for split in ("train", "test"):
        (room / "flat" / split).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(room / f"flat/{split}/cat.{number}.png")
    text = (room / "graph.yaml").read_text().replace("tiny.npz", "flat")
    (room / "graph.yaml").write_text(text)
    for words in (("check", "flat"), ("check", "graph.yaml"), ("train", "graph.yaml")):
        assert "test, train are named as splits and not as classes" in refused(*words)


@pytest.fixture
def photos(room):
    """A folder with 8 images of each of two classes in train/, and 4 in val/ and in test/."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        for name in "ab":
            (room / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(room / f"photos/{split}/{name}/{number}.png")
    return room / "photos"


COARSE = "of 8 validation images one is 12.5 points of accuracy: small differences are luck"


def test_what_of_a_folder_nothing_uses_is_said(room, photos):
    assert checked(room, "photos")["note"] == [COARSE]
    for place in ("one.png", "train/two.JPG"):
        shutil.copy(photos / "train/a/0.png", photos / place)
    (photos / "notes.txt").touch()
    (photos / "testing").mkdir()
    where = "beside the class folders and not in one, so nothing uses them"
    said = f"2 images lie {where}: one.png, train/two.JPG"
    splits = "folders beside train/ are used only if they are val/ or test/; not used: testing"
    *first, worth, last = checked(room, "photos")["note"]
    assert [*first, last] == [said, splits, COARSE]
    assert worth.startswith("2 images in the folder without a label: ")
    lead = LEADS["taught, unlabelled"]
    assert f"{100 * lead.mean:+.1f} points in the mean of {lead.sets} sets" in worth
    assert "note\n  2 images lie beside" in ktg("check", "photos", folder=room).out


def test_a_folder_one_level_too_high_is_said(room, photos):
    both = room / "both"
    for name in ("photos", "more"):
        shutil.copytree(photos / "train", both / name)
    advice = "if these are the classes, go one down: more/a"
    said = f"no class has images but in folders of its own; {advice}"
    assert checked(room, "both")["note"][0].startswith(said)


def test_a_validation_split_of_a_hundred_images_is_no_remark(room):
    images = np.random.default_rng(0).integers(0, 256, (625, 8, 8)).astype(np.uint8)
    np.savez(room / "large.npz", x=images, y=np.arange(625) % 2)
    assert checked(room, "large.npz")["data"]["val"].startswith("100 images")
    assert "note" not in checked(room, "large.npz")
    assert checked(room, "tiny.npz")["note"][0].startswith(
        "of 24 validation images one is 4.2 points"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "count"), [("photos", 16), ("photos/more", 3)])
def test_images_without_labels_are_counted_and_are_not_said_to_be_unused(
    room, photos, folder, count
):
    if folder != "photos":
        (room / folder).mkdir()
        for number in range(count):
            shutil.copy(photos / "train/a/0.png", room / folder / f"{number}.png")
    space = (room / "space.yaml").read_text()
    data = f"path: photos, unlabelled: {folder}, batch_size: 16"
    (room / "space.yaml").write_text(space.replace("path: tiny.npz, batch_size: 16", data))
    found = checked(room, "space.yaml")
    assert found["data"]["unlabelled"] == f"{count} images"
    assert found["note"] == [COARSE]


def test_an_empty_folder_of_images_without_labels_is_refused_though_it_is_the_second_option(
    room, refused
):
    (room / "full").mkdir()
    (room / "empty").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(room / "full/0.png")
    text = (room / "space.yaml").read_text()
    (room / "space.yaml").write_text(
        text.replace("data: {", "data: {unlabelled: {choice: [full, empty]}, ")
    )
    assert refused("check", "space.yaml").endswith("empty has no images")
    (room / "empty").rmdir()
    said = refused("check", "space.yaml")
    assert said.startswith("space.yaml: data.unlabelled.choice[1]: there is no folder, ")
    (room / "emptied").mkdir()
    assert refused("check", "space.yaml").endswith("Did you mean 'emptied'?")


def test_a_folder_that_is_not_there(refused, photos):
    assert (
        refused("check", "photo")
        == "photo: there is no such file or folder. Did you mean 'photos'?"
    )


def test_the_schema_is_printed(room):
    done = ktg("check", "--schema", folder=room)
    assert json.loads(done.out)["title"] == "ktg space"


def test_checking_a_space_and_its_data_imports_nothing_heavy(room):
    heavy = ("torch", "timm", "torchvision", "ray", "mlflow", "optuna")
    code = (
        "import sys; from ktg.cli import commands;"
        "commands(['check', 'space.yaml', '--quick'], standalone_mode=False);"
        f"sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=room, capture_output=True, text=True, check=False
    )
    assert done.stderr == "", done.stderr
    assert "search space" in done.stdout


def test_nothing_is_written(room):
    before = sorted(room.iterdir())
    for file in ("space.yaml", "graph.yaml", "tiny.npz"):
        checked(room, file)
    assert sorted(room.iterdir()) == before
