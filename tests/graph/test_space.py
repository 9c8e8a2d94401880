from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import SpecError
from ktg.graph import Choice, Edge, dump, parse, parse_space
from ktg.graph.canonical import canonical_key

FREE = {"model": {"choice": ["resnet32", "resnet110"]}, "source": {"choice": ["none", "imagenet"]}}
RAW = {
    "data": {"name": "cifar100"},
    "train": {"epochs": 20, "lr": {"log": [0.001, 0.1]}, "warmup_epochs": {"int": [0, 4]}},
    "nodes": {
        "n0": {"model": "resnet32", "frozen_epochs": {"int": [0, 5]}},
        "n1": FREE,
        "n2": {"choice": [{"model": "resnet8"}, {"model": "resnet20", "lr": 0.3}]},
    },
    "edges": {
        "label -> any": {"gate": {"choice": ["through", "cutoff", "linear"]}},
        "any -> any": {
            "gate": {"choice": ["through", "cutoff", "linear", "correct"]},
            "weight": {"uniform": [0.5, 2]},
        },
        "n2 -> n1": {"choice": [{"gate": "cutoff"}, {"gate": "linear", "temperature": 4}]},
        "label -> n0": {},
    },
}
SPACE = parse_space(RAW)
ENSEMBLE = parse_space(RAW | {"target": "ensemble"})


@st.composite
def values_of(draw, space):
    """Values for every hole, as a sampler might draw them."""
    return {path: draw(value_of(hole)) for path, hole in space.holes.items()}


def value_of(hole):
    """Values that one hole allows."""
    if isinstance(hole, Choice):
        return st.sampled_from(hole.options)
    return (st.integers if hole.word == "int" else st.floats)(hole.low, hole.high)


def test_holes_are_named_by_dotted_paths_in_the_order_of_the_file():
    assert list(SPACE.holes)[:8] == [
        "train.lr",
        "train.warmup_epochs",
        "nodes.n0.frozen_epochs",
        "nodes.n1.model",
        "nodes.n1.source",
        "nodes.n2",
        "edges.n1.n0.gate",
        "edges.n1.n0.weight",
    ]
    assert "edges.n2.n1" in SPACE.holes
    assert "edges.label.n0.gate" not in SPACE.holes
    assert list(SPACE.places) == list(SPACE.holes)


def test_default_is_the_first_option_and_the_middle():
    default = SPACE.default()
    assert default["train.lr"] == 0.01
    assert default["train.warmup_epochs"] == 2
    assert default["nodes.n2"] == {"model": "resnet8"}
    graph = SPACE.bind(default)
    assert graph.train.lr == 0.01
    assert graph.nodes["n2"].model == "resnet8"


@given(values_of(SPACE))
def test_bound_values_stand_where_the_paths_say(values):
    graph = SPACE.bind(values)
    assert graph.train.lr == values["train.lr"]
    assert graph.nodes["n1"].model == values["nodes.n1.model"]
    assert graph.edges["n0", "n2"].gate == values["edges.n0.n2.gate"]
    assert graph.edges["n2", "n1"].gate == values["edges.n2.n1"]["gate"]
    assert parse(dump(graph)) == graph


@pytest.mark.slow
@given(values_of(SPACE))
def test_locate_finds_what_was_bound(values):
    assert SPACE.locate(SPACE.bind(values)) == values


@pytest.mark.parametrize("space", [SPACE, ENSEMBLE], ids=["one target", "ensemble"])
@given(data=st.data())
def test_a_hole_that_does_not_act_changes_nothing(space, data):
    values = data.draw(values_of(space))
    graph = space.bind(values)
    idle = sorted(space.holes.keys() - space.find_acting(graph))
    other = values | {path: data.draw(value_of(space.holes[path])) for path in idle}
    assert canonical_key(space.bind(other)) == canonical_key(graph)


def test_a_hole_for_a_whole_section_acts():
    options = [{"epochs": 2, "lr": 0.1}, {"epochs": 3, "lr": 0.1}]
    edges = {"label -> n0": {}, "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}}}
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}}
    space = parse_space(RAW | {"train": {"choice": options}, "nodes": nodes, "edges": edges})
    assert "train" in space.find_acting(space.bind(space.default()))


