import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import disguises, graphs, small_graphs

from ktg.errors import SpecError
from ktg.graph import LABEL, Data, Edge, Graph, Node, SourceFile, dump, parse
from ktg.graph.canonical import (
    COPY_SEED,
    canonical_key,
    canonical_order,
    canonicalise,
    canonicalise_with_names,
    check_trainable,
    independent_graph,
    live_nodes,
    open_edges,
    seedless_key,
    teachers,
    with_fold,
    with_seed,
)

CUT, THROUGH, LINEAR, CORRECT = "", "t", "l", "c"


def graph_of(edges, nodes=("n0", "n1", "n2"), **sections):
    """A graph of equal nodes from {"n1 -> n0": gate}."""
    raw = {
        "version": 1,  # without recipes
        "data": {"name": "digits"},
        "nodes": {name: {"model": "resnet8"} for name in nodes},
        "edges": {name: {"gate": gate} for name, gate in edges.items()},
    }
    return parse(raw | sections)


def test_live_nodes_reach_the_target_along_open_edges():
    graph = graph_of(
        {"n2 -> n1": "linear", "n1 -> n0": "through", "n0 -> n3": "through"},
        ("n0", "n1", "n2", "n3"),
    )
    assert live_nodes(graph) == ("n0", "n1", "n2")
    assert teachers(graph) == ("n2",)
    cut = graph_of({"n2 -> n1": "linear", "n1 -> n0": "cutoff", "label -> n0": "through"})
    assert live_nodes(cut) == ("n0",)
    assert teachers(cut) == ()
    assert list(open_edges(cut)) == [(LABEL, "n0"), ("n2", "n1")]


def test_a_label_edge_makes_a_node_no_teacher():
    graph = graph_of(
        {
            "n1 -> n0": "through",
            "n2 -> n0": "through",
            "label -> n2": "linear",
            "label -> n1": "cutoff",
        }
    )
    assert teachers(graph) == ("n1",)


@pytest.mark.parametrize(
    "edges", [{}, {"label -> n0": "cutoff", "n1 -> n0": "cutoff", "label -> n1": "through"}]
)
def test_an_untaught_target_is_refused(edges):
    with pytest.raises(SpecError, match="edges: nothing teaches the target 'n0'"):
        check_trainable(graph_of(edges))


@pytest.mark.parametrize("edge", ["label -> n0", "n1 -> n0"])
def test_one_open_edge_teaches_the_target(edge):
    check_trainable(graph_of({edge: "linear"}))


def test_an_ensemble_has_every_node_that_an_open_edge_touches():
    edges = {
        "label -> n0": "through",
        "label -> n1": "linear",
        "n2 -> n1": "through",
        "n3 -> n1": "cutoff",
    }
    graph = replace(graph_of(edges, ("n0", "n1", "n2", "n3")), ensemble=True)
    assert live_nodes(graph) == ("n0", "n1", "n2")
    assert teachers(graph) == ("n2",)
    assert live_nodes(replace(graph, ensemble=False)) == ("n0",)
    check_trainable(replace(graph, nodes={name: graph.nodes[name] for name in ("n2", "n1", "n0")}))
    with pytest.raises(SpecError, match="nothing teaches the target 'n3'"):
        check_trainable(
            replace(graph, nodes={name: graph.nodes[name] for name in ("n3", "n2", "n1", "n0")})
        )


@pytest.mark.slow
@given(st.data(), graphs())
def test_no_node_of_an_ensemble_is_more_than_another(data, graph):
    graph = replace(graph, ensemble=True)
    assume(live_nodes(graph))
    order = data.draw(st.permutations(list(graph.nodes)))
    assert canonical_key(
        replace(graph, nodes={name: graph.nodes[name] for name in order})
    ) == canonical_key(graph)
    form, names = canonicalise_with_names(graph)
    assert canonicalise(form) == form == parse(dump(form))
    assert set(names) == set(live_nodes(graph))
    assert {names[name] for name in teachers(graph)} >= set(teachers(form))
    assert form.ensemble == (len(form.nodes) > 1)
    assert (canonical_key(graph) == canonical_key(replace(graph, ensemble=False))) == (
        not form.ensemble and live_nodes(graph) == (graph.target,)
    )


@pytest.mark.slow
@given(st.data(), graphs())
def test_disguises_have_the_same_key(data, graph):
    assert canonical_key(data.draw(disguises(graph))) == canonical_key(graph)


