"""The baselines are what their names say, and lie in the space where it has room for them."""

import pytest

from ktg.graph import parse_space
from ktg.graph.canonical import (
    canonical_key,
    independent_graph,
    live_nodes,
    open_edges,
    teachers,
)
from ktg.graph.recipes import FROM_FORMULA, PRETRAINED, find_recipe
from ktg.searching.baselines import baselines, can_distil_ensemble


def space(nodes: int | dict = 3, gates: tuple = ("through", "cutoff"), **extra):
    many = {"model": {"choice": ["resnet8", "resnet14"]}}
    return parse_space(
        {
            "data": {"name": "digits"},
            "nodes": {f"n{i}": many for i in range(nodes)} if isinstance(nodes, int) else nodes,
            "edges": {
                "label -> any": {"gate": {"choice": list(gates)}},
                "any -> any": {"gate": {"choice": list(gates)}},
            },
            **extra,
        }
    )


def test_alone_trains_the_target_and_nothing_else():
    graph = baselines(space())["alone"]
    assert live_nodes(graph) == ("n0",)
    assert list(open_edges(graph)) == [("label", "n0")]


def test_distillation_has_one_still_teacher():
    graph = baselines(space())["distillation"]
    assert live_nodes(graph) == ("n0", "n1")
    assert teachers(graph) == ("n1",)
    assert set(open_edges(graph)) == {("label", "n0"), ("n1", "n0")}


def test_in_mutual_learning_everyone_teaches_everyone():
    graph = baselines(space())["mutual learning"]
    assert len(open_edges(graph)) == 3 + 6
    assert {edge.gate for edge in open_edges(graph).values()} == {"through"}


def test_an_ensemble_is_compared_with_one_of_networks_that_do_not_know_each_other():
    found = baselines(space(target="ensemble"))
    assert list(found) == ["alone", "distillation", "mutual learning", "independent"]
    graph = found["independent"]
    assert set(open_edges(graph)) == {("label", f"n{i}") for i in range(3)}
    assert live_nodes(graph) == ("n0", "n1", "n2")
    assert live_nodes(found["alone"]) == ("n0",)
    assert "independent" not in baselines(space())


def test_a_space_of_one_node_has_one_baseline():
    assert list(baselines(space(nodes=1))) == ["alone"]


def test_models_are_the_defaults():
    graph = baselines(space())["mutual learning"]
    assert {node.model for node in graph.nodes.values()} == {"resnet8"}


@pytest.mark.parametrize(
    ("gates", "held"), [(("through", "cutoff"), True), (("linear", "correct"), False)]
)
def test_the_sampler_can_be_told_of_those_that_lie_in_the_space(gates, held):
    open_space = space(gates=gates)
    for name, graph in baselines(open_space).items():
        held = held and name != "distilled ensemble"  # whose copies are no nodes of the space
        assert (open_space.locate(graph) is not None) is held


def pretrained(source: object = "zoo/a", version: int = 2, **train):
    return parse_space(
        {
            "version": version,
            "data": {"name": "digits", "size": 32},
            "train": {"epochs": 6, "seed": 3, **train},
            "nodes": {
                "n0": {"model": "resnet8", "source": source},
                "n1": {"model": "resnet14", "source": "none"},
            },
            "edges": {"label -> any": {}, "n1 -> n0": {}},
        }
    )


def test_pretrained_weights_are_probed_and_fine_tuned_before_anything_else():
    found = baselines(pretrained(lr={"log": [0.01, 0.1]}))
    assert list(found)[:3] == ["probe", "head, then fine-tuning", "alone"]
    probe, tuned = found["probe"], found["head, then fine-tuning"]
    assert (probe.train.epochs, probe.nodes["n0"].head) == (0, "probe")
    assert (tuned.train.epochs, tuned.train.seed) == (6, 3)
    recipe = find_recipe({"model": "resnet8", "source": "zoo/a"}, {})
    assert {field: getattr(tuned.nodes["n0"], field) for field in recipe} == recipe
    assert {live_nodes(graph) for graph in (probe, tuned)} == {("n0",)}


def test_alone_is_head_then_fine_tuning_where_the_space_says_no_rate():
    assert list(baselines(pretrained()))[:2] == ["probe", "alone"]


def test_the_first_source_with_weights_is_probed_though_the_default_has_none():
    found = baselines(pretrained({"choice": ["none", "zoo/a", "zoo/b"]}))
    assert found["probe"].nodes["n0"].source == "zoo/a"
    assert found["head, then fine-tuning"].nodes["n0"].source == "zoo/a"
    assert found["alone"].nodes["n0"].source == "none"


@pytest.mark.parametrize("source", ["zoo/fractals", "zoo/a"])
def test_a_stored_search_of_version_2_keeps_the_baselines_that_it_had(source):
    plain = dict(pretrained(source, lr={"log": [0.01, 0.1]}).template)
    found = baselines(parse_space(plain | {"version": 2}))
    for name in ("probe", "head, then fine-tuning"):
        node = found[name].nodes["n0"]
        assert (node.lr, node.weight_decay) == (PRETRAINED["lr"], PRETRAINED["weight_decay"])
    new = baselines(parse_space(plain | {"version": 3}))["head, then fine-tuning"].nodes["n0"]
    assert new.lr == (FROM_FORMULA if source == "zoo/fractals" else PRETRAINED)["lr"]


