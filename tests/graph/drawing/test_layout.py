import itertools

import pytest

from ktg.graph import parse
from ktg.graph.drawing.layout import lay_out, shorten

LONG = "vit_small_patch16_224.augreg_in21k_ft_in1k"


def graph(count, edges, model="resnet32"):
    nodes = {f"n{i}": {"model": model, "source": "imagenet"} for i in range(count)}
    return parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edges})


@pytest.mark.parametrize("model", ["resnet32", LONG])
@pytest.mark.parametrize("count", range(1, 8))
def test_nothing_covers_anything_in_the_fullest_graph(count, model):
    edges = {"label -> any": {"weight": 0.5}} | ({"any -> any": {}} if count > 1 else {})
    layout = lay_out(graph(count, edges, model))
    for a, b in itertools.combinations(list(layout.boxes()), 2):
        assert not a.overlaps(b)
    for (source, target), arrow in layout.arrows.items():
        for name, card in layout.cards.items():
            inside = sum(map(card.outline.holds, arrow.curve.points(100)))
            assert inside == 0, f"{source} -> {target} runs through {name}"


@pytest.mark.parametrize("count", range(2, 8))
def test_the_target_is_on_the_right(count):
    layout = lay_out(graph(count, {"label -> n0": {}}))
    target, *others = layout.cards.values()
    assert all(target.box.x > other.box.x for other in others)


def test_what_every_node_is():
    edges = {
        "n1 -> n0": {},
        "n2 -> n1": {},
        "n0 -> n3": {},
        "label -> n3": {},
        "n4 -> n0": {"gate": "cutoff"},
    }
    cards = lay_out(graph(5, edges)).cards
    roles = {name: card.role for name, card in cards.items()}
    assert roles == {
        "n0": "target",
        "n1": "student",
        "n2": "teacher",
        "n3": "unused",
        "n4": "unused",
    }
    assert cards["n2"].lines[0] == "n2 · teacher"


def test_every_live_network_of_an_ensemble_is_a_target():
    edges = {"label -> n0": {}, "n1 -> n0": {}, "n0 -> n2": {"gate": "cutoff"}}
    plain = {
        "data": {"name": "digits"},
        "nodes": {f"n{i}": {"model": "resnet8"} for i in range(3)},
        "edges": edges,
    }
    cards = lay_out(parse(plain | {"target": "ensemble"})).cards
    assert {name: card.role for name, card in cards.items()} == {
        "n0": "target",
        "n1": "target",
        "n2": "unused",
    }
    assert cards["n1"].lines[0] == "n1 · ensemble"


def test_edges_to_unused_nodes_do_not_matter():
    arrows = lay_out(graph(2, {"label -> n0": {}, "n0 -> n1": {}})).arrows
    assert {pair: arrow.matters for pair, arrow in arrows.items()} == {
        ("label", "n0"): True,
        ("n0", "n1"): False,
    }


@pytest.mark.parametrize(
    ("source", "frozen", "says"),
    [
        ("none", 0, "no pretraining"),
        ("imagenet", 5, "imagenet · frozen 5 ep"),
        ("/data/my weights/best.safetensors", 0, "best.safetensors"),
        ("zoo/fractal/abc.safetensors", 0, "abc.safetensors"),
        (r"C:\weights\best.pth", 0, "best.pth"),
    ],
)
def test_the_source_in_few_words(source, frozen, says):
    node = {"model": "resnet32", "source": source, "frozen_epochs": frozen}
    raw = {"data": {"name": "digits"}, "nodes": {"n0": node}, "edges": {"label -> n0": {}}}
    assert lay_out(parse(raw)).cards["n0"].lines == ("n0 · target", "resnet32", says)


def test_only_what_is_unusual_is_noted():
    edges = {
        "label -> n0": {"weight": 0.5},
        "n1 -> n0": {},
        "n1 -> n2": {"loss": "attention", "weight": "learned"},
        "n2 -> n0": {
            "loss": "js",
            "weight": 2,
            "temperature": 4,
            "gate": "correct",
            "over": "kept",
        },
    }
    notes = {pair: arrow.note for pair, arrow in lay_out(graph(3, edges)).arrows.items()}
    assert list(notes.values()) == ["×0.5", "", "js ×2 T=4 of kept", "attention ×learned"]  # noqa: RUF001


def test_what_all_edges_share_is_said_once():
    layout = lay_out(graph(3, {"label -> n0": {}, "any -> any": {"temperature": 4}}))
    assert layout.common_note == "T=4"
    assert not any(arrow.note for arrow in layout.arrows.values())


def test_a_note_gives_way_to_other_edges():
    """n0 -> n2 and n1 -> n3 cross in their middle."""
    layout = lay_out(
        graph(4, {"label -> n0": {}, "n2 -> n0": {"temperature": 4}, "n1 -> n3": {"weight": 0.5}})
    )
    boxes = [layout.arrows[pair].note_box for pair in (("n2", "n0"), ("n1", "n3"))]
    curves = [layout.arrows[pair].curve for pair in (("n1", "n3"), ("n2", "n0"))]
    for box, curve in zip(boxes, curves, strict=True):
        assert not any(map(box.holds, curve.points(100)))


def test_shorten_keeps_both_ends():
    assert shorten("resnet32") == "resnet32"
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert len(shorten(LONG)) == 24