@pytest.mark.slow
@given(graphs())
def test_canonical_form_is_a_graph_of_its_own_form(graph):
    form, names = canonicalise_with_names(graph)
    assert canonicalise(form) == form
    assert list(form.nodes) == [f"n{i}" for i in range(len(form.nodes))]
    assert list(form.nodes) == list(canonicalise(form).nodes)
    assert parse(dump(form)) == form
    assert tuple(names) and set(names) == set(live_nodes(graph))
    assert names[graph.target] == form.target == "n0"
    assert {names[name] for name in teachers(graph)} == set(teachers(form))
    assert all(form.nodes[names[name]] == graph.nodes[name] for name in names)
    assert not form.provenance
    assert "cutoff" not in {edge.gate for edge in form.edges.values()}


def trained(graph):
    """Return naively what a small graph trains: models of live nodes, and open edges among them."""
    gates = {pair: edge.gate for pair, edge in graph.edges.items() if edge.gate != "cutoff"}
    gates = {(s, t): "through" if s == LABEL else gate for (s, t), gate in gates.items()}
    alive = {graph.target}
    for _ in graph.nodes:
        alive |= {s for s, t in gates if t in alive and s != LABEL}
    models = {name: graph.nodes[name].model for name in alive}
    return models, {pair: gate for pair, gate in gates.items() if pair[1] in alive}


def same_training(a, b):
    """Return whether renaming the auxiliary nodes can turn one graph into the other, by trying."""
    (models_a, gates_a), (models_b, gates_b) = trained(a), trained(b)
    if len(models_a) != len(models_b):
        return False
    others_a, others_b = sorted(set(models_a) - {a.target}), sorted(set(models_b) - {b.target})
    for order in itertools.permutations(others_b):
        rename = dict(zip(others_a, order, strict=True)) | {a.target: b.target, LABEL: LABEL}
        if {rename[n]: model for n, model in models_a.items()} == models_b and {
            (rename[s], rename[t]): gate for (s, t), gate in gates_a.items()
        } == gates_b:
            return True
    return False


@given(small_graphs(3), small_graphs(3))
def test_keys_are_equal_exactly_when_trainings_are(a, b):
    assert (canonical_key(a) == canonical_key(b)) == same_training(a, b)


@pytest.mark.slow
@given(st.data(), small_graphs())
def test_one_changed_gate_is_seen_exactly_when_it_matters(data, graph):
    assume(graph.edges)
    pair = data.draw(st.sampled_from(sorted(graph.edges)))
    gate = data.draw(st.sampled_from(["cutoff", "through", "correct"]))
    other = replace(graph, edges={**graph.edges, pair: replace(graph.edges[pair], gate=gate)})
    disguise = data.draw(disguises(other))
    assert (canonical_key(graph) == canonical_key(disguise)) == same_training(graph, other)


SEEN = {
    "a node's field": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], frozen_epochs=1)}
    ),
    "what is unfrozen": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], unfreeze_from=1)}
    ),
    "a node's views": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], augment="none")}
    ),
    "what thaws when": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], unfreeze_every=1)}
    ),
    "layer decay": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], layer_decay=0.5)}
    ),
    "the target's field": lambda g: replace(
        g, nodes={**g.nodes, "n0": replace(g.nodes["n0"], lr=0.3)}
    ),
    "model arguments": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], model_args={"a": 1})}
    ),
    "temperature between nodes": lambda g: changed_edge(g, ("n1", "n0"), temperature=2.0),
    "loss": lambda g: changed_edge(g, ("n1", "n0"), loss="js"),
    "weight": lambda g: changed_edge(g, (LABEL, "n0"), weight=2.0),
    "over at gate correct": lambda g: changed_edge(g, ("n1", "n0"), gate="correct", over="kept"),
    "a learned weight": lambda g: changed_edge(g, ("n1", "n0"), weight="learned"),
    "beta of dkd": lambda g: changed_edge(g, ("n2", "n0"), beta=2.0),
    "aggregate of two teachers": lambda g: replace(g, train=replace(g.train, aggregate="mean")),
    "seed": lambda g: replace(g, train=replace(g.train, seed=1)),
    "data": lambda g: replace(g, data=Data(name="cifar100")),
    "file of a source": lambda g: replace(g, sources={"s": SourceFile(path="/b")}),
    "the target": lambda g: replace(g, nodes={name: g.nodes[name] for name in ("n1", "n0", "n2")}),
}
UNSEEN = {
    "temperature of cross-entropy": lambda g: changed_edge(g, (LABEL, "n0"), temperature=2.0),
    "correct from the label": lambda g: changed_edge(g, (LABEL, "n0"), gate="correct", over="kept"),
    "over at other gates": lambda g: changed_edge(g, ("n1", "n0"), over="kept"),
    "beta of kl": lambda g: changed_edge(g, ("n1", "n0"), beta=2.0, alpha=0.5),
    "distances of kl": lambda g: changed_edge(g, ("n1", "n0"), distance="/words.txt"),
    "maps of kl": lambda g: changed_edge(g, ("n1", "n0"), maps=2),
    "the views of the data": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], augment="basic")}
    ),
    "everything unfrozen": lambda g: replace(
        g, nodes={**g.nodes, "n1": replace(g.nodes["n1"], unfreeze_from=0)}
    ),
    "provenance": lambda g: replace(g, provenance={"run": "abc"}),
    "unused sources": lambda g: replace(g, sources={**g.sources, "t": SourceFile(path="/b")}),
    "origin of a source": lambda g: replace(
        g, sources={"s": SourceFile(path="/a", origin="the web")}
    ),
}


