import copy
import time

import pytest

from ktg.errors import SpecError, not_one_of
from ktg.graph import is_space, parse_space
from ktg.graph.space import dump_space

GATES = ["through", "cutoff", "linear", "correct"]
RAW = {
    "data": {"name": "cifar100"},
    "train": {"epochs": 20},
    "nodes": {"n0": {"model": "resnet32"}, "n1": {"model": {"choice": ["resnet32", "resnet110"]}}},
    "edges": {"label -> any": {"gate": "through"}, "any -> any": {"gate": {"choice": GATES}}},
    "search": {"trials": 5},
}
CUT = {"gate": {"choice": ["cutoff"]}}


def changed(**sections):
    return copy.deepcopy(RAW) | sections


def test_every_expanded_edge_has_its_own_hole():
    space = parse_space(changed(search={"trials": 7, "sampler": "random"}, name="a study"))
    assert list(space.holes) == ["nodes.n1.model", "edges.n1.n0.gate", "edges.n0.n1.gate"]
    assert (space.search.trials, space.search.sampler, space.name) == (7, "random", "a study")


def test_losses_and_weights_may_be_searched_together():
    edge = {
        "loss": {"choice": ["kl", "dkd", "attention"]},
        "weight": {"choice": ["learned", 0.5]},
        "beta": {"log": [1, 16]},
    }
    space = parse_space(changed(edges={"label -> any": {}, "n1 -> n0": edge}))
    paths = [f"edges.n1.n0.{field}" for field in ("loss", "weight", "beta")]
    assert list(space.holes)[1:] == paths
    graph = space.bind(space.default() | dict(zip(paths, ("attention", 0.5, 2.0), strict=True)))
    assert (graph.edges["n1", "n0"].loss, graph.edges["n1", "n0"].weight) == ("attention", 0.5)
    assert space.bind(space.locate(graph)) == graph
    with pytest.raises(SpecError, match=r"edges\.n1\.n0\.loss\.choice\[2\]: 'atention' is not"):
        parse_space(
            changed(
                edges={
                    "label -> any": {},
                    "n1 -> n0": {"loss": {"choice": ["kl", "dkd", "atention"]}},
                }
            )
        )
    with pytest.raises(SpecError, match="target: a hole is not allowed here"):
        parse_space(changed(target={"choice": ["first", "ensemble"]}))


