"""`ktg search` as it is read: by a person at 80 columns, and by a machine."""

import dataclasses
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import ktg
from rich.console import Console

from ktg.api.inputs import STORE
from ktg.cli.screen import Screen
from ktg.cli.search import check_end, describe_no_trial, print_delivered, print_result
from ktg.errors import KtgError
from ktg.searching.result import Result, ResultRow
from ktg.tracking import find_experiment

ROWS = (
    ResultRow("best graph", "trial-0002 (distillation)", 0.9, 0.25, 75.0, 0.9),
    ResultRow("alone", "trial-0001 (alone)", 0.8, 0.5, 60.0, 0.8),
    ResultRow("distillation", "trial-0002 (distillation)", 0.9, 0.25, 75.0, 0.9),
    ResultRow("mutual learning", "trial-0003 (mutual learning)", 0.8512, 0.3, 7500.0, 0.8512),
)


def make_result(**changes) -> Result:
    none = {"rows": (), "best": None, "finished": 0, "stopped": 0, "failed": 0, "duplicates": 0}
    spent = {"epochs": 0, "epochs_saved": 0, "wall_s": 4.0}
    end = {"interrupted": False, "exhausted": False, "commonest_failure": None}
    return Result(name="mine", **(none | spent | end | changes))


def test_a_search_that_left_its_first_probe_says_why():
    kept = "The model that is kept is the probe of the weights that it began with."
    assert describe_no_trial(make_result()) == (
        f"No trial came to its end within the time; give a longer budget. {kept}"
    )
    failed = make_result(failed=2, commonest_failure="[nan] in epoch 1")
    assert describe_no_trial(failed) == (
        f"No trial finished; the most common reason: [nan] in epoch 1. {kept}"
    )


def test_the_exit_code_says_what_was_not_done():
    check_end(make_result(best=object()))
    check_end(make_result(delivered=object()))
    with pytest.raises(KeyboardInterrupt):
        check_end(make_result(interrupted=True, undelivered="no model is in out"))
    with pytest.raises(KtgError, match="no model is in out"):
        check_end(make_result(best=object(), undelivered="no model is in out"))
    with pytest.raises(KtgError, match="no trial came to its end"):
        check_end(make_result())


def printed(
    width: int = 80, to_confirm: bool = False, out=None, uri=None, learn_from=(), **changes
) -> str:
    known = {
        "rows": ROWS,
        "best": object(),
        "finished": 5,
        "stopped": 3,
        "failed": 1,
        "duplicates": 2,
        "epochs": 40,
        "epochs_saved": 20,
        "wall_s": 200.0,
    }
    page = io.StringIO()
    result = make_result(**(known | changes))
    place = {"to_confirm": to_confirm, "out": out, "uri": uri, "learn_from": learn_from}
    print_result(result, Screen(Console(file=page, width=width)), **place)
    return page.getvalue()


def test_the_table_fits_80_columns_with_every_trial_on_a_line_of_its_own():
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 80
    table = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")
    ]
    assert table == [
        ["best graph (distillation)", "90.00 %", "", "1 min 15 s", "trial-0002"],
        ["alone", "80.00 %", "", "1 min 0 s", "trial-0001"],
        ["distillation", "90.00 %", "", "1 min 15 s", "trial-0002"],
        ["mutual learning", "85.12 %", "", "2 h 5 min", "trial-0003"],
    ]


def test_what_was_spent_and_saved_and_the_next_command():
    text = " ".join(printed().split())
    assert "5 finished, 3 stopped early, 1 failed; 40 epochs in 3 min 20 s; 20 epochs saved" in text
    assert "2 duplicates not trained" in text
    assert text.endswith("Next: ktg confirm mine ktg export mine -o best.yaml")
    assert "ktg confirm" not in printed(to_confirm=True)
    assert "ktg confirm" not in printed(interrupted=True)


def test_new_seeds_have_a_table_with_what_to_expect_and_a_scheduler_its_sentence():
    best = dataclasses.replace(ROWS[0], n=3, std=0.01, expected=0.89)
    alone = dataclasses.replace(
        ROWS[1], n=4, std=0.02, expected=0.81, difference=0.1, interval=(0.05, 0.15)
    )
    text = printed(rows=(best, alone, ROWS[2]), stopping="auto stopped 3 of 9 trials.")
    table = text.partition("New seeds (n of each")[2]
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in table.splitlines()]
    assert ["best graph", "90.00 % +- 1.00", "3", "", "89.00 %"] in rows
    assert ["alone", "80.00 % +- 2.00", "4", "+10.00 (+5.00 to +15.00)", "81.00 %"] in rows
    assert "auto stopped 3 of 9 trials." in text
    assert "New seeds (" not in printed()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exhausted": True}, "The space is exhausted"),
        ({"interrupted": True}, "Interrupted; what was found so far"),
    ],
)
def test_how_it_ended(changes, said):
    assert said in printed(**changes)
    assert said not in printed()