def changed_edge(graph, pair, **fields):
    return replace(graph, edges={**graph.edges, pair: replace(graph.edges[pair], **fields)})


@pytest.mark.parametrize("what", SEEN | UNSEEN)
def test_fields_count_where_they_do_something(what):
    edges = {
        "label -> n0": "through",
        "n1 -> n0": "through",
        "n2 -> n0": "linear",
        "label -> n1": "through",
    }
    graph = graph_of(edges, sources={"s": {"path": "/a"}})
    graph = replace(graph, nodes={**graph.nodes, "n0": replace(graph.nodes["n0"], source="s")})
    graph = changed_edge(graph, ("n2", "n0"), loss="dkd")
    assert (canonical_key((SEEN | UNSEEN)[what](graph)) == canonical_key(graph)) == (what in UNSEEN)


@pytest.mark.parametrize(
    ("loss", "used"),
    [
        ("kl", {"temperature"}),
        ("js", {"temperature"}),
        ("dkd", {"temperature", "alpha", "beta"}),
        ("emd", {"temperature", "distance"}),
        ("attention", {"maps"}),
        ("feature", {"maps"}),
    ],
)
def test_a_field_of_an_edge_counts_where_its_loss_reads_it(loss, used):
    graph = changed_edge(
        graph_of({"label -> n0": "through", "n1 -> n0": "through"}), ("n1", "n0"), loss=loss
    )
    other = {"temperature": 2.0, "alpha": 0.5, "beta": 2.0, "distance": "/words.txt", "maps": 2}
    seen = {
        name
        for name, value in other.items()
        if canonical_key(changed_edge(graph, ("n1", "n0"), **{name: value})) != canonical_key(graph)
    }
    assert seen == used


def test_a_node_taught_by_maps_alone_is_refused_where_it_is_live():
    edges = {"label -> n0": "through", "n1 -> n0": "through", "n2 -> n1": "through"}
    graph = changed_edge(graph_of(edges), ("n2", "n1"), loss="attention")
    with pytest.raises(
        SpecError,
        match=r"edges\.n2\.n1\.loss: attention compares features, and nothing else teaches 'n1'",
    ):
        check_trainable(graph)
    check_trainable(changed_edge(graph, ("n1", "n0"), gate="cutoff"))  # n1 is not live
    check_trainable(graph_of({**edges, "label -> n1": "linear"}))
    with pytest.raises(SpecError, match="nothing else teaches 'n0'"):
        check_trainable(
            changed_edge(graph_of({"n1 -> n0": "through"}), ("n1", "n0"), loss="feature")
        )


# As they were before edges had losses other than kl and js: what trained then must be found again.
KEYS = {
    "alone": "45de8c4d031b168fca050e5d11400a2047145aea25f7153b39de82b0678c0517",
    "all": "58dfe9967541fbfb6cc692de72ff945f2eb76588fdaf70f0dfe8e30267918eb3",
}