def test_the_probe_is_run_at_each_size_that_the_target_may_see():
    plain = dict(pretrained().template)
    seen = {"model": "resnet8", "source": "zoo/a", "input_size": {"choice": [24, 28, 32]}}
    found = baselines(parse_space(plain | {"nodes": plain["nodes"] | {"n0": seen}}))
    probes = {name: graph for name, graph in found.items() if name.startswith("probe")}
    sizes = {name: graph.nodes["n0"].input_size for name, graph in probes.items()}
    assert sizes == {"probe": 24, "probe, 28 px": 28, "probe, 32 px": 32}
    assert {graph.train.epochs for graph in probes.values()} == {0}
    assert found["alone"].nodes["n0"].input_size == 24


@pytest.mark.parametrize("lacking", [pretrained("none"), pretrained(version=1)])
def test_without_weights_and_in_version_1_there_is_no_probe(lacking):
    ensemble = ["distilled ensemble"] * (lacking.version > 1)
    assert list(baselines(lacking)) == ["alone", "distillation", "mutual learning", *ensemble]


def test_an_ensemble_of_copies_of_the_teacher_is_distilled_as_one_teacher_is():
    found = baselines(space())
    graph, one = found["distilled ensemble"], found["distillation"]
    assert graph.train.aggregate == "mean"
    assert teachers(graph) == ("n1", "n1_copy1", "n1_copy2")
    assert open_edges(graph).keys() == {
        ("label", "n0"),
        *((name, "n0") for name in teachers(graph)),
    }
    edges = {open_edges(graph)[name, "n0"] for name in teachers(graph)}
    assert edges == {open_edges(one)["n1", "n0"]}
    trained = [canonical_key(independent_graph(graph, name)) for name in teachers(graph)]
    assert len(set(trained)) == 3
    assert trained[0] == canonical_key(independent_graph(one, "n1"))  # made once for both


@pytest.mark.parametrize(
    "lacking",
    [
        space(nodes=1),
        space(target="ensemble"),
        space(search={"trials": 23}),
        space(version=1),
        space(
            edges={"label -> n0": {}, "n1 -> n0": {"gate": {"choice": ["through", "linear"]}}},
            nodes={"n0": {"model": "resnet8"}, "n1": {"model": "resnet14", "epochs": 0}},
        ),
    ],
    ids=["one node", "an ensemble", "few trials", "version 1", "a teacher that is not trained"],
)
def test_where_an_ensemble_would_cost_too_much_or_be_none_it_is_left_out(lacking):
    assert "distilled ensemble" not in baselines(lacking)
    assert can_distil_ensemble(lacking) is (lacking.search.most_trials == 23)


def judged(**edge):
    """A space whose target's labels another network may judge."""
    return parse_space(
        {
            "data": {"name": "digits"},
            "nodes": {
                "n0": {"model": "resnet8", "source": "zoo/a"},
                "n1": {"model": "resnet20", "source": "zoo/b", "epochs": 0},
            },
            "edges": {"label -> n0": {"noise": 0.3, "peer": "n1", "over": "kept", **edge}},
            "search": {"trials": 4},
        }
    )


@pytest.mark.parametrize("gate", [{"choice": ["through", "small_loss"]}, "small_loss"])
def test_where_another_node_judges_labels_the_target_is_tried_without_the_suspicious(gate):
    loss = {"choice": ["ce", "gce"]}
    found = baselines(judged(gate=gate, loss=loss))
    assert [*found][:2] == ["probe", "probe with cleaned labels"]
    for name in ("probe with cleaned labels", "alone without the suspicious"):
        graph = found[name]
        assert {*graph.nodes} == {"n0", "n1"}
        assert {*graph.edges} == {("label", "n0")}
        edge = graph.edges["label", "n0"]
        assert (edge.gate, edge.peer, edge.noise) == ("small_loss", "n1", 0.3)
    keys = {canonical_key(graph) for graph in found.values()}
    assert len(keys) == len({*found})
    assert found["probe with cleaned labels"].train.epochs == 0
    assert found["probe with cleaned labels"].nodes["n0"].head == "probe"


@pytest.mark.parametrize("edge", [{"gate": {"choice": ["through", "linear"]}}, {"peer": None}])
def test_without_a_judge_there_are_no_such_baselines(edge):
    holes = {"gate": {"choice": ["through", "small_loss"]}, **edge}
    found = baselines(
        judged(
            **{key: value for key, value in holes.items() if value}
            | ({"peer": "n0"} if "peer" in edge else {})
        )
    )
    assert not {"probe with cleaned labels", "alone without the suspicious"} & {*found}


def test_a_node_that_is_a_probe_does_not_learn_mutually():
    plain = dict(pretrained().template)
    nodes = plain["nodes"] | {"n2": {"model": "resnet8", "source": "zoo/b", "epochs": 0}}
    edges = {"label -> any": {}, "any -> any": {}}
    given = plain | {"nodes": nodes, "edges": edges}
    found = baselines(parse_space(given))["mutual learning"]
    names = [name for name in found.nodes if name != "n2"]
    open_pairs = {pair for pair, edge in found.edges.items() if edge.gate != "cutoff"}
    learning = {(s, t) for s in ("label", *names) for t in names if s != t}
    assert open_pairs == learning
    alone = {"n0": nodes["n0"], "n2": nodes["n2"]}
    assert "mutual learning" not in baselines(parse_space(given | {"nodes": alone}))
