import json

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from ktg.cli.source import source
from ktg.errors import DataError

SMALL = ["--size", "20", "--points", "500"]


def run(*arguments):
    return CliRunner().invoke(
        source, ["fractal", *arguments], catch_exceptions=False, standalone_mode=False
    )


def test_render_writes_a_folder_and_goes_on_with_it(tmp_path):
    out = ["render", "--out", str(tmp_path / "db"), "--instances", "1", "--threads", "1", *SMALL]
    done = run(*out, "--categories", "1", "--json")
    told = json.loads(done.stdout)
    assert told == {"folder": str(tmp_path / "db"), "classes": 1, "pictures": 100, "written": 100}
    with pytest.raises(DataError, match="add --resume"):
        run(*out, "--categories", "2")
    done = run(*out, "--categories", "2", "--resume")
    assert "2 classes, 200 pictures, 100 of them written now" in done.stdout
    assert (tmp_path / "db/00001/00001_24_count_0_flip3.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "size"),
    [(["--family", "svd"], (42, 20)), (["--family", "ofdb", "--point", "--colour"], (42, 20))],
)
def test_sheet_draws_every_family(tmp_path, arguments, size):
    run(
        "sheet",
        "-o",
        str(tmp_path / "sheet.png"),
        "--rows",
        "1",
        "--columns",
        "2",
        *SMALL,
        *arguments,
    )
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == size


def test_an_option_of_another_family_is_refused(tmp_path):
    with pytest.raises(
        click.UsageError, match="--scale is an option of fractaldb and ofdb, not of onep"
    ):
        run("render", "--out", str(tmp_path / "db"), "--family", "onep", "--scale", "0.1")
    assert not (tmp_path / "db").exists()


def test_a_sheet_of_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(click.UsageError, match=r"ends in \.txt; allowed: \.png"):
        run("sheet", "-o", str(tmp_path / "sheet.txt"))