def test_holes_may_stand_for_whole_things_and_deep_inside():
    raw = changed(
        data={"choice": [{"name": "digits"}, {"name": "cifar100"}]},
        sources={"a": {"path": {"choice": ["x.pth", "y.pth"]}}},
        nodes={
            "n0": {"model": "m", "model_args": {"width": {"int": [1, 3]}}},
            "n1": {"choice": [{"model": "m"}]},
        },
        edges={"label -> n0": {"choice": [{"gate": "linear"}, None]}},
        train={"milestones": {"choice": [[1, 2], [3]]}},
    )
    space = parse_space(raw)
    assert list(space.holes) == [
        "data",
        "train.milestones",
        "sources.a.path",
        "nodes.n0.model_args.width",
        "nodes.n1",
        "edges.label.n0",
    ]
    graph = space.bind(space.default() | {"edges.label.n0": None, "train.milestones": [3]})
    assert graph.edges["label", "n0"].gate == "through"
    assert graph.train.milestones == (3,)
    assert graph.nodes["n0"].model_args == {"width": 2}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            changed(nodes={"n0": {"model": {"choice": ["a", "b", 3]}}}),
            "nodes.n0.model.choice[2]: expected text, got 3",
        ),
        (
            changed(nodes={"n0": {"model": {"choice": [3, "b"]}}}),
            "nodes.n0.model.choice[0]: expected text, got 3",
        ),
        (
            changed(nodes={"n0": {"choice": [{"model": "a"}, {"modle": "a"}]}}),
            "nodes.n0.choice[1].modle: unknown key; allowed here: model,",
        ),
        (
            changed(
                edges={"label -> any": {}, "any -> n0": {"gate": {"choice": ["linear", "corect"]}}}
            ),
            "edges.any -> n0.gate.choice[1]: 'corect' is not a value of `gate`",
        ),
        (
            changed(train={"lr": {"uniform": [0, 1]}}),
            "train.lr.uniform[0]: must be greater than 0, got 0.0",
        ),
        (
            changed(train={"momentum": {"uniform": [0, 1]}}),
            "train.momentum.uniform[1]: must be less than 1, got 1.0",
        ),
        (
            changed(train={"epochs": {"log": [1, 50]}}),
            "train.epochs.log: expected a whole number, got 7.07107",
        ),
        (
            changed(train={"epochs": {"choice": [20, 3]}, "warmup_epochs": 5}),
            "train.epochs.choice[1]: with this, train.warmup_epochs: 5 is more than train.epochs "
            "(3)",
        ),
        (
            changed(train={"epochs": 3, "warmup_epochs": 5}),
            "train.warmup_epochs: 5 is more than train.epochs (3)",
        ),
        (
            changed(train={"lr": {"choise": [1, 2]}}),
            "train.lr: 'choise' is not a kind of hole; allowed: choice, log,",
        ),
        (changed(train={"lr": {"choise": [1, 2]}}), "Did you mean 'choice'?"),
        (
            changed(train={"lr": {"choice": [1], "log": [1, 2]}}),
            "train.lr: a hole has one key only",
        ),
        (
            changed(train={"lr": {"affinity": {}}}),
            "train.lr.affinity: only the source of a node can be chosen",
        ),
        (
            changed(train={"milestones": [1, {"int": [2, 3]}]}),
            "train.milestones[1]: a hole inside a list is not allowed",
        ),
        (changed(search={"trials": {"int": [1, 2]}}), "search.trials: a hole is not allowed here"),
        (changed(search={"choice": [{}]}), "search: a hole is not allowed here"),
        (changed(search={"trails": 2}), "search.trails: unknown key"),
        (changed(version={"choice": [1]}), "version: a hole is not allowed here"),
        (changed(name={"choice": ["a"]}), "name: a hole is not allowed here"),
        (
            changed(provenance={"run": {"choice": ["a"]}}),
            "provenance.run: a hole is not allowed here",
        ),
        (changed(name="a/b"), "name: expected a name for the search"),
        (changed(name=3), "name: expected a name for the search"),
        (changed(nodes={"choice": ["a", "b"]}), "nodes: names cannot be a hole"),
        (changed(edges={"choice": ["a", "b"]}), "edges: names cannot be a hole"),
        (changed(sources={"affinity": ["a", "b"]}), "sources: names cannot be a hole"),
        (
            changed(trian={"lr": {"log": [1, 2]}}),
            "trian: unknown key; allowed here: version, data, train,",
        ),
        (changed(train={"lrr": {"log": [1, 2]}}), "unknown key; allowed here: epochs,"),
        (
            changed(edges={"label -> n1": {}, "any -> n0": CUT}),
            "edges: nothing teaches the target 'n0'",
        ),
        (changed(edges={"label -> n1": {}}), "edges: nothing teaches the target 'n0'"),
        ([], "expected a mapping"),
    ],
)
def test_mistakes_are_explained(raw, message):
    with pytest.raises(SpecError) as caught:
        parse_space(raw)
    assert message in str(caught.value)


def test_a_target_that_some_option_teaches_is_enough():
    parse_space(changed(edges={"any -> n0": {"gate": {"choice": ["cutoff", "linear"]}}}))
    parse_space(changed(edges={"any -> n0": {"choice": [{"gate": "cutoff"}, {}]}}))


def test_nodes_may_be_named_like_holes():
    nodes = {"log": {"model": "a"}, "int": {"model": {"choice": ["a", "b"]}}}
    raw = changed(nodes=nodes, edges={"label -> any": {}})
    assert list(parse_space(raw).holes) == ["nodes.int.model"]
    assert not is_space({"nodes": {"log": {"model": "a"}}})


def check_models(graph):
    for name, node in graph.nodes.items():
        if node.model not in ("resnet32", "resnet110"):
            raise not_one_of(
                f"nodes.{name}.model", node.model, "a model", ["resnet32", "resnet110"]
            )