def test_keys_stay_what_they_were():
    alone = graph_of({"label -> n0": "through"}, ("n0",))
    gates = {"label -> any": "through", "any -> any": "linear", "n2 -> n0": "correct"}
    together = graph_of(gates, train={"aggregate": "mean", "lr": 0.05})
    together = changed_edge(
        together, ("n2", "n0"), loss="js", temperature=4.0, weight=0.5, over="kept"
    )
    assert {"alone": canonical_key(alone), "all": canonical_key(together)} == KEYS


def test_a_file_that_stands_for_imagenet_counts_where_a_live_node_starts_from_it():
    graph = graph_of({"label -> n0": "through"}, ("n0",))

    def form(source, model="resnet8", **file):
        node = replace(graph.nodes["n0"], source=source)
        return canonical_key(
            replace(
                graph, nodes={"n0": node}, weights={model: SourceFile(**{"path": "a.pth", **file})}
            )
        )

    plain = canonical_key(
        replace(graph, nodes={"n0": replace(graph.nodes["n0"], source="imagenet")})
    )
    assert form("none") == canonical_key(graph)
    assert form("imagenet", "resnet20") == plain
    assert (
        len(
            {plain, form("imagenet"), form("imagenet", path="b.pth"), form("imagenet", mean=(0.5,))}
        )
        == 4
    )
    assert form("imagenet", origin="a friend") == form("imagenet")


def test_how_a_backbone_thaws_does_nothing_where_it_never_does():
    graph = graph_of({"label -> n0": "through"}, ("n0",), train={"epochs": 3})
    frozen = replace(graph.nodes["n0"], frozen_epochs=3)
    ways = (
        {},
        {"unfreeze_every": 1},
        {"unfreeze_from": 2},
        {"backbone_lr_scale": 0.1},
        {"layer_decay": 0.5},
    )
    frozen, ways = replace(frozen, source="imagenet"), (*ways, {"frozen_norm": True})
    assert (
        len(
            {
                canonical_key(replace(graph, nodes={"n0": replace(frozen, **fields)}))
                for fields in ways
            }
        )
        == 1
    )
    thawing = replace(frozen, frozen_epochs=2)
    assert len(
        {canonical_key(replace(graph, nodes={"n0": replace(thawing, **fields)})) for fields in ways}
    ) == len(ways)


def test_statistics_that_came_with_no_weights_cannot_be_kept():
    graph = graph_of({"label -> n0": "through"}, ("n0",))
    kept = replace(graph, nodes={"n0": replace(graph.nodes["n0"], frozen_norm=True)})
    assert canonical_key(kept) == canonical_key(graph)


def test_fixed_views_count_only_while_something_is_frozen_and_augmented():
    graph = graph_of({"label -> n0": "through"}, ("n0",))

    def same(augment, **fields):
        data, node = Data(name="digits", augment=augment), replace(graph.nodes["n0"], **fields)
        one = replace(graph, data=data, nodes={"n0": node})
        return canonical_key(one) == canonical_key(
            replace(one, nodes={"n0": replace(node, frozen_views=2)})
        )

    assert same("basic") and same("none", frozen_epochs=2)
    assert not same("basic", frozen_epochs=2) and not same("basic", unfreeze_from=4)


def test_what_is_mixed_are_basic_views():
    graph = graph_of(
        {"label -> n0": "through"}, ("n0",), data={"name": "digits", "augment": "cutmix_or_mixup"}
    )
    basic, none = (
        replace(graph, nodes={"n0": Node(model="resnet8", augment=view)})
        for view in ("basic", "none")
    )
    assert canonical_key(basic) == canonical_key(graph) != canonical_key(none)


def test_aggregate_of_one_teacher_does_nothing():
    one = graph_of(
        {
            "label -> n0": "through",
            "n1 -> n0": "through",
            "n0 -> n1": "through",
            "n2 -> n0": "cutoff",
        }
    )
    assert canonical_key(replace(one, train=replace(one.train, aggregate="mean"))) == canonical_key(
        one
    )


def test_key_is_stable_between_versions_and_processes():
    graph = graph_of({"label -> n0": "through"}, ("n0",))
    assert (
        canonical_key(graph) == "45de8c4d031b168fca050e5d11400a2047145aea25f7153b39de82b0678c0517"
    )


