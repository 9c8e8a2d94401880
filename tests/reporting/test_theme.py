"""Pictures as parts of a page: own ids, the page's colours, and no change to what they say."""

import re

import matplotlib
import pytest
from webpage import read

from ktg.graph import parse
from ktg.graph.drawing import draw
from ktg.reporting.theme import (
    ACCENT,
    INK,
    add_legend,
    inline_svg,
    open_figure,
    settings,
    style_axes,
    to_svg,
)

DOCUMENT = """<?xml version="1.0"?>
<!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg" width="10pt" viewBox="0 0 20 10">
<defs><style type="text/css">*{}</style></defs>
<rect id="a" style="fill: #ffffff; stroke: #010101"/><use href="#a" clip-path="url(#b)"/>
<text style="fill: #ffffff">#010101 and #ffffff</text></svg>"""


def test_a_picture_becomes_a_part_of_the_page():
    page = str(inline_svg(DOCUMENT, "one", 'says "so"'))
    assert page.startswith('<svg viewBox="0 0 20 10" role="img" aria-label="says &#34;so&#34;"')
    assert '<rect id="one-a" style="fill: var(--card); stroke: var(--ink)"/>' in page
    assert 'href="#one-a" clip-path="url(#one-b)"' in page
    assert "<style" not in page


def test_words_in_a_picture_stay_as_they_are():
    assert read(str(inline_svg(DOCUMENT, "one", ""))).text == "#010101 and #ffffff"
    assert '<text style="fill: #ffffff">' in inline_svg(
        DOCUMENT, "one", ""
    )  # white letters lie on filled boxes


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="viewBox"):
        inline_svg("<p>no</p>", "one", "")


@pytest.mark.parametrize("ensemble", [False, True])
def test_the_drawing_of_a_graph_has_the_page_s_colours_only(ensemble):
    nodes = {name: {"model": "resnet8"} for name in ("n0", "n1", "n2", "n3")}
    gates = {
        "n1 -> n0": "linear",
        "n2 -> n0": "correct",
        "n1 -> n2": "inverse",
        "n0 -> n3": "through",
    }
    edges = {"label -> n0": {}, "label -> n1": {}} | {
        edge: {"gate": gate, "temperature": 4} for edge, gate in gates.items()
    }
    target = {"target": "ensemble"} if ensemble else {}
    page = str(
        inline_svg(
            draw(parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edges, **target})),
            "one",
            "it",
        )
    )
    fixed = set(re.findall(r"<(\w+)[^>]*(#[0-9a-fA-F]{6})", page))
    assert fixed <= {("text", "#ffffff"), ("text", "#d0dce6")}  # letters on filled boxes
    assert 'id="one-node:n3"' in page


def test_settings_are_given_back_and_a_users_style_changes_nothing():
    with matplotlib.rc_context({"font.size": 30}):
        before = dict(matplotlib.rcParams)
        with settings():
            assert matplotlib.rcParams["svg.fonttype"] == "none"
            assert matplotlib.rcParams["font.size"] != 30
        assert dict(matplotlib.rcParams) == before


@pytest.mark.usefixtures("closed_figures")
def test_names_are_not_read_as_formulas_and_need_no_font(recwarn):
    with open_figure(100) as drawn:
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color=ACCENT, label="$x_1$ \N{CJK UNIFIED IDEOGRAPH-732B} <b>")
        style_axes(axes, x="a_b", percent="xy")
        add_legend(axes)
        axes.annotate("$y$", (0, 0), color=INK)
        found = read(str(to_svg(drawn, "p", "a plot")))
    assert "$x_1$ \N{CJK UNIFIED IDEOGRAPH-732B} <b>" in found.text
    assert "$y$" in found.text
    assert "100 %" in found.text  # a space that does not break is a space to `split`
    assert not recwarn.list


def test_a_picture_is_the_same_each_time():
    def draw():
        with open_figure(60) as drawn:
            drawn.subplots().plot([0, 1])
            return to_svg(drawn, "p", "a plot")

    assert draw() == draw()


def test_the_settings_of_the_user_are_not_changed():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with open_figure(60):
        assert matplotlib.rcParams["text.parse_math"] is False
    assert dict(matplotlib.rcParams) == before