def test_every_option_is_given_to_the_check():
    parse_space(RAW, check_models)
    wrong = changed(
        nodes={"n0": {"model": "resnet32"}, "n1": {"model": {"choice": ["resnet32", "resnet111"]}}}
    )
    parse_space(wrong)
    with pytest.raises(SpecError) as caught:
        parse_space(wrong, check_models)
    assert str(caught.value).startswith(
        "nodes.n1.model.choice[1]: 'resnet111' is not a model; allowed: resnet32,"
    )
    with pytest.raises(SpecError, match=r"^nodes\.n0\.model: 'x' is not a model"):
        parse_space(changed(nodes={"n0": {"model": "x"}}, edges={"label -> n0": {}}), check_models)


def test_a_large_space_is_checked_at_once():
    free = {
        "model": {"choice": ["resnet32", "resnet110", "resnet56"]},
        "source": {"choice": ["none", "imagenet"]},
    }
    raw = changed(nodes={f"n{i}": free for i in range(7)})
    start = time.process_time()
    assert len(parse_space(raw).holes) == 7 * 2 + 7 * 6
    assert time.process_time() - start < 2


def test_is_space():
    assert is_space(RAW)
    assert is_space({"search": {}})
    assert is_space({"train": {"lr": {"log": [1, 2]}}})
    assert is_space({"nodes": {"n0": {"choice": []}}})
    assert not is_space({"train": {"lr": 1}, "nodes": {"n0": {"model": "choice"}}, "edges": None})
    assert not is_space(["search"])


def test_a_space_of_version_1_is_searched_as_it_was():
    """Old defaults for what it does not say; what it does say holds in each version."""
    old, new = parse_space(changed(version=1)).search, parse_space(changed()).search
    assert (old.scheduler, old.alone_share, old.race_share) == ("asha", 0, 0)
    assert (new.scheduler, new.alone_share, new.race_share) == ("none", 1 / 3, 0.25)
    said = {"scheduler": "none", "race_share": 0.5}
    same = [parse_space(changed(version=version, search=said)).search for version in (1, 2)]
    assert [(each.scheduler, each.race_share) for each in same] == [("none", 0.5)] * 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_space_that_is_stored_is_the_same_whatever_defaults_become(version):
    space = parse_space(changed(version=version, search={"budget": "90s", "metric": "macro_f1"}))
    plain = dump_space(space)
    assert plain["search"].keys() >= {"scheduler", "alone_share", "race_share", "seed"}
    again = parse_space(plain)
    assert (again.search, again.version, again.holes) == (space.search, version, space.holes)


@pytest.mark.parametrize(
    ("search", "most", "seconds"),
    [
        ({}, 100, None),
        ({"trials": 7}, 7, None),
        ({"budget": "2m"}, None, 120),
        ({"budget": "2m", "trials": 7}, 7, 120),
    ],
)
def test_a_budget_takes_the_place_of_the_usual_number_of_trials(search, most, seconds):
    found = parse_space(changed(search=search)).search
    assert (found.most_trials, found.budget_s) == (most, seconds)


def test_a_budget_that_is_no_time_is_refused():
    with pytest.raises(SpecError, match=r"^search\.budget: 'soon' is no time; allowed: a time"):
        parse_space(changed(search={"budget": "soon"}))


def test_an_opening_lists_values_of_holes():
    opening = [{"edges.n1.n0.gate": "linear"}, {"nodes.n1.model": "resnet110"}]
    space = parse_space(changed(search={"opening": opening}))
    assert [dict(values) for values in space.search.opening] == opening
    assert parse_space(dump_space(space)) == space


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"edges.n1.n0.gat": "linear"},
            "search.opening[0].edges.n1.n0.gat: this space has no such hole. "
            "Did you mean 'edges.n1.n0.gate'?",
        ),
        (
            {"edges.n1.n0.gate": "shut"},
            "search.opening[0].edges.n1.n0.gate: 'shut' is not in {choice: ['through', ",
        ),
    ],
)
def test_an_opening_that_cannot_be_is_refused(values, said):
    with pytest.raises(SpecError) as caught:
        parse_space(changed(search={"opening": [values]}))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "digits", "folds": 3}, "search.folds: data.folds holds out one fold for all"),
        ({"name": "fractaldb"}, "search.folds: does not go with images drawn by a formula"),
    ],
)
def test_folds_of_a_search_need_images_that_are_not_cut_yet(data, message):
    graph = {"nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    with pytest.raises(SpecError, match=message):
        parse_space({"data": data, **graph, "search": {"folds": 5}})
