import dataclasses
import math
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, trains

from ktg.errors import SpecError
from ktg.graph import Data, Edge, Node, Search, SourceFile, Train
from ktg.graph.fields import from_plain, read_scalars, to_plain, type_hints


@pytest.mark.parametrize(
    ("kind", "raw", "message"),
    [
        (Train, [], "x: expected a mapping (key: value), got []"),
        (Train, {1: 2}, "x: the key 1 is not a string; put it in quotes"),
        (Train, {"epoch": 2}, "x.epoch: unknown key; allowed here: epochs,"),
        (Train, {"epochs": 2.0}, "x.epochs: expected a whole number, got 2.0"),
        (Train, {"epochs": True}, "x.epochs: expected a whole number, got True"),
        (Train, {"epochs": None}, "x.epochs: expected a whole number, got None"),
        (Train, {"epochs": -1}, "x.epochs: must be at least 0, got -1"),
        (Train, {"lr": "0.1"}, "x.lr: expected a number, got '0.1'"),
        (Train, {"lr": False}, "x.lr: expected a number, got False"),
        (Train, {"lr": 0}, "x.lr: must be greater than 0, got 0.0"),
        (Train, {"lr": math.nan}, "x.lr: expected a finite number, got nan"),
        (Train, {"lr": 10**400}, "x.lr: expected a finite number, got inf"),
        (Train, {"lr": -(10**400)}, "x.lr: expected a finite number, got "),
        (Train, {"momentum": 1}, "x.momentum: must be less than 1, got 1.0"),
        (Train, {"step_factor": 1.5}, "x.step_factor: must be at most 1, got 1.5"),
        (Train, {"nesterov": 1}, "x.nesterov: expected true or false, got 1"),
        (Train, {"milestones": [60, "a"]}, "x.milestones[1]: expected a whole number, got 'a'"),
        (Train, {"milestones": [0, 60]}, "x.milestones[0]: must be at least 1, got 0"),
        (
            Train,
            {"optimizer": "sdg"},
            "x.optimizer: 'sdg' is not a value of `optimizer`; allowed: sgd, adamw, adam.",
        ),
        (Train, {"optimizer": ["sgd"]}, "x.optimizer: ['sgd'] is not a value of `optimizer`"),
        (Train, {"optimizer": "sdg"}, "Did you mean 'sgd'?"),
        (Node, {}, "x.model: is missing; a timm or torchvision classification model"),
        (Node, {"model": ""}, "x.model: must not be empty"),
        (Node, {"model": "a\0b"}, "x.model: must not hold a NUL character"),
        (
            Node,
            {"model": "a", "model_args": {"b": [1]}},
            "x.model_args.b: expected a single value, got [1]",
        ),
        (
            Node,
            {"model": "a", "model_args": {"b": math.inf}},
            "x.model_args.b: expected a finite number, got inf",
        ),
        (Node, {"model": "a", "unfreeze_from": "3"}, "x.unfreeze_from: expected a number, got '3'"),
        (
            Node,
            {"model": "a", "unfreeze_from": True},
            "x.unfreeze_from: expected a number, got True",
        ),
        (Node, {"model": "a", "unfreeze_from": [3]}, "x.unfreeze_from: expected a number, got [3]"),
        (Node, {"model": "a", "unfreeze_from": -1}, "x.unfreeze_from: must be at least 0, got -1"),
        (
            Node,
            {"model": "a", "unfreeze_from": math.inf},
            "x.unfreeze_from: expected a finite number, got inf",
        ),
        (
            Node,
            {"model": "a", "backbone_lr_scale": 0},
            "x.backbone_lr_scale: must be greater than 0, got 0.0",
        ),
        (
            Node,
            {"model": "a", "backbone_lr_scale": 2},
            "x.backbone_lr_scale: must be at most 1, got 2.0",
        ),
        (SourceFile, {"path": "a", "std": [0.5, 0]}, "x.std[1]: must be greater than 0, got 0.0"),
    ],
)
def test_mistakes_are_explained(kind, raw, message):
    with pytest.raises(SpecError) as caught:
        from_plain(kind, raw, "x")
    assert message in str(caught.value)


def test_numbers_become_what_the_field_is():
    train = from_plain(Train, {"lr": 1, "milestones": 5}, "train")
    assert type(train.lr) is float
    assert train.milestones == (5,)
    assert from_plain(Node, {"model": "a", "lr": None}, "n").lr is None


@pytest.mark.parametrize("value", [3, 0, 0.65, 1.0, None])
def test_a_number_that_may_be_whole_stays_what_it_is(value):
    lock_and_read_past = from_plain(Node, {"model": "a", "unfreeze_from": value}, "n").unfreeze_from
    assert (lock_and_read_past, type(lock_and_read_past)) == (value, type(value))


@pytest.mark.parametrize("kind", [Data, Train, SourceFile, Node, Edge, Search])
def test_every_default_obeys_its_own_rule(kind):
    defaults = {
        f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING
    }
    needed = {"model": "a", "path": "a", "loss": "kl"}
    given_fields = {
        f.name: needed[f.name] for f in dataclasses.fields(kind) if f.name in needed
    } | defaults
    given_fields = {k: v for k, v in given_fields.items() if not (kind is Data and k == "path")}
    assert from_plain(kind, given_fields, "x") == from_plain(
        kind, {k: v for k, v in given_fields.items() if k in needed}, "x"
    )


@given(trains)
def test_write_leaves_out_defaults_and_read_restores_them(train):
    plain = to_plain(train)
    assert all(plain[name] != getattr(Train(), name) for name in plain)
    assert from_plain(Train, plain, "train") == train


@pytest.mark.slow
@given(graphs())
def test_every_node_and_edge_survives(graph):
    for node in graph.nodes.values():
        assert from_plain(Node, to_plain(node), "n") == node
    for edge in graph.edges.values():
        assert from_plain(Edge, to_plain(edge), "e") == edge


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_scalars_keeps_single_values(plain):
    assert read_scalars(plain, "provenance") == plain


def test_scalars_refuses_structure():
    with pytest.raises(SpecError, match=r"provenance\.a: expected a single value"):
        read_scalars({"a": {"b": 1}}, "provenance")


def test_type_hints_are_resolved():
    assert type_hints(Train)["lr"] is float
    assert typing.get_origin(type_hints(Edge)["over"]) is typing.Literal


def test_a_list_where_one_value_belongs_is_shown_how_to_become_a_hole():
    with pytest.raises(
        SpecError,
        match=r"train.lr: expected a number, got \[0.1, 0.2\]; .* write {choice: \[...\]}",
    ):
        from_plain(Train, {"lr": [0.1, 0.2]}, "train")