@pytest.mark.slow
@given(graphs())
def test_solo_trains_the_node_from_the_labels(graph):
    for name, node in graph.nodes.items():
        alone = independent_graph(graph, name)
        # What the node says of its training stands in `train`.
        own = {key: value for key, value in vars(node).items() if key in vars(graph.train)}
        said = {key: value for key, value in own.items() if value is not None}
        assert dict(alone.nodes) == {"n0": replace(node, **dict.fromkeys(said))}
        assert dict(alone.edges) == {(LABEL, "n0"): Edge(loss="ce")}
        assert alone.data == graph.data
        train = replace(graph.train, aggregate=alone.train.aggregate)
        assert alone.train == replace(train, **said)
        assert set(alone.sources) == {node.source} & set(graph.sources)
        check_trainable(alone)
        assert parse(dump(alone)) == alone


@pytest.mark.parametrize(
    ("node", "shared"),
    [
        ({"source": "imagenet", "epochs": 0, "head": "probe"}, True),
        ({"source": "imagenet", "epochs": 1, "head": "probe"}, False),
        ({"source": "imagenet", "epochs": 0, "head": "new"}, False),
        ({"source": "none", "epochs": 0, "head": "probe"}, False),
    ],
)
def test_all_seeds_share_a_teacher_that_draws_nothing(node, shared):
    teacher = {"model": "mobilenetv2_100", **node}
    graph = parse(
        {
            "data": {"name": "digits"},
            "nodes": {"n0": {"model": "resnet8"}, "n1": teacher},
            "edges": {"label -> n0": {}, "n1 -> n0": {}},
        }
    )
    one, other = (independent_graph(with_seed(graph, seed), "n1") for seed in (0, 7))
    assert (one == other) == shared


def test_copies_of_a_teacher_differ_in_their_seed_alone_and_those_of_a_learner_are_one():
    taught = {"label -> n0": {}, "n1 -> n0": {}, "n2 -> n0": {}}
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet14", "epochs": 3}}
    nodes["n2"] = nodes["n1"] | {"copy": 1}
    plain = {"data": {"name": "digits"}, "train": {"seed": 4, "epochs": 9}, "nodes": nodes}
    graph = parse({**plain, "edges": taught})
    one, other = (independent_graph(graph, name) for name in ("n1", "n2"))
    assert (one.train.seed, other.train.seed) == (4, 4 + COPY_SEED)
    assert with_seed(other, 4) == one
    assert len(canonicalise(graph).nodes) == 3
    learning = {"label -> any": {}, "n1 -> n0": {}, "n2 -> n0": {}}
    alike = {**nodes, "n2": nodes["n1"]}
    assert canonical_key(parse({**plain, "edges": learning})) == canonical_key(
        parse({**plain, "nodes": alike, "edges": learning})
    )
    assert canonical_key(graph) != canonical_key(parse({**plain, "nodes": alike, "edges": taught}))


def three_nodes(label_gates):
    """Yield the live part of every graph of 3 equal nodes whose target learns: (label, edges)."""
    for a, b, c, d, e, f in itertools.product((CUT, THROUGH, LINEAR, CORRECT), repeat=6):
        matrix = ((CUT, a, b), (c, CUT, d), (e, f, CUT))
        alive = [0]
        alive += [1] if c or (d and e) else []
        alive += [2] if e or (f and c) else []
        edges = [[matrix[i][j] for j in alive] for i in alive]
        for labels in itertools.product(label_gates, repeat=3):
            if labels[0] or c or e:
                yield [labels[i] for i in alive], edges


def classes(label_gates):
    """Count the graphs of 3 nodes, and the different forms that `canonical_order` gives them."""
    raw, forms = 0, set()
    for colours, edges in three_nodes(label_gates):
        raw += 1
        order = canonical_order(colours, edges)
        forms.add(
            (tuple(colours[i] for i in order), tuple(edges[i][j] for i in order for j in order))
        )
    return raw, len(forms)


