"""What is found before a search, and what a search may not choose among."""

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from ktg.errors import SpecError, WeightsError
from ktg.graph import Data, SearchSpace, parse_space
from ktg.searching.preflight import (
    check_data_holes,
    check_graphs,
    check_space,
    count_images,
    describe_unchecked,
    select_image_fields,
    vary_each_hole,
)


def space(tiny: Path, **sections) -> SearchSpace:
    return parse_space(
        {
            "data": {"path": str(tiny), "batch_size": 16, **sections.pop("data", {})},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}}
            | sections.pop("nodes", {}),
            "edges": {"label -> n0": {}, "n1 -> n0": {"gate": {"choice": ["through", "linear"]}}},
            **sections,
        }
    )


def test_a_space_that_can_be_trained_gives_the_data_of_its_default(tiny):
    assert len(check_space(space(tiny, data={"per_class": {"choice": [8, 16]}})).train) == 4 * 8


def test_images_are_decoded_once_and_progress_is_told(tiny):
    told = []
    check_space(
        space(tiny, data={"size": 12, "batch_size": {"choice": [16, 8]}}),
        lambda done, total: told.append(done),
    )
    assert told == sorted(told)
    assert told[-1] == 128  # train and val of 160; the rest is the test split


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"batch_size": {"int": [16, 105]}}, "data.batch_size: 105 is more than the 104 images"),
        ({"per_class": {"choice": [8, 2]}}, "data.batch_size: 16 is more than the 8 images"),
    ],
)
def test_a_batch_must_fit_whatever_the_holes_are_filled_with(tiny, data, said):
    with pytest.raises(SpecError, match=said):
        check_space(space(tiny, data=data))


def test_a_batch_of_a_teachers_own_training_must_fit_too(tiny):
    nodes = {"n1": {"model": "resnet8", "batch_size": 105}}
    edges = {"label -> n0": {}, "n1 -> n0": {}}
    with pytest.raises(SpecError, match=r"nodes\.n1\.batch_size: 105 is more than the 104 images"):
        check_space(space(tiny, nodes=nodes, edges=edges))


def test_every_file_behind_a_named_source_is_opened(tiny, tmp_path):
    (tmp_path / "a.pth").write_bytes(b"nothing")
    files = {"mine": {"path": str(tmp_path / "a.pth")}}
    with pytest.raises(WeightsError, match=r"a\.pth"):
        check_space(
            space(
                tiny,
                sources=files,
                nodes={"n1": {"model": "resnet8", "source": {"choice": ["none", "mine"]}}},
            )
        )


@pytest.mark.parametrize(
    "field", ["name", "val_fraction", "test_fraction", "split_seed", "corrupt"]
)
def test_trials_must_be_validated_on_the_same_images(tiny, field):
    hole = {
        "name": {"choice": ["digits", "cifar10"]},
        "corrupt": {"choice": ["skip", "error"]},
    }.get(field, {"int": [0, 3]} if field == "split_seed" else {"uniform": [0.1, 0.3]})
    data = {field: hole} if field == "name" else {"path": str(tiny), field: hole}
    holed = parse_space(
        {"data": data, "nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    )
    with pytest.raises(
        SpecError,
        match=rf"^data\.{field}: .*could not be compared; allowed in data: holes for batch",
    ):
        check_data_holes(holed)


def test_each_hole_is_varied_by_every_option_and_every_pair_of_model_and_source(tiny):
    free = {"model": {"choice": ["resnet8", "resnet14"]}, "source": {"choice": ["none", "./a.pth"]}}
    one = space(tiny, train={"lr": {"log": [0.01, 0.1]}}, nodes={"n1": free})
    graphs = list(vary_each_hole(one))
    pairs = {(graph.nodes["n1"].model, graph.nodes["n1"].source) for graph in graphs}
    assert pairs == {
        (model, source) for model in ("resnet8", "resnet14") for source in ("none", "./a.pth")
    }
    assert {0.01, 0.1} <= {graph.train.lr for graph in graphs}
    assert {"through", "linear"} == {graph.edges["n1", "n0"].gate for graph in graphs}


def test_a_space_without_holes_is_one_graph():
    plain = {
        "data": {"name": "digits"},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {}},
    }
    assert len(list(vary_each_hole(parse_space(plain)))) == 1


def test_image_spec_forgets_only_what_concerns_batches():
    data = Data(name="digits", batch_size=7, augment="none", size=12)
    other = dataclasses.replace(data, batch_size=9, augment="basic")
    assert select_image_fields(data) == select_image_fields(other)
    assert select_image_fields(data) != select_image_fields(dataclasses.replace(data, size=16))


NODES = [
    (
        {"model": "resnet18", "model_args": {"depth": 3}},
        r"nodes\.n1\.model_args: resnet18 does not",
    ),
    ({"model": "resnet8", "model_args": {"drop_path": 1}}, r"nodes\.n1\.model_args: resnet8 does"),
    ({"model": "resnet18", "unfreeze_from": 99}, r"nodes\.n1\.unfreeze_from: 99 leaves nothing"),
    ({"model": "resnet8", "unfreeze_from": 99}, r"nodes\.n1\.unfreeze_from: 99 leaves nothing"),
    ({"model": "torchvision/alexnet"}, r"nodes\.n1\.input_size: torchvision/alexnet cannot take"),
    ({"model": "inception_v3", "input_size": 20}, r"nodes\.n1\.input_size: inception_v3 cannot"),
]


@pytest.mark.parametrize(("node", "said"), NODES)
@pytest.mark.parametrize("second", [False, True])
def test_networks_from_nothing_are_built_before_images_are_opened(tiny, node, said, second):
    good = {"model": "resnet20", "model_args": {}, "unfreeze_from": 0, "input_size": 224}
    field, value = list(node.items())[-1]
    hole = node | {field: {"choice": [good[field], value]}}
    graphs = vary_each_hole(space(tiny, nodes={"n1": hole if second else node}))
    with pytest.raises(SpecError, match=f"^{said}"):
        check_graphs(graphs, count_images)


def test_sizes_that_nobody_knows_yet_are_not_said_to_be_checked(tiny, tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8)).save(tmp_path / label / f"{number}.png")
    alexnet = {"nodes": {"n1": {"model": "torchvision/alexnet"}}}
    graphs = vary_each_hole(space(tmp_path, data={"batch_size": 2}, **alexnet))
    assert check_graphs(graphs, count_images) == {}
    said = describe_unchecked(vary_each_hole(space(tmp_path, data={"batch_size": 2}, **alexnet)))
    assert said.startswith("not checked before the images are opened: whether n1 can take images")
    for other in (
        space(tmp_path, data={"batch_size": 2}),
        space(tmp_path, data={"size": 64}, nodes={"n1": {"model": "resnet18"}}),
        space(tiny, nodes={"n1": {"model": "resnet18"}}),
    ):
        assert describe_unchecked(vary_each_hole(other)) is None
