from dataclasses import replace

import pytest

from ktg.data.open import summarize
from ktg.errors import SpecError, UserError
from ktg.graph import Data, Node, Train, dump, parse
from ktg.graph.recipes import FROM_NOTHING, PRETRAINED
from ktg.pretraining.presets import NAMES, PRESETS
from ktg.pretraining.recipe import build_recipe, change_recipe, check_one_node

FRACTALS = Data(name="fractaldb")


def test_the_published_recipe_of_fractaldb():
    graph = build_recipe(FRACTALS, "resnet18", "fractaldb1k")
    assert (graph.data.size, graph.nodes["n0"].input_size) == (362, 224)
    assert (graph.data.augment, graph.data.batch_size, graph.data.formula.classes) == (
        "crop",
        256,
        1000,
    )
    train = graph.train
    assert (train.epochs, train.lr, train.milestones, train.step_factor) == (90, 0.1, (30, 60), 0.1)
    assert (train.optimizer, train.momentum, train.nesterov, train.weight_decay) == (
        "sgd",
        0.9,
        False,
        1e-4,
    )
    assert build_recipe(FRACTALS, "resnet18") == graph
    assert sum(summarize(graph.data).counts["train"]) == 970_000


def test_the_published_recipe_of_source_models():
    graph = build_recipe(Data(name="cifar10"), "resnet18")
    assert graph.data.formula is None
    assert (graph.train.epochs, graph.train.lr, graph.train.milestones) == (
        30,
        0.01,
        (7, 14, 21, 28),
    )


@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize(
    "data", [FRACTALS, Data(name="svd"), Data(name="onep"), Data(name="digits")]
)
def test_every_preset_suits_every_kind_of_data(preset, data):
    graph = build_recipe(data, "resnet20", preset)
    assert parse(dump(graph)) == graph
    assert len(summarize(graph.data).classes) == (
        graph.data.formula.classes if graph.data.formula else 10
    )


def test_the_presets_are_the_vocabulary():
    assert set(PRESETS) == set(NAMES)


def test_pictures_are_as_large_as_the_network_likes():
    assert [
        build_recipe(FRACTALS, model, "tiny").data.size for model in ("resnet20", "mobilenetv2_035")
    ] == [32, 64]
    photos = Data(path="photos")
    assert [build_recipe(photos, model).data.size for model in ("resnet20", "mobilenetv2_035")] == [
        32,
        224,
    ]
    assert build_recipe(Data(path="photos", size=50), "resnet20").data.size == 50


def test_options_take_the_place_of_fields():
    formula = {"classes": 5, "scale": 0.1}
    graph = build_recipe(
        FRACTALS,
        "resnet8",
        "fractaldb60",
        size=112,
        source="none",
        formula=formula,
        epochs=9,
        seed=4,
        lr=1.0,
    )
    assert (graph.data.size, graph.nodes["n0"].input_size) == (181, 112)
    assert (graph.data.formula.classes, graph.data.formula.scale) == (5, 0.1)
    assert (graph.train.epochs, graph.train.milestones, graph.train.seed, graph.train.lr) == (
        9,
        (3, 6),
        4,
        1.0,
    )
    again = change_recipe(
        graph, model="resnet20", size=20, formula={"points": 9}, epochs=7, batch_size=3
    )
    assert (
        again.nodes["n0"].model,
        again.nodes["n0"].input_size,
        again.data.size,
        again.data.batch_size,
        again.train.epochs,
        again.train.milestones,
    ) == ("resnet20", 20, 32, 3, 7, (2, 4))
    assert (again.data.formula.points, again.data.formula.classes) == (9, 5)


@pytest.mark.parametrize(
    ("stored", "seen", "sizes"),
    [
        (32, None, (64, None)),
        (None, None, (64, None)),
        (362, 224, (103, 64)),
        (None, 32, (None, 64)),
    ],
)
def test_size_is_what_the_network_sees(stored, seen, sizes):
    node = {"model": "resnet20", "input_size": seen}
    graph = parse(
        {
            "data": {"name": "digits", "size": stored},
            "nodes": {"a": node},
            "edges": {"label -> a": {}},
        }
    )
    changed = change_recipe(graph, size=64)
    assert (changed.data.size, changed.nodes["a"].input_size) == sizes
    assert change_recipe(graph) == graph


def test_with_other_epochs_each_part_of_a_training_keeps_its_place():
    train = {"epochs": 200, "schedule": "step", "milestones": [60, 120, 180], "warmup_epochs": 4}
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {**train, "steps": 8000},
            "nodes": {"a": {"model": "resnet20"}},
            "edges": {"label -> a": {}},
        }
    )
    found = change_recipe(graph, epochs=50).train
    assert (found.epochs, found.milestones, found.warmup_epochs) == (50, (15, 30, 45), 1)
    assert found.steps == 2000
    untrained = replace(graph, train=Train(epochs=0))
    assert change_recipe(untrained, epochs=50).train == Train(epochs=50)


def test_an_option_takes_the_place_of_what_the_node_says_itself():
    node = {"model": "resnet20", "optimizer": "adam", "lr": 0.02, "weight_decay": 0.1}
    graph = parse({"data": {"name": "digits"}, "nodes": {"a": node}, "edges": {"label -> a": {}}})
    changed = change_recipe(graph, lr=0.5)
    assert (changed.nodes["a"].lr, changed.train.lr) == (None, 0.5)
    assert (changed.nodes["a"].optimizer, changed.nodes["a"].weight_decay) == ("adam", 0.1)


def test_what_cannot_be():
    with pytest.raises(
        SpecError, match=r"preset: 'tine' is not a preset; allowed: .*Did you mean 'tiny'"
    ):
        build_recipe(FRACTALS, "resnet8", "tine")
    with pytest.raises(UserError, match="--classes: is an option of pictures drawn by a formula"):
        build_recipe(Data(name="digits"), "resnet8", formula={"classes": 3})
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}}
    graph = parse({"data": {"name": "digits"}, "nodes": nodes, "edges": {"label -> any": {}}})
    with pytest.raises(
        SpecError, match="nodes: pretraining trains one network, and this graph has 2 nodes"
    ):
        check_one_node(graph)


def test_a_rate_that_is_asked_for_takes_the_place_of_the_recipe():
    nodes, edges = {"n0": {"model": "resnet20"}}, {"label -> n0": {}}
    graph = parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edges})
    assert graph.nodes["n0"].lr == FROM_NOTHING["lr"]
    changed = change_recipe(graph, lr=0.05, epochs=8)
    assert changed.nodes["n0"] == Node(model="resnet20")
    assert changed.train.lr == 0.05
    begun = change_recipe(graph, source="imagenet", model="resnet18").nodes["n0"]
    assert begun == Node(model="resnet18", source="imagenet", **PRETRAINED)
