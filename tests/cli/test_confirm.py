"""`ktg confirm` as it is read, and its mistakes."""

import io

import pytest
from rich.console import Console

from ktg.api.inputs import STORE
from ktg.cli.confirm import print_confirmation
from ktg.cli.screen import Screen
from ktg.searching.confirm.verdict import Confirmation, Difference, FinalistRow
from ktg.searching.seed_queue import SeedRun

RUNS = tuple(
    SeedRun(seed, accuracy, 0.1, 1.0, "01") for seed, accuracy in ((1000, 0.9), (1001, 0.8))
)
ROWS = (
    FinalistRow(
        "best graph", "trial-0003", "mutual learning", 0.9, 0.85, 0.0707, RUNS, {}, (0.9, 0.8)
    ),
    FinalistRow("2nd best", "trial-0012", None, 0.8, 0.85, 0.0707, RUNS, {}, (0.9, 0.8)),
    FinalistRow(
        "alone",
        "trial-0001",
        "alone",
        0.7,
        None,
        None,
        (),
        {1000: "out of memory; try 8", 1001: "it died"},
        (),
    ),
    FinalistRow(
        "distillation", "trial-0002", "distillation", 0.75, 0.8, 0.01, RUNS, {}, (0.81, 0.79)
    ),
)
DIFFERENCES = (
    Difference("best graph", "alone", None, None),
    Difference("best graph", "distillation", 0.05, (0.01, 0.09)),
    Difference("2nd best", "distillation", -0.05, (-0.09, 0.01)),
    Difference("2nd best", "mutual learning", -0.05, (-0.09, -0.01)),
)


def printed(rows=ROWS, differences=DIFFERENCES, width=80, uri=STORE, **how) -> str:
    page = io.StringIO()
    found = Confirmation("my birds", "run", 2, (1000, 1001), 359, rows, differences, **how)
    print_confirmation(found, Screen(Console(file=page, width=width)), uri)
    return page.getvalue()


def cells(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in text.splitlines()
        if line.startswith("│")
    ]


def test_it_fits_80_columns_with_a_line_for_each_graph_and_each_difference():
    text = printed()
    assert max(map(len, text.splitlines())) <= 80
    assert cells(text) == [
        ["best graph (mutual learning)", "85.00 %", "7.07 %", "2", "trial-0003"],
        ["2nd best", "85.00 %", "7.07 %", "2", "trial-0012"],
        ["alone", "-", "-", "0", "trial-0001"],
        ["distillation", "80.00 %", "1.41 %", "2", "trial-0002"],
        ["best graph", "alone", "-", "-", "not proven"],
        ["best graph", "distillation", "+5.00", "+1.00 to +9.00", "better"],
        ["2nd best", "distillation", "-5.00", "-9.00 to +1.00", "not proven"],
        ["2nd best", "mutual learning", "-5.00", "-9.00 to -1.00", "worse"],
    ]


def test_failures_are_told_with_their_reason_and_the_sentence_stands_below():
    text = " ".join(printed(width=200).split())
    assert "alone, seed 1000 failed: out of memory; try 8 alone, seed 1001 failed: it died" in text
    assert (
        "is better than distillation by 5.00 points; it is not proven to be better than alone."
        in text
    )
    assert (
        "2 seeds that the search has not used, 359 test images. "
        "All 4 intervals hold at once with 95 %" in text
    )
    assert text.endswith("To try again what failed: ktg confirm 'my birds' --top 2 --seeds 2")


def test_what_is_not_in_the_store_of_this_folder_is_tried_again_in_its_own():
    text = " ".join(printed(width=200, uri="sqlite:///other.db").split())
    assert text.endswith("--top 2 --seeds 2 --tracking-uri sqlite:///other.db")


def test_figures_are_called_by_their_metric():
    assert "┃ accuracy ┃" in printed()
    assert "Differences in points of accuracy" in printed()
    balanced = {"metric": "balanced_accuracy", "searched_by": "balanced_accuracy"}
    text = printed(**balanced)
    assert max(map(len, text.splitlines())) <= 80
    assert "balanced accuracy ┃" in text
    assert "Differences in points of balanced accuracy" in text
    assert "by 5.00 points of balanced accuracy" in " ".join(text.split())


def test_without_baselines_there_is_no_table_of_differences():
    text = printed(ROWS[1:2], ())
    assert "Differences" not in text
    assert "there is no other baseline to compare it with" in " ".join(text.split())
    assert "try again" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["confirm", "space"], "there is no MLflow store at"),
        (["confirm", "space", "--seeds", 1], "1 is not in the range x>=2"),
        (["confirm", "space", "--top", 0], "0 is not in the range x>=1"),
        (
            ["search", "space.yaml", "--seeds", 3],
            "--seeds: says how often --confirm trains each graph",
        ),
        (
            ["search", "space.yaml", "--confirm", 7],
            "7 graphs are asked for, and the search trains 6 at most",
        ),
    ],
)
def test_mistakes(refused, words, sentence):
    assert sentence in refused(*words)


@pytest.mark.slow
def test_mistakes_about_a_search(searched, room):
    from command import ktg

    def sentence(*words):
        done = ktg(*words, "--tracking-uri", searched.uri, folder=room)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        return done.err

    assert "Did you mean 'a search'?" in sentence("confirm", "asearch")
    assert "--top: 90 graphs are asked for, and the search of 'a search' trained" in sentence(
        "confirm", "a search", "--top", 90
    )
