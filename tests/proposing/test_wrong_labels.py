"""Many labels that look wrong are seen, said, and searched for."""

import dataclasses

import numpy as np
import pytest
from dirt import COLOURS, picture

from ktg.api.inputs import load_space_file
from ktg.auditing.noise import NoiseEstimate
from ktg.data.open import open_data
from ktg.graph import LABEL, Data
from ktg.proposing.ranking import Ranking
from ktg.proposing.space_text import make_space
from ktg.proposing.teacher import Teacher
from ktg.proposing.weights_here import WeightsHere, find_weights_here
from ktg.proposing.wrong_labels import (
    LOSSES,
    NOISY,
    OF_A_CLASS,
    find_wrong_labels,
    propose_label_edge,
)
from ktg.searching.baselines import CLEANED, TRUSTED, baselines
from ktg.zoo import default_zoo

FOUND = NoiseEstimate(0.31, 400, "resnet8@zoo/small at 32 px")


def colours(path, wrong, images):
    """Write pictures of three colours, a share of which has the label of another one."""
    truth, random = np.arange(images) % 3, np.random.default_rng(0)
    shades = [*COLOURS.values()]
    pixels = np.stack([np.asarray(picture(row, shades[truth[row]], 32)) for row in range(images)])
    labels = np.where(random.random(images) < wrong, (truth + 1) % 3, truth)
    np.savez(path, x_train=pixels, y_train=labels)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "images", "seen"), [(0.3, 300, True), (0.0, 300, False), (0.3, 120, False)]
)
def test_labels_are_doubted_where_many_are_wrong_and_images_enough(
    plan, in_zoo, tmp_path, wrong, images, seen
):
    in_zoo("small")
    found = plan(colours(tmp_path / "set.npz", wrong, images), target="resnet8")
    assert (found.noise is not None) == seen
    assert (found.images.train >= 3 * OF_A_CLASS) == (images > 120)
    if seen:
        assert NOISY <= found.noise.noise < 0.45
        assert found.teacher is None or found.teacher.epochs == 0


def test_where_weights_are_gone_when_they_should_look_nothing_is_said(in_zoo, tmp_path):
    in_zoo("small")
    (one,), _ = find_weights_here({}, 32)
    data = open_data(Data(path=str(colours(tmp_path / "set.npz", 0.3, 250)), val_fraction=0.1))
    default_zoo().weights_file("small/resnet8").unlink()
    assert find_wrong_labels(Ranking({one: 0.9}, {}, 120), {}, data, lambda _: None) is None


def taught(plan, photos, in_zoo, teacher=True):
    in_zoo("small")
    in_zoo("large", "resnet14")
    judge = WeightsHere("resnet14", "zoo/large", 175_000, "trained on pictures")
    found = plan(photos, target="resnet8")
    scores = {**found.ranking.scores, judge: 0.9}
    return dataclasses.replace(
        found,
        teacher=Teacher(judge, 0.9) if teacher else None,
        noise=FOUND,
        ranking=dataclasses.replace(found.ranking, scores=scores),
    )


def test_the_space_has_gates_losses_and_baselines(plan, photos, in_zoo, tmp_path):
    proposed = make_space(taught(plan, photos, in_zoo), "pets", "5m")
    file = tmp_path / "pets.yaml"
    file.write_text(proposed.to_yaml(tmp_path))
    assert any(note.startswith("About 31 % of the labels look wrong") for note in proposed.notes)
    assert "About 31 % of the labels look wrong" in " ".join(file.read_text().split("\n# "))
    space = load_space_file(file)
    assert space.holes["edges.label.n0.loss"].options == LOSSES
    assert {"small_loss", "agree"} < {*space.holes["edges.label.n0.gate"].options}
    edge = space.bind(space.default()).edges[LABEL, "n0"]
    assert (edge.noise, edge.peer, edge.over) == (0.31, "teacher", "kept")
    first = space.search.opening[0]
    assert first["edges.label.n0.gate"] == "cutoff"
    found = baselines(space)
    assert {CLEANED, TRUSTED} < {*found}
    assert found[TRUSTED].edges[LABEL, "n0"].gate == "small_loss"
    assert found[CLEANED].train.epochs == 0


@pytest.mark.parametrize(("score", "there"), [(1.0, True), (0.0, False)])
def test_a_second_probe_teaches_beside_the_first(plan, photos, in_zoo, tmp_path, score, there):
    found = taught(plan, photos, in_zoo)
    in_zoo("other", "resnet20")
    third = WeightsHere("resnet20", "zoo/other", 270_000, "trained on drawings")
    scores = {**found.ranking.scores, third: score}
    found = dataclasses.replace(found, ranking=dataclasses.replace(found.ranking, scores=scores))
    file = tmp_path / "pets.yaml"
    file.write_text(make_space(found, "pets", "5m").to_yaml(tmp_path))
    space = load_space_file(file)
    assert ("second" in space.template["nodes"]) == there
    if not there:
        return
    graph = space.bind({**space.default(), **space.search.opening[0]})
    assert graph.train.aggregate == "mean"
    assert {pair for pair, edge in graph.edges.items() if edge.gate == "through"} == {
        ("teacher", "n0"),
        ("second", "n0"),
    }
    assert {graph.nodes[name].epochs for name in ("teacher", "second")} == {0}
    assert {graph.nodes[name].augment for name in ("teacher", "second")} == {"none"}
    assert {edge.temperature for edge in graph.edges.values() if edge.gate == "through"} == {1.0}
    for name, baseline in baselines(space).items():
        edge = baseline.edges.get(("second", "n0"))
        assert edge is None or edge.gate == "cutoff", name


def test_without_a_stronger_network_the_target_judges_by_itself(plan, photos, in_zoo):
    proposed = make_space(taught(plan, photos, in_zoo, teacher=False), "pets", "5m")
    edge = proposed.plain["edges"]["label -> n0"]
    assert edge["gate"] == {"choice": ["through", "small_loss"]}
    assert "peer" not in edge


def test_agree_needs_somebody_to_agree_with():
    edge, why = propose_label_edge(0.2, ["through"], None)
    assert "agree" not in edge["gate"]["choice"]
    assert "20 %" in why
    assert "agree" in propose_label_edge(0.2, ["through"], "teacher")[0]["gate"]["choice"]
