"""Options of several commands: what cannot be written, reached or found is said before any work."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from ktg.cli.options import check_writable, percent, warner
from ktg.errors import UserError

# /proc takes no new files from anyone, root included.
NOWHERE = Path("/proc")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/proc/best.yaml", "cannot write into /proc"),
        ("tiny.npz/best.yaml", "there is no folder"),
        ("missing/best.yaml", "there is no folder"),
        (".", "is a folder; give the name of a file"),
    ],
)
def test_an_output_that_cannot_be_written(refused, output, said):
    for words in (["export", "quickstart"], ["graph", "show", "graph.yaml"]):
        sentence = refused(*words, "-o", output)
        assert said in sentence
        assert sentence.startswith(f"{output}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_or_a_file_without_the_right_to_write(tmp_path):
    file = tmp_path / "best.yaml"
    file.touch(mode=0o444)
    with pytest.raises(UserError, match="may not be written"):
        check_writable(file)
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="cannot write into"):
        check_writable(tmp_path / "new.yaml")


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "best.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("file:./mlruns", "MLflow no longer keeps runs in plain folders; allowed: sqlite:///FILE"),
        ("sqlit:///x.db", "MLflow has no store of this kind"),
        ("sqlite:///missing/x.db", "there is no folder"),
        ("sqlite://", "an SQLite store needs a file"),
        ("sqlite:////proc/x.db", "cannot write into /proc"),
    ],
)
@pytest.mark.parametrize("words", [("search", "space.yaml"), ("train", "graph.yaml")])
def test_a_store_that_cannot_be(refused, words, uri, said):
    assert said in refused(*words, "--tracking-uri", uri)


@pytest.mark.parametrize("device", ["cud", "cuda:99", "mps", "meta", "cpu:1", ""])
def test_a_device_that_is_none_or_not_here(refused, device):
    assert refused("train", "graph.yaml", "--device", device).startswith("--device: ")


def test_a_warning_is_printed_as_it_is():
    page = io.StringIO()
    console = Console(file=page, width=40)
    warner(console)("[bold]a/b[/bold] " + 60 * "x")
    assert page.getvalue() == "[bold]a/b[/bold] " + 60 * "x" + "\n"


def test_percent():
    assert percent(0.91236) == "91.24 %"
