"""Searches from Python."""

import pytest
from command import graph_file

import ktg
from ktg.errors import UserError
from ktg.graph.yaml_files import load

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_search_by_plain_data_gives_a_result(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = load(
        graph_file(tmp_path / "space.yaml", tiny, search={"trials": 1, "baselines": False})
    )
    space["train"]["lr"] = {"choice": [0.05, 0.1]}
    result = ktg.search(space, name="mine", tracking_uri=None)
    assert (result.name, result.finished) == ("mine", 1)
    assert result.best is not None
    assert not list(tmp_path.glob("mlflow*"))


def test_report_and_compare_are_those_of_the_commands(searched, tmp_path):
    data = ktg.report("a search", tmp_path / "page.html", tracking_uri=searched.uri)
    assert data["comparison"][0]["val_accuracy"] == searched.result["rows"][0]["accuracy"]
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(UserError, match="at least two experiments are needed"):
        ktg.compare("a search", tracking_uri=searched.uri)
    with pytest.raises(UserError, match="there is no folder"):
        ktg.report("a search", tmp_path / "absent" / "page.html", tracking_uri=searched.uri)
