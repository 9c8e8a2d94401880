"""A file of class names is a line a name, and any other file is refused in a sentence."""

import os
from pathlib import Path

import pytest

from ktg.errors import DataError
from ktg.models.class_names import read_class_names


def test_a_file_has_a_name_a_line_without_blanks_around_it(tmp_path):
    (tmp_path / "n.txt").write_text("\ufefftench, Tinca tinca\n goldfish \n\n", encoding="utf-8")
    assert read_class_names(tmp_path / "n.txt") == ("tench, Tinca tinca", "goldfish")


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "line 1 is empty"), (b"a\n\nb", "line 2"), (b"\xff", "UTF-8")]
)
def test_a_file_of_names_that_is_none_is_refused(tmp_path, content, problem):
    (tmp_path / "n.txt").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_class_names(tmp_path / "n.txt")
    with pytest.raises(DataError, match="cannot be read as names"):
        read_class_names(tmp_path / "none.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    for place in (tmp_path, tmp_path / "pipe.txt", Path("/dev/zero")):
        with pytest.raises(DataError, match=f"^{place}: is no regular file"):
            read_class_names(place)
