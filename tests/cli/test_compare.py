"""`ktg compare`: a table, a page, and what it refuses."""

import io
import json
import shutil

import pytest
from command import ktg
from records import going_on
from rich.console import Console
from webpage import look_up, read

from ktg.cli.compare import print_comparison


@pytest.fixture(scope="module")
def two(searched, tmp_path_factory):
    """A folder with a store of two searches."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copy(searched.folder / "mlflow.db", folder)
    with going_on(f"sqlite:///{folder}/mlflow.db", "fewer <b>", ("finished", [0.1, 0.2, 0.5])):
        yield folder


@pytest.mark.slow
def test_two_searches_side_by_side(two):
    done = ktg("compare", "a search", "fewer <b>", "-o", "compare.html", folder=two)
    assert (done.code, done.err) == (0, "")
    assert "(unfinished)" in done.out
    assert "They did not choose by the same images: accuracies cannot be compared." in done.out
    assert "search.trials" in done.out
    assert done.out.endswith("written to compare.html\n")
    told = json.loads(ktg("compare", "a search", "fewer <b>", "--json", folder=two).out)
    assert [row["values"] for row in told["differences"] if row["place"] == "train.epochs"] == [
        ["4", "3"]
    ]
    assert [search["best"]["val_accuracy"] for search in told["searches"]] == [1.0, 0.5]
    assert [search["alone"] for search in told["searches"]] == [1.0, None]
    assert [search["best"]["level"]["text"] for search in told["searches"]] == [
        "100.00 %",
        "50.00 %",
    ]
    assert [search["alone_level"] is None for search in told["searches"]] == [False, True]
    page = read((two / "compare.html").read_text(encoding="utf-8"))
    assert "b" not in page.elements
    for path, (value, _) in page.numbers.items():
        assert float(value) == look_up(told, path), path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a search",), "compare: at least two experiments are needed; `ktg report` shows one"),
        (("a search", "a search"), "'a search' is given twice"),
        (("a search", "fewr <b>"), "Did you mean 'fewer <b>'?"),
    ],
)
def test_mistakes_are_one_sentence_and_no_file(two, names, said):
    done = ktg("compare", *names, "-o", "absent.html", folder=two)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (two / "absent.html").exists()


def test_scores_are_those_of_new_seeds_by_the_metric_of_each_search():
    level = {"metric": "balanced_accuracy", "words": "balanced accuracy", "text": "60.00 %", "n": 3}
    search = {"experiment": "birds", "unfinished": False, "of": 1, "metric": "balanced_accuracy"}
    search["cost"] = {"trials": 9, "states": {}, "epochs": 12, "device_s": 4.0}
    first = search | {"best": {"level": level}, "alone_level": None}
    other = level | {"words": "loss", "text": "0.3000", "n": 0}
    second = search | {"metric": "loss", "best": {"level": other}, "alone_level": other}
    page = io.StringIO()
    data = {"searches": [first, second], "same_data": True, "differences": []}
    print_comparison(data, Console(file=page, width=80))
    text = " ".join(page.getvalue().split())
    assert "60.00 % (3) │ -" in text
    assert "0.3000 │ 0.3000" in text
    assert "They did not choose by the same metric" in text
    assert "loss)" in text
    print_comparison(data | {"searches": [first, first]}, Console(file=page, width=80))
    assert "Validation split, balanced accuracy; (n): mean of n new seeds" in page.getvalue()
    assert page.getvalue().count("same metric") == 1
    assert max(map(len, page.getvalue().splitlines())) <= 80
