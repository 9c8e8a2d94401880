"""`ktg graph show`: roles, open edges, and the drawing."""

import json
import xml.etree.ElementTree as ET

from command import ktg
from safetensors.numpy import save_file

from ktg.graph.canonical import canonical_key
from ktg.graph.recipes import FROM_NOTHING, PRETRAINED
from ktg.graph.yaml_files import load_graph


def test_roles_and_open_edges_are_printed(room):
    nodes = "  n2: {model: resnet14}\n  n3: {model: resnet8}\nedges:"
    edges = "label -> n0: {}\n  label -> n1: {}\n  n2 -> n0: {gate: through}"
    text = (room / "graph.yaml").read_text().replace("edges:", nodes)
    (room / "graph.yaml").write_text(text.replace("label -> any: {}", edges))
    done = ktg("graph", "show", "graph.yaml", "--json", folder=room)
    shown = json.loads(done.out)
    roles = {name: node["role"] for name, node in shown["nodes"].items()}
    assert roles == {"n0": "target", "n1": "auxiliary", "n2": "teacher", "n3": "not live"}
    assert set(shown["open_edges"]) == {"label -> n0", "label -> n1", "n1 -> n0", "n2 -> n0"}
    assert shown["key"] == canonical_key(load_graph(room / "graph.yaml"))
    text = ktg("graph", "show", "graph.yaml", folder=room).out
    for word in (*roles.values(), *shown["open_edges"], "resnet14"):
        assert word in text


def test_the_drawing_is_written_where_asked(room):
    done = ktg("graph", "show", "graph.yaml", "-o", "drawn.svg", "--json", folder=room)
    assert json.loads(done.out)["drawing"] == "drawn.svg"
    assert ET.parse(room / "drawn.svg").getroot().tag.endswith("svg")


def test_of_a_space_the_default_graph_is_shown(room):
    text = (room / "graph.yaml").read_text()
    (room / "space.yaml").write_text(
        text.replace("model: resnet8", "model: {choice: [resnet14, resnet8]}", 1)
    )
    shown = json.loads(ktg("graph", "show", "space.yaml", "--json", folder=room).out)
    assert (shown["nodes"]["n0"]["model"], shown["holes"]) == ("resnet14", ["nodes.n0.model"])
    said = ktg("graph", "show", "space.yaml", folder=room).out
    assert said.startswith(
        "space.yaml: a search space of 1 hole; with all of them at their default:\n"
    )


def test_every_setting_is_shown_and_what_the_recipe_sets_is_marked(room):
    text = (room / "graph.yaml").read_text().replace(", lr: 0.05", "")
    save_file({}, room / "w.safetensors")
    text = text.replace("n1: {model: resnet8", "n1: {model: resnet8, source: ./w.safetensors")
    (room / "graph.yaml").write_text(text)
    shown = json.loads(ktg("graph", "show", "graph.yaml", "--full", "--json", folder=room).out)
    graph = load_graph(room / "graph.yaml")
    assert shown["settings"]["train.momentum"] == 0.9
    assert shown["settings"]["edges.label.n0.gate"] == "through"
    assert shown["settings"]["nodes.n1.lr"] == graph.nodes["n1"].lr
    assert shown["recipe"] == [
        *[f"nodes.n0.{field}" for field in FROM_NOTHING],
        *[f"nodes.n1.{field}" for field in PRETRAINED],
    ]
    lines = ktg("graph", "show", "graph.yaml", "--full", folder=room).out.splitlines()
    marked = [line.split()[0] for line in lines if line.endswith("(recipe)")]
    assert set(marked) == set(shown["recipe"])
    (room / "graph.yaml").write_text(text + "version: 1\n")
    shown = json.loads(ktg("graph", "show", "graph.yaml", "--full", "--json", folder=room).out)
    assert (shown["recipe"], shown["settings"]["nodes.n1.lr"]) == ([], None)
