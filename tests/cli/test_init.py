"""`ktg init`: a space for a folder of images."""

import json

import pytest
from command import ktg
from PIL import Image

from ktg.api.inputs import load_space_file


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setattr("ktg.models.imagenet._is_online", lambda weights: False)
    monkeypatch.setattr("ktg.proposing.weights_here._has_cache", lambda: False)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))


@pytest.mark.slow
def test_a_space_is_written_that_can_be_checked(room, photos):
    done = ktg("init", photos, "--budget", "2m", "--size", "16", folder=room)
    assert done.code == 0, done.err
    file = room / f"{photos.name}.yaml"
    assert f"ktg search {file.name}" in done.out
    assert load_space_file(file).search.budget == "2m"
    assert sum(line.strip().startswith("#") for line in file.read_text().splitlines()) > 5
    assert ktg("check", file, "--quick", folder=room).code == 0


def test_json_has_the_space_and_its_reasons(room, photos):
    done = ktg(
        *("init", photos, "-o", "pets.yaml", "--target", "resnet8", "--size", "16", "--json"),
        folder=room,
    )
    found = json.loads(done.out)
    assert found["file"] == "pets.yaml"
    assert found["space"]["nodes"]["n0"]["model"] == "resnet8"
    assert "as you say" in found["reasons"]["nodes.n0.model"]
    assert found["training_s"] > 0


def test_a_table_of_labels_is_used_and_written_into_the_space(room, photos):
    places = sorted(photos.glob("train/*/*"))
    rows = "".join(f"{each.relative_to(photos)},{each.parent.name},train\n" for each in places)
    (photos.parent / "mine.csv").write_text("file,label,split\n" + rows)
    words = ("-o", "pets.yaml", "--target", "resnet8", "--size", "16", "--labels", "mine.csv")
    done = ktg("init", photos, *words, "--json", folder=room)
    assert done.code == 0, done.err
    assert json.loads(done.out)["space"]["data"]["labels"] == "mine.csv"
    assert "labels: mine.csv" in (room / "pets.yaml").read_text()
    gone = ktg("init", photos, "-o", "no.yaml", "--labels", "gone.csv", folder=room)
    assert gone.code == 2
    assert "data.labels: there is no gone.csv in" in gone.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone",), "gone: there is no such folder"),
        (("empty",), "empty: is empty; put the images of each class into a folder"),
        (("loose",), "loose: holds no folder; put the images of each class into a folder"),
        (("lone",), "classes found: cat; at least two are needed"),
        (("PHOTOS", "--target", "resnet81"), "--target: 'resnet81' is not a model"),
        (("PHOTOS", "--budget", "soon"), "--budget: 'soon' is no duration; give a time such as"),
        (("PHOTOS", "--budget", "3s"), "--budget: 3 s is too short to train anything"),
        (("PHOTOS", "-o", "space.yaml"), "space.yaml: is there already; give --force"),
        (("PHOTOS", "-o", "gone/space.yaml"), "there is no folder"),
        (("PHOTOS", "-o", "space.txt"), "give a name that ends in .yaml"),
        (("PHOTOS", "--weights", "resnet8=gone.pth"), "there is no file"),
        (("PHOTOS", "--weights", "gone.yaml"), "gone.yaml: no such file"),
        (("PHOTOS", "--weights", "graph.yaml"), "graph.yaml: weights: this section is missing"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(room, photos, refused, words, said):
    for folder in ("empty", "loose", "lone/cat"):
        (room / folder).mkdir(parents=True)
    for place in ("loose", "lone/cat"):
        Image.new("RGB", (8, 8)).save(room / place / "a.png")
    sentence = refused("init", *(photos if word == "PHOTOS" else word for word in words))
    assert said in sentence