def classes_by_array(label_gates):
    """Count the same without `canonical_order`: all graphs as one array, in the smaller order."""
    gates = np.arange(4)
    axes = [np.arange(label_gates)] * 3 + [gates] * 6
    l0, l1, l2, e01, e02, e10, e12, e20, e21 = (
        axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")
    )
    valid = (l0 > 0) | (e10 > 0) | (e20 > 0)
    live1 = (e10 > 0) | ((e12 > 0) & (e20 > 0))
    live2 = (e20 > 0) | ((e21 > 0) & (e10 > 0))

    def code(live_a, live_b, la, lb, e0a, e0b, ea0, eab, eb0, eba):
        parts = [live_a, live_b, l0, la * live_a, lb * live_b, e0a * live_a, e0b * live_b, ea0, eb0]
        parts += [eab * live_a * live_b, eba * live_a * live_b]
        return sum(part.astype(np.int64) * 4**i for i, part in enumerate(parts))

    one = code(live1, live2, l1, l2, e01, e02, e10, e12, e20, e21)
    two = code(live2, live1, l2, l1, e02, e01, e20, e21, e10, e12)
    return int(valid.sum()), len(np.unique(np.minimum(one, two)[valid]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label_gates", "raw", "different"),
    [
        ((CUT, THROUGH, LINEAR, CORRECT), 258_048, 111_171),
        ((CUT, THROUGH, LINEAR), 108_288, 46_982),
    ],
)
def test_count_of_three_node_graphs(label_gates, raw, different):
    assert classes(label_gates) == classes_by_array(len(label_gates)) == (raw, different)


@given(st.data(), st.integers(1, 5))
def test_order_does_not_depend_on_numbering(data, count):
    pick = st.sampled_from(["", "a"])
    colours = [data.draw(pick) for _ in range(count)]
    edges = [[data.draw(pick) if i != j else "" for j in range(count)] for i in range(count)]
    order = [0, *data.draw(st.permutations(range(1, count)))]
    moved = [colours[i] for i in order], [[edges[i][j] for j in order] for i in order]

    def form(colours, edges):
        best = canonical_order(colours, edges)
        assert sorted(best) == list(range(count)) and best[0] == 0
        return [colours[i] for i in best], [[edges[i][j] for j in best] for i in best]

    assert form(colours, edges) == form(*moved)


def ring(count):
    return {f"n{i} -> n{i % count + 1}": "through" for i in range(1, count + 1)}


HARD = {
    "all alike": {f"n{s} -> n{t}": "through" for s in range(9) for t in range(9) if s != t},
    "a ring": ring(8) | {f"n{i} -> n0": "through" for i in range(1, 9)},
    "two rings": ring(4)
    | {f"n{i} -> n{(i - 4) % 4 + 5}": "through" for i in range(5, 9)}
    | {f"n{i} -> n0": "linear" for i in range(1, 9)},
    "seven in a line": {f"n{i} -> n{i - 1}": "correct" for i in range(1, 7)},
}


@pytest.mark.parametrize("what", HARD)
def test_large_graphs_with_symmetries_take_milliseconds(what):
    graph = graph_of(HARD[what], [f"n{i}" for i in range(9)])
    shuffled = replace(
        graph, nodes={f"n{i}": Node(model="resnet8") for i in (0, 5, 2, 8, 1, 7, 4, 3, 6)}
    )
    start = time.process_time()
    first = canonical_key(graph)
    assert time.process_time() - start < 0.2
    assert first == canonical_key(shuffled)
    assert (
        canonical_key(
            Graph(data=graph.data, nodes=graph.nodes, edges=dict(list(graph.edges.items())[:-1]))
        )
        != first
    )


def test_the_key_of_a_graph_without_its_seed():
    graph = graph_of({"label -> n0": "through"}, train={"seed": 3})
    assert (
        seedless_key(graph)
        == seedless_key(with_seed(graph, 5))
        == canonical_key(with_seed(graph, 0))
    )
    assert seedless_key(graph) != seedless_key(replace(graph, train=replace(graph.train, lr=0.5)))


def test_what_only_a_teacher_says_is_nothing_where_the_node_learns():
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8", "epochs": 3, "batch_size": 8}}
    bare = {name: {"model": "resnet8"} for name in nodes}
    taught = {"label -> n0": {}, "label -> n1": {}, "n1 -> n0": {}}
    teaches = {"label -> n0": {}, "n1 -> n0": {}}
    sections = {"data": {"name": "digits"}}

    def key(nodes, edges, **train):
        return canonical_key(parse({**sections, "nodes": nodes, "edges": edges, "train": train}))

    assert key(nodes, taught) == key(bare, taught)
    assert key(nodes, teaches) != key(bare, teaches)
    same = {"n0": bare["n0"], "n1": {"model": "resnet8", "epochs": 50, "batch_size": 64}}
    assert key(same, teaches) == key(bare, teaches)  # what `train` and `data` say by default


@pytest.mark.parametrize("steps", [None, 2000])
@pytest.mark.parametrize("epochs", [None, 0, 10, 11])
def test_a_teacher_is_trained_alike_as_written_and_in_the_canonical_form(epochs, steps):
    """Ten epochs of its own are ten passes, those of `train` with `steps` are 2000 steps."""
    own = {} if epochs is None else {"epochs": epochs}
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 10, "steps": steps},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet20", **own}},
            "edges": {"label -> n0": {}, "n1 -> n0": {}},
        }
    )
    form = canonicalise(graph)
    assert independent_graph(form, "n1") == independent_graph(graph, "n1")
    silent = replace(graph, nodes={**graph.nodes, "n1": replace(graph.nodes["n1"], epochs=None)})
    same = epochs is None or (epochs == 10 and steps is None)
    assert (canonical_key(silent) == canonical_key(graph)) == same