def test_a_gate_acts_where_it_ends_at_a_node_that_counts_open_or_not():
    edges = {
        "label -> any": {},
        "n1 -> n0": {"gate": {"choice": ["cutoff", "through"]}, "weight": {"log": [0.1, 1]}},
        "n2 -> n1": {"gate": {"choice": ["cutoff", "through"]}},
    }
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8", "lr": {"log": [0.01, 0.1]}}}
    space = parse_space(RAW | {"edges": edges, "nodes": {**nodes, "n2": {"model": "resnet8"}}})
    shut = space.default()
    first, weight, lr = "edges.n1.n0.gate", "edges.n1.n0.weight", "nodes.n1.lr"
    own = set(shut) - {first, weight, lr, "edges.n2.n1.gate"}
    assert space.find_acting(space.bind(shut)) == own | {first}
    assert space.find_acting(space.bind(shut | {first: "through"})) == set(shut)


@pytest.mark.slow
@given(values_of(SPACE))
def test_locate_takes_a_missing_edge_for_a_cut_one(values):
    graph = SPACE.bind(values)
    open_only = replace(
        graph, edges={pair: edge for pair, edge in graph.edges.items() if edge.gate != "cutoff"}
    )
    found = SPACE.locate(open_only)
    assert found is not None
    assert canonical_key(SPACE.bind(found)) == canonical_key(graph)


def test_locate_a_graph_with_fewer_nodes():
    graph = SPACE.bind(SPACE.default())
    alone = replace(
        graph, nodes={"n0": graph.nodes["n0"]}, edges={("label", "n0"): graph.edges["label", "n0"]}
    )
    found = SPACE.locate(alone)
    assert found["edges.n1.n0.gate"] == found["edges.n2.n0.gate"] == "cutoff"
    assert canonical_key(SPACE.bind(found)) == canonical_key(alone)


def test_locate_a_number_that_is_whole_in_a_float_field():
    space = parse_space(
        RAW | {"edges": {"label -> n0": {}, "n1 -> n0": {"temperature": {"int": [1, 8]}}}}
    )
    values = space.default() | {"edges.n1.n0.temperature": 3}
    assert space.locate(space.bind(values)) == values


@pytest.mark.parametrize(
    "change",
    [
        lambda g: replace(g, train=replace(g.train, epochs=30)),
        lambda g: replace(g, train=replace(g.train, lr=3.0)),
        lambda g: replace(g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], model="resnet56")}),
        lambda g: replace(g, edges={**g.edges, ("n1", "n0"): Edge(loss="kl", gate="inverse")}),
        lambda g: replace(g, nodes={name: g.nodes[name] for name in ("n1", "n0", "n2")}),
    ],
)
def test_locate_returns_none_outside_the_space(change):
    assert SPACE.locate(change(SPACE.bind(SPACE.default()))) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train.lr": 1.0}, "train.lr: 1.0 is not in {log: [0.001, 0.1]}"),
        (
            {"nodes.n1.model": "x"},
            "nodes.n1.model: 'x' is not in {choice: ['resnet32', 'resnet110']}",
        ),
        (
            {"nodes.n1.modle": "x"},
            "nodes.n1.modle: this space has no such hole. Did you mean 'nodes.n1.model'?",
        ),
    ],
)
def test_bind_refuses_other_values(change, message):
    with pytest.raises(SpecError) as caught:
        SPACE.bind(SPACE.default() | change)
    assert str(caught.value) == message


def test_bind_needs_every_value():
    with pytest.raises(SpecError, match=r"train\.lr: no value is given for this hole"):
        SPACE.bind({})


def test_bind_refuses_what_only_the_combination_breaks():
    train = {"epochs": {"choice": [12, 6]}, "warmup_epochs": {"choice": [0, 6, 12]}}
    space = parse_space(RAW | {"train": train, "edges": {"label -> n0": {}}})
    with pytest.raises(
        SpecError, match=r"train\.warmup_epochs: 12 is more than train\.epochs \(6\)"
    ):
        space.bind(space.default() | {"train.epochs": 6, "train.warmup_epochs": 12})


def test_bind_leaves_the_space_alone():
    before = repr(SPACE)
    SPACE.bind(SPACE.default())
    assert repr(SPACE) == before


def test_size():
    assert SPACE.size() is None
    finite = parse_space(
        RAW | {"train": {"epochs": {"int": [11, 20]}}, "edges": {"label -> n0": {}}}
    )
    assert finite.size() == 10 * 6 * 2 * 2 * 2
    assert (
        parse_space(
            RAW | {"train": {}, "nodes": {"n0": {"model": "a"}}, "edges": {"label -> n0": {}}}
        ).size()
        == 1
    )
