"""A plan as YAML with its reasons."""

import dataclasses
import shutil
from pathlib import Path

from ktg.api.inputs import load_space_file
from ktg.auditing.noise import NoiseEstimate
from ktg.graph import load_space
from ktg.graph.parse_space import parse_space
from ktg.graph.recipes import PRETRAINED
from ktg.proposing.opening import OPENING
from ktg.proposing.resolution import most_epochs, usual_epochs
from ktg.proposing.space_text import make_space
from ktg.proposing.squares import Squares
from ktg.zoo import shipped_zoo


def test_the_file_is_a_space_that_can_be_searched(plan, photos, in_zoo, tmp_path):
    in_zoo("small")
    proposed = make_space(plan(photos, target="resnet8"), "pets", "5m")
    file = tmp_path / "pets.yaml"
    file.write_text(proposed.to_yaml(tmp_path))
    space = load_space_file(file)
    assert (space.name, space.search.budget) == ("pets", "5m")
    graph = space.bind(space.default())
    node = graph.nodes["n0"]
    assert (node.source, node.head) == ("zoo/small", PRETRAINED["head"])
    assert 0.0001 <= node.lr <= 0.001
    assert graph.data.path == str(photos)


def test_how_oblong_images_become_squares_is_said_with_what_the_probe_has(plan, photos, in_zoo):
    in_zoo("small")
    found = plan(photos, target="resnet8")
    assert set(found.squares.scores) == {"crop", "stretch"}  # 20 to 39 x 28 pixels
    proposed = make_space(found, "pets", "5m")
    assert proposed.plain["data"]["resize"] == found.squares.resize
    assert "squeezed" in proposed.reasons["data.resize"]
    plain = make_space(dataclasses.replace(found, squares=Squares()), "pets", "5m").plain
    assert "resize" not in plain["data"]


def test_the_size_that_the_target_sees_is_a_hole_unless_it_is_said(
    plan, large_photos, in_zoo, tmp_path
):
    in_zoo("small")
    found = plan(large_photos, target="resnet8")
    found = dataclasses.replace(
        found,
        sides=(48, 64),
        probes={48: 0.6, 64: 0.7},
        length=dataclasses.replace(found.length, side=48),
    )
    proposed = make_space(found, "pets", "5m")
    assert proposed.plain["data"]["size"] == max(found.sides)
    assert proposed.plain["nodes"]["n0"]["input_size"] == {"choice": list(found.sides)}
    why = proposed.reasons["nodes.n0.input_size"]
    for side, score in found.probes.items():
        assert f"{side} pixels {100 * score:.1f} %" in why
    file = tmp_path / "pets.yaml"
    file.write_text(proposed.to_yaml(tmp_path))
    graph = load_space_file(file)
    assert graph.bind(graph.default()).nodes["n0"].input_size == found.length.side
    wished = plan(large_photos, target="resnet8", size=20)
    for planned in (wished, dataclasses.replace(wished, teacher=None)):
        plain = make_space(planned, "pets", "5m").plain
        assert plain["data"]["size"] == planned.decoded_side
        assert plain["nodes"]["n0"].get("input_size", planned.decoded_side) == 20


def test_a_side_is_the_largest_of_use_or_the_largest_that_fits(plan, large_photos, in_zoo):
    in_zoo("small")
    found = plan(large_photos, target="resnet8")
    whys = {
        side: make_space(dataclasses.replace(found, sides=(side,)), "pets", "5m").reasons
        for side in (48, 64)
    }
    assert "fit the budget" in whys[48]["data.size"]
    assert "of which this network makes use" in whys[64]["data.size"]


def test_without_weights_it_says_so_and_what_to_do(plan, photos, tmp_path):
    text = make_space(plan(photos), "pets", "5m").to_yaml(tmp_path)
    assert "No weights for resnet20 are on this machine" in " ".join(text.replace("#", "").split())
    assert "source pretrain fractaldb --preset tiny" in " ".join(text.replace("#", "").split())
    (tmp_path / "pets.yaml").write_text(text)
    space = load_space(tmp_path / "pets.yaml")
    assert space.bind(space.default()).nodes["n0"].source == "none"


def test_with_nothing_but_the_weights_that_ktg_ships_it_says_what_these_are_worth(
    plan, photos, in_zoo, monkeypatch
):
    monkeypatch.setattr("ktg.proposing.weights_here.shipped_zoo", shipped_zoo)

    def note():
        found = [one for one in make_space(plan(photos), "pets", "5m").notes if "ImageNet" in one]
        return " ".join(found)

    assert "no weights of resnet20 on this machine have seen photographs" in note()
    assert "begins from nothing, or from zoo/fractals" in note()
    in_zoo("seen")
    assert note() == ""


