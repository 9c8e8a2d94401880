"""`ktg compare`: a table, a page, and what it refuses."""

import json
import shutil

import pytest
from command import ktg
from records import going_on
from webpage import look_up, read


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
