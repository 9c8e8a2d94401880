"""Features of frozen backbones: the same results as without them, at the cost of one pass."""

import functools
from pathlib import Path

import pytest
import torch

from ktg.data import Batches, open_data
from ktg.data.augment import AUGMENTS
from ktg.errors import SpecError
from ktg.graph import Graph, parse
from ktg.models.network import split_forward
from ktg.training import Training
from ktg.training.frozen_features import FrozenFeatures
from ktg.training.randomness import derive_seed

pytestmark = pytest.mark.usefixtures("one_thread")
FROZEN = {"model": "resnet8", "frozen_epochs": 3}


def make(
    tiny: Path, nodes: dict | None = None, edges: dict | None = None, augment: str = "none", **train
) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 24, "augment": augment},
            "train": {"epochs": 4, "lr": 0.05, **train},
            "nodes": nodes or {"n0": FROZEN},
            "edges": edges or {"label -> any": {}},
        }
    )


def training_of(graph: Graph, cache: Path | None = None) -> Training:
    return Training(graph, open_data(graph.data), device="cpu", cache=cache)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Return a function that trains a graph with no room for features."""

    def train(graph: Graph, cache: Path | None = None) -> tuple[Training, list]:
        with monkeypatch.context() as patch:
            patch.setattr(
                "ktg.training.loop.FrozenFeatures",
                functools.partial(FrozenFeatures, memory_bytes=0),
            )
            training = training_of(graph, cache)
        return training, figures(training)

    return train


def figures(training: Training) -> list[dict[str, float]]:
    clocks = ("epoch_s", "images_per_s", "peak_memory_mib")
    return [
        {key: value for key, value in epoch.metrics().items() if key not in clocks}
        for epoch in training
    ]


def assert_same(one: Training, other: Training) -> None:
    for name, value in one.target.state_dict().items():
        assert torch.equal(value, other.target.state_dict()[name]), name


def images_seen(training: Training, node: str = "n0") -> list[int]:
    """Return a list to which each batch that goes through the node's backbone adds its size."""
    seen: list[int] = []
    training.trained_networks[node].body.conv1.register_forward_hook(
        lambda _m, inputs, _o: seen.append(len(inputs[0]))
    )
    return seen


MUTUAL = {"label -> any": {}, "any -> any": {}}