def test_what_is_wrong_with_another_row_is_said():
    alone = dataclasses.replace(ROWS[1], note="collapsed: it says the same of all images")
    text = " ".join(printed(rows=(ROWS[0], alone, ROWS[2]), width=200).split())
    assert "alone (trial-0001) collapsed: it says the same of all images." in text
    assert "collapsed" not in printed()


def test_the_next_commands_go_to_the_same_folder_and_store():
    place = {"out": Path("my out"), "uri": "sqlite:///other.db", "width": 200}
    text = " ".join(printed(interrupted=True, **place).split())
    store = "--tracking-uri sqlite:///other.db"
    assert f"To go on: ktg search mine --resume --out 'my out' {store}" in text
    assert text.endswith(f"Next: ktg export mine -o best.yaml {store}")
    assert f"ktg confirm mine {store} ktg export" in " ".join(printed(**place).split())
    learnt = " ".join(printed(interrupted=True, learn_from=("my cats",), width=200).split())
    assert "To go on: ktg search mine --resume --learn-from 'my cats' Next:" in learnt
    assert printed(interrupted=True, uri=STORE) == printed(interrupted=True)


def test_what_is_to_be_known_of_a_model_is_said_once():
    told = SimpleNamespace(classes={}, sentence="It is good.")
    result = make_result(best=object(), delivered=told, warnings=("shown before", "it is new"))
    page = io.StringIO()
    print_delivered(result, Screen(Console(file=page)), ["shown before"])
    assert "it is new" in page.getvalue()
    assert "shown before" not in page.getvalue()


def test_without_a_winner_nothing_is_next():
    assert "Next" not in printed(best=None, rows=())


@pytest.mark.slow
def test_json_is_the_whole_result_and_the_rest_goes_elsewhere(searched):
    assert {
        "best",
        "rows",
        "finished",
        "stopped",
        "failed",
        "duplicates",
        "epochs",
        "wall_s",
    } <= searched.result.keys()
    assert json.loads(json.dumps(searched.result)) == searched.result
    assert searched.shown.startswith("a search: 4 holes, ")
    assert "8 trials, sampler random, scheduler asha" in searched.shown.splitlines()[0]


@pytest.mark.slow
def test_a_search_that_is_over_stays_as_it_is_when_it_is_resumed(searched, tmp_path):
    shutil.copy(searched.folder / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    experiment = find_experiment("a search", uri)
    before = experiment.searches()
    done = ktg("search", "a search", "--resume", "--json", "--tracking-uri", uri, folder=tmp_path)
    assert done.code == 0
    said = "a search: this search is finished, and stays as it is; for more trials: "
    go_on = f"ktg search 'a search' --resume --trials 16 --tracking-uri {uri}"
    assert done.err == f"{said}{go_on}\n"
    again = json.loads(done.out)
    same = (
        "best",
        "finished",
        "stopped",
        "failed",
        "duplicates",
        "epochs",
        "epochs_saved",
        "commonest_failure",
    )
    assert {name: again[name] for name in same} == {name: searched.result[name] for name in same}
    for row, known in zip(again["rows"], searched.result["rows"], strict=True):
        assert row == known | {"train_s": pytest.approx(known["train_s"], abs=1e-3)}
    assert again["wall_s"] == pytest.approx(before[0].end_s - before[0].start_s)
    assert experiment.searches() == before
    assert ktg("status", "a search", "--tracking-uri", uri, folder=tmp_path).out == (
        ktg("status", "a search", "--tracking-uri", searched.uri, folder=tmp_path).out
    )


SPACE = """\
data: {name: digits}
nodes: {n0: {model: resnet8}}
edges: {label -> n0: {gate: {choice: [through, linear]}}}
search: {trials: 2, sampler: random}
"""


@pytest.mark.slow
def test_what_cannot_be_learnt_from_is_told_before_anything_else(searched, tmp_path):
    (tmp_path / "new.yaml").write_text(SPACE)
    words = ("search", "new.yaml", "--tracking-uri", searched.uri, "--learn-from")
    unknown = ktg(*words, "a serch", folder=tmp_path)
    assert unknown.code == 2
    assert "'a serch'" in unknown.err
    assert "a search" in unknown.err
    random = ktg(*words, "a search", folder=tmp_path)
    said = "--learn-from: the sampler random learns nothing; allowed for search.sampler: tpe, gp"
    assert (random.code, random.err.splitlines()[-1]) == (2, f"ktg: {said}")