def test_every_choice_has_its_reason_above_it(taught, tmp_path):
    proposed = make_space(taught, "pets", "5m")
    text = proposed.to_yaml(tmp_path)
    words = " ".join(line.strip().lstrip("# ") for line in text.splitlines())
    assert proposed.reasons
    for place, why in proposed.reasons.items():
        assert " ".join(why.split()) in words, place
    for line in text.splitlines():
        assert len(line) <= 130
    lines = text.splitlines()
    for place in ("size:", "balance:", "unlabelled:"):
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(place))
        assert lines[at - 1].strip().startswith("#")


def test_images_that_cannot_be_read_are_left_out_by_name(plan, photos, in_zoo, tmp_path):
    in_zoo("small")
    root = Path(shutil.copytree(photos, tmp_path / "photos_one_broken"))
    broken = next(root.rglob("*.png"))
    broken.write_bytes(b"no image")
    found = plan(root, target="resnet8")
    (named,) = (note for note in found.images.notes if "cannot be read" in note)
    assert broken.name in named
    assert "leaves them out" in named
    assert make_space(found, "pets", "5m").plain["data"]["corrupt"] == "skip"


def test_a_teacher_images_without_labels_and_unequal_classes_show(taught, tmp_path):
    proposed = make_space(taught, "pets", "5m")
    plain = proposed.plain
    assert plain["data"]["unlabelled"] == "auto"
    assert plain["data"]["balance"]["choice"][0] == "loss"
    assert plain["search"]["metric"] == "balanced_accuracy"
    assert "80.0 %" in proposed.reasons["data.balance"]
    assert plain["train"] == {"epochs": 40, "steps": 40 * 9 * (20 // taught.batch)}
    assert plain["data"]["views"] == 8
    new_ones = dataclasses.replace(taught, teacher=dataclasses.replace(taught.teacher, views=None))
    assert "views" not in make_space(new_ones, "pets", "5m").plain["data"]
    assert plain["nodes"]["teacher"] == {"model": "resnet14", "source": "zoo/large", "epochs": 3}
    assert plain["edges"]["label -> n0"]["gate"]["choice"][0] == "cutoff"
    first = next(one for one in OPENING if "noise" not in one.needs)
    assert plain["search"]["opening"][0] == first.settings
    assert "+7.7" in proposed.reasons["search.opening"]


def test_images_without_labels_that_nothing_uses_are_not_praised(taught, tmp_path):
    alone = make_space(dataclasses.replace(taught, teacher=None), "pets", "5m")
    assert alone.plain["data"]["unlabelled"] == "auto"  # for a teacher that is added by hand
    assert "nothing uses" in alone.reasons["data.unlabelled"]
    (note,) = (note for note in alone.notes if "used by nothing" in note)
    assert note.startswith("Note: 7 images without a label")
    with_teacher = make_space(taught, "pets", "5m")
    assert "+7.7" in with_teacher.reasons["data.unlabelled"]
    assert not [note for note in with_teacher.notes if "used by nothing" in note]


def test_twice_the_epochs_are_tried_unless_labels_look_wrong_or_it_is_taught_for_long(taught):
    short = dataclasses.replace(taught, length=dataclasses.replace(taught.length, passes=1))
    noisy = dataclasses.replace(short, noise=NoiseEstimate(0.4, 1000, "a probe"))
    plans = (short, noisy, taught)
    found = [make_space(one, "pets", "5m") for one in plans]
    lengths = [one.plain["train"]["epochs"] for one in found]
    assert lengths == [{"choice": [40, 80]}, 40, 40]
    assert "; 80 are tried, too" in found[0].reasons["train.epochs"]
    most = most_epochs(usual_epochs(short.images.per_class))
    for epochs, longer in ((most, None), (most - 10, most)):
        long = dataclasses.replace(short, length=dataclasses.replace(short.length, epochs=epochs))
        assert long.longer == longer  # never more than is of use
    opening = found[0].plain["search"]["opening"]
    assert [one["train.epochs"] for one in opening if "train.epochs" in one] == [80]
    assert parse_space(found[0].plain).search.opening


def test_without_time_for_patience_there_is_no_teacher_and_that_is_said(plan, photos, in_zoo):
    in_zoo("small")
    in_zoo("large", "resnet14")
    found = plan(photos, target="resnet8")
    length = dataclasses.replace(found.length, epochs=10, passes=1)
    images = dataclasses.replace(found.images, unlabelled=0)
    hurried = dataclasses.replace(found, teacher=None, images=images, length=length)
    patient = dataclasses.replace(hurried, length=dataclasses.replace(length, epochs=400))
    said = [make_space(one, "pets", "5m").reasons["train.epochs"] for one in (hurried, patient)]
    assert ["No teacher is proposed" in each for each in said] == [True, False]


def test_the_opening_is_of_holes_that_the_space_has(taught, tmp_path):
    proposed = make_space(dataclasses.replace(taught, images=taught.images), "pets", "5m")
    plain = {**proposed.plain, "data": {**proposed.plain["data"]}}
    plain["data"].pop("unlabelled")  # no such images are there
    from ktg.api.inputs import read_space

    assert len(read_space(plain).search.opening) == 3
