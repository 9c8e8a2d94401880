"""`ktg search` as it is read: by a person at 80 columns, and by a machine."""

import io
import json

import pytest
from rich.console import Console

from ktg.cli.search import print_result
from ktg.searching.outcome import Result, Row

ROWS = (
    Row("best graph", "trial-0002 (distillation)", 0.9, 0.25, 75.0),
    Row("alone", "trial-0001 (alone)", 0.8, 0.5, 60.0),
    Row("distillation", "trial-0002 (distillation)", 0.9, 0.25, 75.0),
    Row("mutual learning", "trial-0003 (mutual learning)", 0.8512, 0.3, 7500.0),
)


def printed(width: int = 80, **changes) -> str:
    known = {"rows": ROWS, "best": object(), "finished": 5, "stopped": 3, "failed": 1, "duplicates": 2, "epochs": 40}
    rest = {"epochs_saved": 20, "wall_s": 200.0, "interrupted": False, "exhausted": False, "commonest_failure": None}
    page = io.StringIO()
    print_result(Result(name="mine", **(known | rest | changes)), Console(file=page, width=width))
    return page.getvalue()


def test_the_table_fits_80_columns_with_every_trial_on_a_line_of_its_own():
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 80
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert table == [
        ["best graph (distillation)", "90.00 %", "0.2500", "1 min 15 s", "trial-0002"],
        ["alone", "80.00 %", "0.5000", "1 min 0 s", "trial-0001"],
        ["distillation", "90.00 %", "0.2500", "1 min 15 s", "trial-0002"],
        ["mutual learning", "85.12 %", "0.3000", "2 h 5 min", "trial-0003"],
    ]


def test_what_was_spent_and_saved_and_the_next_command():
    text = " ".join(printed().split())
    assert "5 finished, 3 stopped early, 1 failed; 40 epochs in 3 min 20 s; 20 epochs saved" in text
    assert "2 duplicates not trained" in text
    assert text.endswith("Next: ktg export mine -o best.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"exhausted": True}, "The space is exhausted"), ({"interrupted": True}, "Interrupted; what was found so far")],
)
def test_how_it_ended(changes, said):
    assert said in printed(**changes)
    assert said not in printed()


def test_without_a_winner_nothing_is_next():
    assert "Next" not in printed(best=None, rows=())


def test_json_is_the_whole_result_and_the_rest_goes_elsewhere(searched):
    assert {"best", "rows", "finished", "stopped", "failed", "duplicates", "epochs", "wall_s"} <= searched.result.keys()
    assert json.loads(json.dumps(searched.result)) == searched.result
    assert searched.shown.startswith("a search: 4 holes, ")
    assert "8 trials, sampler random, scheduler asha" in searched.shown.splitlines()[0]
