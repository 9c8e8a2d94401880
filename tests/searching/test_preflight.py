"""What is found before a search, and what a search may not choose among."""

import dataclasses
from pathlib import Path

import pytest

from ktg.errors import SpecError, WeightsError
from ktg.graph import Data, SearchSpace, parse_space
from ktg.searching.preflight import (
    check_data_holes,
    check_space,
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
