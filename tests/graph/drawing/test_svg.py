import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktg.graph import GATES, LABEL, parse
from ktg.graph.canonical import open_edges
from ktg.graph.drawing import draw
from ktg.graph.drawing.svg import _GATE_WORDS, GATE_STYLES


@st.composite
def graphs(draw_from):
    """Graphs of 1 to 7 nodes, whether or not anything teaches the target."""
    names = [f"n{i}" for i in range(draw_from(st.integers(1, 7)))]
    sources = st.sampled_from(["none", "imagenet", "a/b/c & <d>.safetensors"])
    nodes = {
        n: {
            "model": "resnet32",
            "source": draw_from(sources),
            "frozen_epochs": draw_from(st.integers(0, 2)),
        }
        for n in names
    }
    edges = {}
    for target in names:
        for source in draw_from(st.sets(st.sampled_from([LABEL, *names]))) - {target}:
            edge = {
                "gate": draw_from(st.sampled_from(GATES)),
                "temperature": draw_from(st.sampled_from([1, 4])),
            }
            if source == LABEL and edge["gate"] in ("agree", "disagree"):
                edge["peer"] = draw_from(st.sampled_from(names))
                if edge["peer"] == target:  # nobody is a peer of itself
                    del edge["peer"], edge["gate"]
            edges[f"{source} -> {target}"] = edge
    return parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edges})


def ids(svg):
    return [element.get("id") for element in ET.fromstring(svg).iter() if element.get("id")]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(graphs(), st.none() | st.text(max_size=40))
def test_the_picture_shows_the_graph(graph, title):
    svg = draw(graph, title)
    assert draw(graph, title) == svg
    found = ids(svg)
    assert len(found) == len(set(found))
    opened = open_edges(graph)
    assert [i for i in found if i.startswith("edge:")] == [f"edge:{s}->{t}" for s, t in opened]
    assert {i for i in found if i.startswith("node:")} == {f"node:{name}" for name in graph.nodes}
    legend = {i.removeprefix("legend:") for i in found if i.startswith("legend:")} - {"note"}
    assert legend == {edge.gate for edge in opened.values()}
    text = " ".join(ET.fromstring(svg).itertext())
    assert all(name in text for name in graph.nodes)


def one(**node):
    return parse(
        {
            "data": {"name": "digits"},
            "nodes": {"n0": {"model": "resnet8", **node}},
            "edges": {"label -> n0": {}},
        }
    )


def test_a_title_is_text_whatever_is_in_it():
    text = list(ET.fromstring(draw(one(), 'a < b & $x^2$ "c" \x07')).itertext())
    assert 'a < b & $x^2$ "c"' in text


def test_a_title_in_any_script():
    assert "知識転移グラフ" in ET.fromstring(draw(one(), "知識転移グラフ")).itertext()


def test_every_gate_but_cutoff_has_a_style_of_its_own():
    assert set(GATE_STYLES) == set(_GATE_WORDS) == set(GATES) - {"cutoff"}
    colours, dashes = zip(*GATE_STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(dashes)) == len(GATE_STYLES)


def test_two_processes_draw_the_same_without_loading_a_library():
    code = (
        "import sys; from ktg.graph import parse; from ktg.graph.drawing import draw;"
        "data, nodes = {'name': 'digits'}, {'n0': {'model': 'resnet8'}};"
        "g = parse({'data': data, 'nodes': nodes, 'edges': {'label -> n0': {}}});"
        "svg = draw(g); assert 'matplotlib' not in sys.modules; sys.stdout.write(svg)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == draw(one())
