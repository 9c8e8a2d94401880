"""Tables are read with every mistake named by its row."""

from pathlib import Path

import numpy as np
import pytest

from ktg.affinity.table import read_table
from ktg.errors import DataError

GOOD = "model,data,score,accuracy\na,x,1,0.5\nb,x,2,0.6\nc,y,3,0.7\nd,y,4,0.8\n"


@pytest.fixture
def write(tmp_path: Path):
    def to_file(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def test_columns_become_scores_accuracy_and_names(write):
    table = read_table(write("# a comment\n\n" + GOOD.replace("score", " s 1 ")))
    assert list(table.scores) == ["s 1"]
    assert table.accuracy.tolist() == [0.5, 0.6, 0.7, 0.8]
    assert table.models == ("a/x", "b/x", "c/y", "d/y")
    assert {name: rows.tolist() for name, rows in table.rows_by_group().items()} == {
        "": [0, 1, 2, 3]
    }


def test_a_group_may_be_named_by_numbers_and_is_no_score(write):
    table = read_table(write("g,s,acc\n1,1,1\n1,2,2\n1,3,4\n2,1,1\n2,5,2\n2,3,3\n"), group="g")
    assert list(table.scores) == ["s"]
    assert {name: rows.tolist() for name, rows in table.rows_by_group().items()} == {
        "1": [0, 1, 2],
        "2": [3, 4, 5],
    }
    assert table.models[0] == "row 1"


def test_a_byte_order_mark_and_quoted_cells_are_read(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text(
        '"score","accuracy","model"\r\n1,0.1,"a, b"\r\n2,0.3,c\r\n3,0.2,d\r\n', encoding="utf-8-sig"
    )
    table = read_table(path)
    assert list(table.scores) == ["score"]
    assert table.models[0] == "a, b"
    np.testing.assert_array_equal(table.scores["score"], [1, 2, 3])


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        (
            GOOD.replace("accuracy", "result"),
            {},
            "no column accuracy or acc or test_accuracy; columns: model, data",
        ),
        (
            GOOD,
            {"accuracy": "acuracy"},
            "--accuracy: there is no column 'acuracy'.*Did you mean 'accuracy'",
        ),
        (GOOD, {"group": "dta"}, "--group: there is no column 'dta'.*Did you mean 'data'"),
        (GOOD, {"group": "accuracy"}, "both name"),
        (GOOD.replace("2,0.6", "nan,0.6"), {}, r"row 2 \(line 3\) has 'nan' for score"),
        (GOOD.replace("2,0.6", ",0.6"), {}, r"row 2 \(line 3\) has nothing for score"),
        (GOOD.replace("2,0.6", "many,0.6"), {}, r"row 2 \(line 3\) has 'many' for score"),
        ("# note\n" + GOOD.replace("0.8", "inf"), {}, r"row 4 \(line 6\) has 'inf' for accuracy"),
        ("model,score,accuracy\na,1,1\nb,2,2\n", {}, "2 rows; a correlation needs at least 3"),
        (GOOD, {"group": "data"}, "group x has 2 rows"),
        (
            GOOD.replace("0.6", "0.5").replace("0.7", "0.5").replace("0.8", "0.5"),
            {},
            "the same accuracy in every row",
        ),
        (GOOD.replace("b,x,2,0.6", "b,x,2"), {}, r"row 2 \(line 3\) has 3 cells; the header has 4"),
        (GOOD.replace("data", "model"), {}, "has model twice"),
        ("model,accuracy\na,1\nb,2\nc,3\n", {}, "at least one score"),
        ("", {}, "is empty"),
    ],
)
def test_a_mistake_is_one_sentence(write, text, options, problem):
    with pytest.raises(DataError, match=problem) as caught:
        read_table(write(text), **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="not UTF-8"):
        read_table(tmp_path / "image.csv")
