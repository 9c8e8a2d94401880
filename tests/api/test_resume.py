"""What may change before a search goes on, and what is advised for one that is over."""

from types import SimpleNamespace

import pytest

from ktg.api.resume import ask_for_more, check_same, list_new_options, name_search_places
from ktg.errors import UserError
from ktg.graph import parse_space


def given(models=("resnet8", "resnet14"), **search):
    return parse_space(
        {
            "data": {"name": "digits"},
            "nodes": {"n0": {"model": {"choice": [*models]}}},
            "edges": {"label -> n0": {}},
            "search": search,
        }
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("metric", "loss"), ("folds", 3), ("baselines", False), ("alone_share", 0.5)],
)
def test_a_search_goes_on_only_by_what_its_trials_were_made_by(key, value):
    with pytest.raises(UserError, match=rf"x\.yaml: search\.{key}: .* `ktg search x --resume`"):
        check_same(given(**{key: value}), given(), "x", "x.yaml")
    check_same(given(trials=7, sampler="random", seed=3, budget="9m"), given(), "x", "x.yaml")


def test_an_option_that_a_search_began_without_is_named():
    more = given(("resnet8", "resnet14", "resnet20"))
    check_same(more, given(), "x", "x.yaml")
    assert list_new_options(more, given()) == ["'resnet20' of nodes.n0.model"]
    assert list_new_options(given(), given()) == []
    with pytest.raises(UserError, match=r"x\.yaml: has changed since the search began; go on"):
        check_same(given(), more, "x", "x.yaml")


@pytest.mark.parametrize(
    ("search", "options"),
    [
        ({"budget": "4m"}, ["--budget", "480s"]),
        ({"budget": "4m", "trials": 5}, ["--budget", "480s", "--trials", "10"]),
        ({"trials": 5}, ["--trials", "10"]),
        ({}, ["--trials", "200"]),
    ],
)
def test_what_is_advised_for_more_trials_gives_more_of_what_ended_the_search(search, options):
    assert ask_for_more(SimpleNamespace(space=given(**search))) == options


def test_a_search_that_goes_on_is_told_again_what_it_learns_from():
    known = name_search_places(None, "drop", ("my birds", "cats"), out="out", address=None)
    learnt = ["--learn-from", "my birds", "--learn-from", "cats"]
    assert known == [*learnt, "--out", "out", "--missing-sources", "drop"]
    assert name_search_places(None) == []