@pytest.mark.parametrize(
    ("nodes", "edges", "train"),
    [
        ({"n0": FROZEN}, None, {}),
        (
            {"n0": FROZEN | {"unfreeze_from": 3}},
            None,
            {"ema_decay": 0.9, "optimizer": "adamw", "clip_norm": 1.0},
        ),
        ({"n0": FROZEN | {"frozen_epochs": 4}}, None, {"precision": "bfloat16"}),
        (
            {"n0": FROZEN, "n1": {"model": "resnet8"}, "n2": FROZEN | {"frozen_epochs": 1}},
            MUTUAL,
            {},
        ),
        (
            {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            {"label -> n0": {}, "n1 -> n0": {}},
            {},
        ),  # teacher
    ],
)
def test_not_a_bit_is_other_than_without_features(tiny, without, tmp_path, nodes, edges, train):
    """On a CPU an image has the same bits wherever it lies in a batch of one size."""
    graph = make(tiny, nodes, edges, **train)
    kept = training_of(graph, tmp_path)
    got = figures(kept)
    plain, expected = without(graph, tmp_path)
    assert got == expected
    assert_same(kept, plain)


def test_the_frozen_phase_costs_one_pass(tiny):
    training = training_of(make(tiny))
    seen = images_seen(training)
    train, val = len(training.dataset.train), len(training.dataset.val)
    for _ in range(3):
        next(training)
    full = -(-train // 24) * 24  # so that every batch has the same size
    assert sum(seen) == full + val
    next(training)
    assert sum(seen) == full + val + train // 24 * 24 + val


def test_a_frozen_phase_resumed_in_its_middle_equals_an_uninterrupted_one(tiny):
    whole, half, resumed = (training_of(make(tiny)) for _ in range(3))
    expected = figures(whole)
    next(half)
    resumed.load_state_dict(half.state_dict())
    assert figures(resumed) == expected[1:]
    assert_same(resumed, whole)


def test_new_views_in_every_epoch_leave_validation_alone_to_be_computed_once(tiny, without):
    graph = make(tiny, augment="basic")
    training = training_of(graph)
    seen = images_seen(training)
    got = figures(training)
    train, val = len(training.dataset.train), len(training.dataset.val)
    assert sum(seen) == 4 * (train // 24 * 24) + 2 * val
    assert got == without(graph)[1]


def test_fixed_views_are_drawn_once_and_shown_in_turn(tiny):
    graph = make(tiny, {"n0": FROZEN | {"frozen_views": 2}}, augment="basic")
    training = training_of(graph)
    learner = training.learners["n0"]
    learner.begin_epoch(0)
    shown = [training._features.train(epoch, [0])["n0"][0] for epoch in range(3)]
    assert torch.equal(shown[0], shown[2])
    assert not torch.equal(shown[0], shown[1])
    for view in (0, 1):
        generator = torch.Generator().manual_seed(derive_seed(0, "view", view))
        rows = torch.arange(len(training.dataset.train)).split(24)
        pixels, _ = next(Batches(training.dataset.train, torch.device("cpu"))(rows))
        (expected,), _ = split_forward(learner.network, AUGMENTS["basic"](pixels, generator))
        torch.testing.assert_close(shown[view][:24], expected)


def test_with_fixed_views_the_frozen_phase_costs_a_pass_for_each(tiny):
    training = training_of(make(tiny, {"n0": FROZEN | {"frozen_views": 2}}, augment="basic"))
    seen = images_seen(training)
    for _ in range(3):
        next(training)
    assert sum(seen) == 2 * -(-len(training.dataset.train) // 24) * 24 + len(training.dataset.val)


def test_features_are_released_when_their_backbone_begins_to_learn(tiny):
    training = training_of(make(tiny))
    next(training)
    assert training._features._train and training._features._val
    list(training)
    assert not training._features._train and not training._features._val


def test_what_depends_on_chance_is_not_stored(tiny, without):
    nodes = {
        "n0": {
            "model": "resnet10t",
            "frozen_epochs": 1,
            "input_size": 32,
            "model_args": {"drop_rate": 0.5},
        }
    }
    graph = make(tiny, nodes, epochs=1)
    training = training_of(graph)
    assert figures(training) == without(graph)[1]
    assert not training._features._val


@pytest.mark.parametrize(
    ("node", "room", "problem"),
    [
        (
            {"model": "resnet10t", "input_size": 32, "model_args": {"drop_rate": 0.5}},
            {},
            "this model's features cannot be stored: "
            "they depend on chance, or it has no head of its own",
        ),
        (
            {"model": "resnet8"},
            {"memory_bytes": 2**14},
            "the features of 232 views need 0.1 MiB of memory; there is room for 0.0 MiB",
        ),
    ],
)
def test_views_that_cannot_be_stored_are_refused_where_the_user_wants_them(
    tiny, monkeypatch, node, room, problem
):
    graph = make(tiny, {"mine": {**node, "frozen_epochs": 1, "frozen_views": 2}}, augment="basic")
    monkeypatch.setattr(
        "ktg.training.loop.FrozenFeatures", functools.partial(FrozenFeatures, **room)
    )
    with pytest.raises(SpecError) as caught:
        training_of(graph)
    assert str(caught.value) == f"nodes.mine.frozen_views: {problem}"


def test_room_is_given_to_as_many_nodes_as_it_holds(tiny, monkeypatch):
    nodes = {name: {"model": "resnet8", "frozen_epochs": 1} for name in ("n0", "n1")}
    one = 4 * 64 * (len(open_data(make(tiny).data).train) + 32)
    monkeypatch.setattr(
        "ktg.training.loop.FrozenFeatures", functools.partial(FrozenFeatures, memory_bytes=one)
    )
    training = training_of(make(tiny, nodes))
    next(training)
    assert set(training._features._val) == {"n0"}
