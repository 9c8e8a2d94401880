"""Drawings are SVG that says what it shows, the same bytes each time, for every kind of table."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ktg.affinity.correlation import correlate
from ktg.affinity.plots import draw_correlations, draw_ranking, draw_scatter
from ktg.affinity.table import Table, read_table

TABLES = Path(__file__).parent / "tables"


def words(svg: bytes) -> set[str]:
    root = ElementTree.fromstring(svg)
    return {
        "".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")
    }


def test_a_scatter_names_score_axis_and_models_and_is_the_same_each_time():
    table = read_table(TABLES / "caltech101.csv")
    found = correlate(table)
    drawn = draw_scatter(table, "s5", found["s5"])
    assert drawn == draw_scatter(table, "s5", found["s5"])
    assert {"accuracy (log axis)", "dog", "bird", "sign"} <= words(drawn)
    assert any("0.929" in word for word in words(drawn))


def test_groups_have_a_panel_each():
    table = read_table(TABLES / "tmlr_benchmark.csv", group="dataset")
    rows = np.arange(30)
    part = Table(
        "acc",
        table.accuracy[rows],
        {"gbc": table.scores["gbc"][rows]},
        table.models[:30],
        table.groups[:30],
    )
    text = " ".join(words(draw_scatter(part, "gbc", correlate(part)["gbc"])))
    assert all(name in text for name in ("sun397", "aircraft", "caltech101", "mean over groups"))


@pytest.mark.parametrize(
    "accuracy", [[0.0, 0.5, 1.0], [0.9, 0.91, 0.9101], [1e-3, 0.1, 0.9], [10, 50, 99]]
)
@pytest.mark.parametrize("score", [[-1, 0, 1], [1, 1e4, 1e9], [1, 1, 1], [1, 1, 2]])
def test_any_range_can_be_drawn(accuracy, score):
    table = Table(
        "accuracy",
        np.array(accuracy, float),
        {"s": np.array(score, float)},
        ("a & <b>", "$x$", "c_d"),
        None,
    )
    found = correlate(table)
    assert "a & <b>" in words(draw_scatter(table, "s", found["s"]))
    assert words(draw_correlations(found, ["s"]))


def test_a_ranking_shows_every_candidate_and_what_is_missing():
    drawn = draw_ranking("On pets", ["first", "second"], {"logme": [2.0, -1.0], "knn": [0.5, None]})
    assert {"first", "second", "logme (chosen)", "knn", "n/a", "On pets"} <= words(drawn)
