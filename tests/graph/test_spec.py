import dataclasses

import pytest

from ktg.graph import Data, Edge, Graph, Node, Search, SourceFile, Train

RECORDS = [Data, Train, SourceFile, Node, Edge, Search]


@pytest.mark.parametrize("kind", RECORDS)
def test_every_field_is_documented_with_a_sentence(kind):
    for field in dataclasses.fields(kind):
        assert field.metadata["doc"].endswith("."), field.name
        assert set(field.metadata["bounds"]) <= {"above", "at_least", "below", "at_most"}


@pytest.mark.parametrize("kind", RECORDS)
def test_records_are_frozen(kind):
    name = dataclasses.fields(kind)[0].name
    required = {"path": "x"} if kind is SourceFile else {"model": "x"} if kind is Node else {}
    record = kind(**({"loss": "ce"} if kind is Edge else required))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)


def test_first_node_is_the_target():
    graph = Graph(
        data=Data(name="digits"), nodes={"b": Node(model="x"), "a": Node(model="x")}, edges={}
    )
    assert graph.target == "b"
