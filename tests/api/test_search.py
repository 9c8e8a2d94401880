"""Searches from Python."""

import pytest
from command import graph_file
from records import written

import ktg
from ktg.api.listener import Listener
from ktg.api.search import look_at_earlier_searches
from ktg.errors import UserError
from ktg.graph.yaml_files import load
from ktg.tracking import MemoryTracker

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_listener_hears_how_many_searches_an_experiment_has(tmp_path):
    uri, said = f"sqlite:///{tmp_path}/mlflow.db", []
    listener = Listener(say=said.append)
    look_at_earlier_searches("birds", uri, MemoryTracker(), listener)
    assert not said
    for _ in range(2):
        written(uri, "birds", ("finished", [0.1, 0.2, 0.3]))
    look_at_earlier_searches("birds", uri, MemoryTracker(), listener)
    look_at_earlier_searches("birds", uri, MemoryTracker(), None)
    assert said == [
        "a new search is added to experiment birds, which holds 2 searches; "
        "another --seed makes it differ"
    ]


def test_what_needs_a_store_is_refused_without_one(tiny, tmp_path):
    file = graph_file(tmp_path / "space.yaml", tiny, train={"lr": {"choice": [0.05, 0.1]}})
    for options in ({"confirm": 1}, {"resume": True}):
        with pytest.raises(UserError, match="needs a store to read the search from"):
            ktg.search(file, tracking_uri=None, **options)
