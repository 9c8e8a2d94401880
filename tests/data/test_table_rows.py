"""Rows of CSV and JSON lines, and what is said of files that are neither."""

import json

import pytest

from ktg.data.table_rows import is_text, read_rows
from ktg.errors import DataError


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a table and reads its rows."""

    def rows(content: str | bytes, name: str = "t.csv") -> list[tuple[int, list[str]]]:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(number, [*cells]) for number, cells in read_rows(file, name, "a table of labels")]

    return rows


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"'])
def test_a_first_line_for_excel_names_the_delimiter(read, first):
    # Of more commas than semicolons.
    rows = read(f"{first}\r\nfile;what, in all\r\n\r\na.png;x, y, z\r\n")
    assert rows == [(2, ["file", "what, in all"]), (4, ["a.png", "x, y, z"])]


def test_a_text_with_an_unquoted_delimiter_is_refused_and_not_cut_off(read):
    assert read('file,label\na.png,"shark, tiger"\nb.png,,,\n')[1:] == [
        (2, ["a.png", "shark, tiger"]),
        (3, ["b.png", "", "", ""]),
    ]
    said = r"t.csv: line 3: 3 cells for 2 columns, the last 'tiger'; put a text with the delimiter"
    with pytest.raises(DataError, match=said):
        read("file,label\na.png,cat\nb.png,shark, tiger\n")


def test_keys_of_any_line_are_columns_and_nan_is_nothing(read):
    lines = [{"file": "a"}, {"split": "test", "file": "b"}, {"file": None, "n": float("nan")}]
    text = "\n" + "\n".join(map(json.dumps, lines))
    assert read(text, "t.jsonl") == [
        (2, ["file", "split", "n"]),
        (2, ["a", "", ""]),
        (3, ["b", "test", ""]),
        (4, ["", "", ""]),
    ]
    assert read("", "t.jsonl") == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [('{"file": b}', "line 3, column 10: Expecting value"), ("[1]", "line 3 is no JSON object")],
)
def test_a_broken_line_of_json_is_named(read, broken, said):
    with pytest.raises(DataError, match=rf"^t.jsonl cannot be read as a table of labels \({said}"):
        read(f'{{"file": "a"}}\n\n{broken}\n', "t.jsonl")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("file,label\na.png,cat\n".encode("utf-16"), "t.csv"),
        ("file,label\na.png,cat\n".encode("utf-16-be"), "t.csv"),
        (b"PK\3\4\0\0", "t.csv"),
    ],
)
def test_what_is_no_text_in_utf_8_says_how_to_save_it(read, content, name):
    said = "t.csv cannot be read as a table of labels .it is not text in UTF-8; save it as CSV in"
    with pytest.raises(DataError, match=said):
        read(content, name)


def test_bytes_of_names_of_files_are_kept(read):
    (_, heading), (_, cells) = read(b"file,label\ncaf\xe9.png,caf\xc3\xa9\n")
    assert (heading, cells) == (["file", "label"], ["caf\udce9.png", "café"])
    assert [is_text(cell) for cell in cells] == [False, True]
