"""What is found before a confirmation, or the search before it, costs anything."""

import dataclasses
import shutil

import pytest
from command import graph_file

from ktg.data.open import open_test
from ktg.errors import DataError, UserError
from ktg.graph import load_space
from ktg.searching.confirm import check as module
from ktg.searching.confirm.check import check, check_test
from ktg.searching.confirm.finalists import read_finalists
from ktg.tracking import find_experiment

pytestmark = pytest.mark.slow  # the search that is confirmed runs on Ray


@pytest.fixture(scope="module")
def chosen(searched):
    return read_finalists(find_experiment("a search", searched.uri), 1)


def test_the_data_and_the_test_split_are_opened_once_for_all_graphs(chosen, monkeypatch):
    opened = []
    for name in ("open_data", "open_test"):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda spec, o=original, n=name, **how: opened.append(n) or o(spec, **how)
        )
    images, labels = check(chosen, None)
    assert opened == ["open_data", "open_test"]
    (spec,) = {each.graph.data for each in chosen.graphs}
    named = {
        "data.fingerprint": chosen.search.run.tags["data.fingerprint"],
        "data.test": open_test(spec).fingerprint_with_labels,
    }
    assert images == {each.trial: named for each in chosen.graphs}
    assert len(labels) == 32


def test_data_that_are_not_those_of_the_search_any_more_are_refused(chosen):
    run = chosen.search.run
    run = dataclasses.replace(run, tags={**run.tags, "data.fingerprint": "another"})
    search = dataclasses.replace(chosen.search, run=run)
    with pytest.raises(DataError, match="the data have changed since the search"):
        check(dataclasses.replace(chosen, search=search), None)


def test_weights_that_are_gone_are_refused(chosen, tmp_path):
    graph = chosen.graphs[0].graph
    node = dataclasses.replace(graph.nodes["n0"], source=str(tmp_path / "gone.safetensors"))
    changed = dataclasses.replace(
        chosen.graphs[0], graph=dataclasses.replace(graph, nodes={**graph.nodes, "n0": node})
    )
    with pytest.raises(UserError, match=r"gone\.safetensors"):
        check(dataclasses.replace(chosen, graphs=(changed,)), None)


def test_a_search_that_could_not_be_confirmed_is_refused_before_it_begins(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    space = load_space(
        graph_file(
            tmp_path / "space.yaml",
            tmp_path / "photos",
            data={"size": 16},
            train={"lr": {"choice": [0.1, 0.2]}},
            search={"trials": 2},
        )
    )
    check_test(space, 5)  # two trials and three baselines
    with pytest.raises(
        UserError, match="--confirm: 6 graphs are asked for, and the search trains 5 at most"
    ):
        check_test(space, 6)
    for file in (tmp_path / "photos" / "test" / "noon").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="no images in test/noon"):
        check_test(space, 1)
