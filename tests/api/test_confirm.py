"""A confirmation, and a distillation, of a search that left a model brings its page up to date."""

import json
import sys
from types import SimpleNamespace

import pytest
from records import written

import ktg
from ktg.api.confirm import run_confirmation
from ktg.api.listener import Listener
from ktg.errors import UserError
from ktg.graph import dump, parse
from ktg.graph.yaml_files import save
from ktg.tracking import attach, find_experiment


@pytest.fixture
def delivered(new_store, tmp_path):
    """The store of a search and the folder with its model's graph and page."""
    uri = new_store()
    written(uri, "pets", ("finished", [0.1, 0.2, 0.3]))
    node = {"data": {"name": "digits"}, "nodes": {"n0": {"model": "resnet8"}}}
    graph = {**node, "edges": {"label -> n0": {}}, "provenance": {"experiment": "pets"}}
    save(tmp_path / "best.yaml", dump(parse(graph)))
    (tmp_path / "report.html").write_text("from before")
    told = dict.fromkeys(("sentence", "warning", "accuracy", "loss", "auroc", "images"))
    told |= {"classes": {}, "folder": str(tmp_path)}
    run = find_experiment("pets", uri).searches()[0].run
    attach("pets", uri, run, "delivered.json", json.dumps(told))
    return SimpleNamespace(uri=uri, folder=tmp_path, page=tmp_path / "report.html")


def test_the_page_beside_the_model_is_written_again(delivered, monkeypatch):
    module = sys.modules["ktg.api.confirm"]  # `ktg.api.confirm` is the function
    search = find_experiment("pets", delivered.uri).searches()[0]
    found = SimpleNamespace(search=search.id)
    monkeypatch.setattr(module, "run_confirmation", lambda *_: found)
    written(delivered.uri, "pets", ("finished", [0.5, 0.6, 0.7]))  # it began meanwhile
    assert ktg.confirm("pets", tracking_uri=delivered.uri) is found
    assert "<h1>pets</h1>" in delivered.page.read_text()
    experiment = find_experiment("pets", delivered.uri)
    newest = experiment.searches()[0]
    assert "report.html" in experiment.artifacts(search)
    assert "report.html" not in experiment.artifacts(newest)


def test_the_search_that_is_meant_is_confirmed(delivered):
    written(delivered.uri, "pets", ("failed", []))
    newest = find_experiment("pets", delivered.uri).searches()[0]
    with pytest.raises(UserError, match="experiment 'pets' has no finished trial"):
        run_confirmation("pets", 1, 2, delivered.uri, run=newest.run)


def test_so_it_is_after_a_distillation_which_leaves_a_model_elsewhere(delivered, monkeypatch):
    found, said = SimpleNamespace(to_json=lambda: {"sentence": "as good"}), []
    monkeypatch.setattr("ktg.exporting.distill.distill_search", lambda *_, **__: found)
    out = delivered.folder / "small"
    listener = Listener(say=said.append)
    assert ktg.distill("pets", out=out, tracking_uri=delivered.uri, listener=listener) is found
    assert "<h1>pets</h1>" in delivered.page.read_text()
    assert said == [f"Report: {delivered.page}"]
