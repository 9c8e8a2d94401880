"""`ktg source`: pictures by formulas, and what a model can start from on this machine."""

import json
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from command import ktg
from PIL import Image
from zoos import filled

from ktg.cli.source import source
from ktg.errors import DataError, UserError

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
    with pytest.raises(UserError, match=r"sheet\.txt: a picture is PNG, .* that ends in \.png"):
        run("sheet", "-o", str(tmp_path / "sheet.txt"))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(
        "KTG_ZOO", str(filled(tmp_path, ("animals", "resnet8"), ("fractaldb", "alexnet")).folder)
    )
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def listed(folder: Path, *words: str) -> dict[str, tuple[bool | None, str]]:
    found = json.loads(ktg("source", "list", *words, "--json", folder=folder).out)
    assert found["faults"] == []
    return {row["source"]: (row["here"], row["about"]) for row in found["sources"]}


@pytest.mark.usefixtures("zoo")
def test_list_for_a_model_of_ktg(tmp_path: Path):
    found = listed(tmp_path, "--model", "resnet8")
    assert list(found) == ["none", "imagenet", "fractaldb", "zoo/animals", "PATH"]
    assert found["imagenet"] == (False, "none are published for this model")
    assert found["fractaldb"] == (False, "make it: ktg source pretrain fractaldb --model resnet8")
    assert found["zoo/animals"] == (True, "animals")


@pytest.mark.usefixtures("zoo")
def test_list_for_a_model_of_torchvision_with_and_without_its_file(tmp_path: Path):
    found = listed(tmp_path, "--model", "torchvision/alexnet")
    assert list(found) == ["none", "imagenet", "fractaldb", "PATH"]
    assert found["fractaldb"][0] is True
    here, about = found["imagenet"]
    assert (here, about.startswith("downloaded at first use: https://")) == (False, True)
    file = tmp_path / "hub" / "checkpoints" / about.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    file.touch()
    assert listed(tmp_path, "--model", "alexnet")["imagenet"] == (True, f"cached: {file}")


@pytest.mark.usefixtures("zoo")
def test_list_has_what_comes_with_ktg_unless_a_zoo_is_named(tmp_path: Path):
    assert listed(tmp_path, "--model", "resnet20")["zoo/fractals"][0] is True
    assert "zoo/fractals" in listed(tmp_path)
    assert "zoo/fractals" not in listed(tmp_path, "--zoo", "zoo")


@pytest.mark.usefixtures("zoo")
def test_list_of_all_on_80_columns(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = ktg("source", "list", folder=tmp_path)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    for name in ("none", "imagenet", "zoo/animals", "fractaldb", "PATH"):
        assert f"\n  {name} " in done.out
    done = ktg("source", "list", "--model", "resnt8", folder=tmp_path)
    assert (done.code, done.err.endswith("Did you mean 'resnet8'?\n")) == (2, True)