def test_views_and_share_are_nothing_where_they_do_nothing():
    def key(data, node=None):
        raw = {
            "data": {"name": "digits", **data},
            "nodes": {"n0": {"model": "resnet8", **(node or {})}},
            "edges": {"label -> n0": {}},
        }
        return canonical_key(parse(raw))

    plain = {"augment": "none"}
    assert key({**plain, "views": 4}) == key(plain)
    assert key({"views": 4}, {"augment": "none"}) == key({}, {"augment": "none"})
    assert key({"views": 4}) != key({})
    assert key({"unlabelled": "auto", "unlabelled_share": 0.9}) == key({})


def peers_of(names=("n0", "n1", "n2"), **label_edges):
    """A graph of equal nodes with edges from the label alone."""
    return parse(
        {
            "data": {"name": "digits"},
            "nodes": {name: {"model": "resnet8"} for name in names},
            "edges": {f"label -> {name}": edge for name, edge in label_edges.items()},
        }
    )


def test_a_peer_is_live_and_without_a_lesson_of_its_own_a_teacher():
    watched = {"gate": "small_loss", "peer": "n1"}
    graph = peers_of(n0=watched, n1={"gate": "small_loss", "peer": "n2"}, n2={})
    assert live_nodes(graph) == ("n0", "n1", "n2")
    assert teachers(graph) == ()
    assert teachers(peers_of(n0=watched)) == ("n1",)
    assert live_nodes(peers_of(n0={"gate": "through", "peer": "n1"}, n1={})) == ("n0",)
    assert live_nodes(peers_of(n0={"loss": "bootstrap", "peer": "n1"}, n1={})) == ("n0", "n1")


def test_names_of_peers_do_not_matter_but_who_they_are_does():
    one = peers_of(n0={"gate": "agree", "peer": "n1"}, n1={"gate": "linear"}, n2={})
    renamed = peers_of(
        ("t", "b", "a"), t={"gate": "agree", "peer": "a"}, a={"gate": "linear"}, b={}
    )
    other = peers_of(n0={"gate": "agree", "peer": "n2"}, n1={"gate": "linear"}, n2={})
    assert canonical_key(one) == canonical_key(renamed)
    assert canonical_key(one) != canonical_key(other)
    form, names = canonicalise_with_names(renamed)
    assert form.edges[LABEL, names["t"]].peer == names["a"]
    assert canonicalise(form) == form


def test_fields_of_gates_and_losses_count_where_they_are_read_only():
    def key(**edge):
        return canonical_key(peers_of(n0=edge, n1={}))

    assert key(gate="small_loss", peer="n0") == key(gate="small_loss")
    assert key(gate="small_loss", peer="n1") != key(gate="small_loss")
    assert key(gate="small_loss", noise=0.4) != key(gate="small_loss")
    assert key(gate="linear", noise=0.4, peer="n1", exponent=0.3, trust=0.1) == key(gate="linear")
    assert key(loss="gce", exponent=0.3) != key(loss="gce")
    assert key(loss="bootstrap", trust=0.1) != key(loss="bootstrap")
    assert key(loss="sce", beta=2.0) != key(loss="sce")
    assert key(gate="small_loss", over="kept") != key(gate="small_loss")


def test_a_fold_is_a_part_of_what_is_trained():
    one = parse(
        {
            "data": {"name": "digits"},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
        }
    )
    assert with_fold(one, None, None) == with_fold(one, 5, None) == one
    keys = {canonical_key(with_fold(one, 5, fold)) for fold in range(5)}
    assert len(keys | {canonical_key(one)}) == 6
    assert parse(dump(with_fold(one, 5, 3))).data.fold == 3
