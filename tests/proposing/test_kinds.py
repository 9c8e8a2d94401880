"""What kind of arrangement a graph is, and that what kinds are worth is what was measured."""

import importlib
import json
from pathlib import Path

import pytest

from ktg.graph import Graph, parse
from ktg.proposing.kinds import LEADS, WORDS, Kind, classify, describe_lead, read_kind
from ktg.searching import expectation

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PRETRAINED = {"model": "resnet18", "source": "imagenet"}
STRONG = {"model": "resnet50", "source": "imagenet"}
ONLY, TAUGHT = {"label -> n0": {}}, {"label -> n0": {"gate": "cutoff"}, "n1 -> n0": {}}


def make_graph(edges=ONLY, *, train=None, data=None, target=PRETRAINED, helper=STRONG) -> Graph:
    nodes = {"n0": target} | ({"n1": helper} if any("n1" in key for key in edges) else {})
    data = {"path": "photos", "size": 64, **(data or {})}
    return parse({"data": data, "train": train or {}, "nodes": nodes, "edges": edges})


@pytest.mark.parametrize(
    ("kind", "graph"),
    [
        ("alone", make_graph()),
        ("alone", make_graph({**ONLY, "n1 -> n0": {"gate": "cutoff"}})),
        ("probe", make_graph(train={"epochs": 0}, target=PRETRAINED | {"head": "probe"})),
        ("probe", make_graph(train={"epochs": 9}, target=PRETRAINED | {"frozen_epochs": 9})),
        ("alone", make_graph(train={"epochs": 9}, target=PRETRAINED | {"frozen_epochs": 3})),
        ("other", make_graph(train={"epochs": 7})),
        ("other", make_graph(TAUGHT, train={"epochs": 20, "steps": 40})),
        ("alone", make_graph(train={"epochs": 2, "steps": 400})),
        ("probe", make_graph(train={"epochs": 7}, target=PRETRAINED | {"frozen_epochs": 7})),
        ("taught", make_graph(TAUGHT)),
        ("taught", make_graph({**ONLY, "n1 -> n0": {}})),
        ("taught, unlabelled", make_graph(TAUGHT, data={"unlabelled": "auto"})),
        ("alone", make_graph(data={"unlabelled": "auto"})),
        ("mutual", make_graph({"label -> any": {}, "any -> any": {}, "n1 -> n0": {}})),
        ("mutual", make_graph({**ONLY, "n1 -> n0": {}, "label -> n1": {}})),
        ("other", make_graph(TAUGHT, helper=PRETRAINED)),
        ("other", make_graph(TAUGHT, helper=PRETRAINED | {"input_size": 32})),
        ("taught", make_graph(TAUGHT, target=PRETRAINED | {"input_size": 32}, helper=PRETRAINED)),
        ("other", make_graph(TAUGHT, helper={"model": "resnet50"})),
        ("other", make_graph({"label -> n0": {"gate": "agree", "peer": "n1"}, "n1 -> n0": {}})),
        (None, make_graph(target={"model": "resnet18"})),
        (None, make_graph(target={"model": "resnet18", "source": "fractaldb"})),
        (None, make_graph(target={"model": "resnet20", "source": "zoo/fractals"})),
        (None, make_graph(data={"label_noise": 0.3})),
    ],
)
def test_a_graph_is_of_the_kind_that_its_open_edges_make_it(kind: Kind | None, graph: Graph):
    assert classify(graph) == kind


def test_every_kind_has_a_lead_and_a_name_that_is_read_back():
    assert LEADS.keys() == WORDS.keys()
    assert [read_kind(kind) for kind in LEADS] == list(LEADS)
    assert read_kind("another") is read_kind(None) is None
    assert "5 other data sets" in describe_lead("taught, unlabelled")
    # What was not measured is believed the least.
    assert LEADS["other"].spread == max(lead.spread for lead in LEADS.values())


def assert_shipped(leads: dict, noise: dict, settings_std: float) -> None:
    for kind, lead in leads.items():
        own = LEADS[kind]
        assert (own.mean, own.spread) == (round(lead["mean"], 3), round(lead["spread"], 3))
        assert own.sets == lead["sets"]
    assert round(noise["between_kinds"], 2) == expectation.BETWEEN_KINDS
    assert round(noise["within_kind"], 2) == expectation.WITHIN_KIND
    assert round(noise["seed_std"], 3) == expectation.SEED_STD
    assert round(settings_std, 3) == expectation.SETTINGS_STD


def test_the_figures_are_those_that_the_script_has_computed():
    found = json.loads((RESULTS / "choice.json").read_text())["result"]
    assert_shipped(found["leads"], found["noise"], found["settings_std"])


def test_the_figures_are_those_that_the_lines_have_today(monkeypatch):
    monkeypatch.syspath_prepend(str(RESULTS.parent))
    choice = importlib.import_module("choice")
    runs = choice.read_runs()
    tables = choice.read_tables(runs)
    leads = {kind: vars(lead) for kind, lead in choice.measure_leads(tables).items()}
    assert leads.keys() == LEADS.keys()
    assert_shipped(leads, choice.measure_noise(runs), choice.measure_settings(tables[1]))
