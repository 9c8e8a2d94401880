"""The choices for a folder, on a machine with what weights there are."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

from ktg.errors import SpecError, UserError
from ktg.graph import SourceFile
from ktg.proposing.machine import read_machine
from ktg.proposing.plan import FALLBACK, find_usable
from ktg.proposing.resolution import LEAST_SIDE, order_sides
from ktg.proposing.weights_here import WeightsHere
from ktg.proposing.wishes import Wishes
from ktg.zoo import shipped_zoo


@pytest.mark.slow
def test_without_weights_and_network_the_target_begins_from_nothing(plan, photos):
    found = plan(photos)
    assert (found.model, found.sources, found.teacher) == ("resnet20", (), None)
    assert found.length.epochs >= 1
    assert found.batch == 16


@pytest.mark.slow
def test_weights_of_the_target_are_ranked_and_the_rest_may_teach(plan, photos, in_zoo):
    in_zoo("one", seed=1)
    in_zoo("two", seed=2)
    in_zoo("large", "resnet14")
    found = plan(photos, target="resnet8")
    assert found.model == "resnet8"
    assert {one.model for one in found.sources} == {"resnet8"}
    scores = found.ranking.scores
    assert scores[found.sources[0]] == max(scores[one] for one in found.ranking.of_model("resnet8"))
    assert found.teacher is None or found.teacher.weights.model != "resnet8"
    assert found.length.side <= 64  # networks for tiny images


def test_a_file_of_the_user_counts_as_weights(plan, photos, weights):
    files = {"resnet8": SourceFile(path=str(weights()), mean=(0.5,), std=(0.5,))}
    found = plan(photos, target="resnet8", files=files)
    assert [one.name for one in found.sources] == ["resnet8@imagenet"]


@pytest.mark.slow  # it imports timm
def test_a_file_counts_for_the_target_by_whatever_name_of_the_model(plan, photos, tmp_path):
    import timm

    file = tmp_path / "own.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), file)
    for target, model in (("timm/test_resnet", "timm/test_resnet"), ("test_resnet",) * 2):
        found = plan(photos, target=target, files={model: SourceFile(path=str(file))})
        assert [one.name for one in found.sources] == ["test_resnet@imagenet"]


@pytest.mark.slow
def test_images_without_labels_bring_a_teacher(plan, photos, tmp_path, in_zoo):
    in_zoo("small")
    in_zoo("large", "resnet56")
    root = Path(shutil.copytree(photos, tmp_path / "photos"))
    (root / "more").mkdir()
    for number in range(4):
        Image.new("RGB", (20, 20), (number * 9, 0, 0)).save(root / "more" / f"{number}.png")
    found = plan(root, target="resnet8")
    assert found.images.unlabelled == 4
    margin = found.ranking.scores
    own, other = (margin[found.ranking.of_model(name)[0]] for name in ("resnet8", "resnet56"))
    assert found.teacher is not None or other < own - found.ranking.error
    assert (found.length.passes > 1) == (found.teacher is not None)
    labelled = plan(photos, target="resnet8")
    assert labelled.teacher is not None or labelled.length.passes == 1


def test_the_sides_to_search_are_ranked_by_probes_of_the_weights(plan, large_photos, in_zoo):
    in_zoo("small")
    found = plan(large_photos, target="resnet8")
    assert len(found.probes) > 1
    assert found.sides == order_sides((*found.probes,), found.probes, found.ranking.error)
    assert found.length.side == found.sides[0]
    said = plan(large_photos, target="resnet8", size=20)
    assert (said.sides, [*said.probes]) == ((20,), [20])
    assert said.probe_side == 20


def test_the_first_model_sees_images_at_a_side_that_is_searched(taught):
    probes = {32: 0.9, 48: 0.7, 64: 0.8}
    for sides, best in (((48, 64), 64), ((48,), 48), ((96,), None)):
        assert dataclasses.replace(taught, sides=sides, probes=probes).probe_side == best


def test_networks_that_saw_formulas_only_make_way_for_those_that_saw_photographs(
    in_zoo, monkeypatch
):
    """On a machine with large networks from ImageNet the target is none from nothing."""
    monkeypatch.setattr("ktg.proposing.weights_here.shipped_zoo", shipped_zoo)
    monkeypatch.setattr("ktg.proposing.plan.SMALL", 100_000)
    machine = read_machine()
    (only,), _ = find_usable(Wishes(300), machine)
    assert only.source == "zoo/fractals"
    in_zoo("large", "resnet14")
    (seen,), why = find_usable(Wishes(300), machine)
    assert seen.source == "zoo/large"
    assert "no photographs" in why["resnet20@zoo/fractals"]
    wanted, other = find_usable(Wishes(300, "resnet20"), machine)[0]
    assert (wanted.source, other.source) == ("zoo/fractals", "zoo/large")
    asked: list[str] = []

    def ask(model):
        asked.append(model)
        return []

    monkeypatch.setattr("ktg.proposing.plan._ask_for_published", ask)
    find_usable(Wishes(300), machine)
    assert asked == [FALLBACK]  # none of those that are here is small


def test_weights_that_saw_formulas_only_do_not_stand_for_published_ones(in_zoo, monkeypatch):
    monkeypatch.setattr("ktg.proposing.weights_here.shipped_zoo", shipped_zoo)
    asked: list[str] = []

    def ask(model):
        asked.append(model)
        return [WeightsHere(model, "imagenet", 270_000)]

    monkeypatch.setattr("ktg.proposing.plan._ask_for_published", ask)
    found, _ = find_usable(Wishes(300, "resnet20"), read_machine())
    assert [one.name for one in found] == ["resnet20@imagenet", "resnet20@zoo/fractals"]
    in_zoo("cars", "resnet20")
    found, _ = find_usable(Wishes(300, "resnet20"), read_machine())
    assert {one.source for one in found} == {"zoo/cars", "zoo/fractals"}
    assert asked == ["resnet20"]


@pytest.mark.slow
def test_a_target_without_weights_sees_what_suits_it_and_not_another_network(
    plan, large_photos, in_zoo
):
    in_zoo("small")  # of a network for tiny images
    found = plan(large_photos, target="mobilenetv2_035")
    assert (found.sources, found.sides[0] >= LEAST_SIDE) == ((), True)


@pytest.mark.slow
def test_what_the_user_says_is_kept(plan, photos):
    assert plan(photos, size=20).length.side == 20
    assert plan(photos, target="resnet14").model == "resnet14"


def test_more_time_gives_no_fewer_epochs(plan, photos):
    assert plan(photos, 30, size=16).length.epochs <= plan(photos, 3000, size=16).length.epochs


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"target": "resnet81"}, "'resnet81' is not a model"),
        ({"files": {"resnet8": SourceFile(path="gone.pth")}}, "there is no file gone.pth"),
        ({"files": {"nonsense": SourceFile(path="gone.pth")}}, "'nonsense' is not a model"),
    ],
)
def test_mistakes_are_named(plan, photos, wishes, said):
    with pytest.raises((UserError, SpecError), match=said):
        plan(photos, **wishes)


def test_a_budget_in_which_nothing_can_be_trained_is_refused(plan, photos):
    with pytest.raises(
        UserError, match="5 s is too short to train anything; allowed: at least 20s"
    ):
        plan(photos, 5)
