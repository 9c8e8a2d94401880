"""The losses of a graph against reference numbers and identities."""

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from ktg.graph import Edge, parse
from ktg.graph.canonical import _USED_BY
from ktg.graph.vocabulary import LABEL_LOSSES, LossName
from ktg.training.edge_losses import (
    LOSSES,
    EdgeInputs,
    NodeOutputs,
    edge_losses,
    node_losses,
)
from ktg.training.losses import ce, log_probabilities


def test_every_loss_name_has_a_function_and_no_other():
    assert set(LOSSES) == set(get_args(LossName))


GATES = ["through", "cutoff", "linear", "correct"]


def graph_of(gates: np.ndarray, **train):
    """Return the graph of a matrix: row 0 the label's edges, row s + 1 node s's; -1 no edge."""
    nodes = [f"n{i}" for i in range(gates.shape[1])]
    edges = {
        f"{source} -> {target}": {"gate": GATES[gates[row, column]]}
        for row, source in enumerate(["label", *nodes])
        for column, target in enumerate(nodes)
        if gates[row, column] >= 0
    }
    return parse(
        {
            "data": {"name": "digits"},
            "train": train,
            "nodes": {name: {"model": "resnet8"} for name in nodes},
            "edges": edges,
        }
    )


def random_logits(
    nodes: int, *, classes: int = 5, batch: int = 8, seed: int = 0
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(nodes, batch, classes, generator=generator, dtype=torch.float64)
    return {f"n{i}": row.clone().requires_grad_() for i, row in enumerate(logits)}


LABELS = torch.arange(8) % 5


@pytest.mark.parametrize("case", range(12))
def test_values_and_gradients_agree_with_the_reference(shared: Path, case: int):
    with np.load(shared / "reference/graph/losses.npz") as file:
        part = {
            key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{case:02d}/")
        }
    graph = graph_of(part["gates"])
    logits = {
        name: torch.tensor(row, requires_grad=True)
        for name, row in zip(graph.nodes, part["logits"], strict=True)
    }
    losses = node_losses(graph, logits, torch.tensor(part["labels"]), float(part["progress"]))
    student = [
        name
        for i, name in enumerate(graph.nodes)
        if any(g >= 0 and g != 1 for g in part["gates"][:, i])
    ]
    assert list(losses) == student
    got = [losses[name].item() if name in losses else 0.0 for name in graph.nodes]
    np.testing.assert_allclose(got, part["node_loss"], rtol=1e-6, atol=1e-6)
    if losses:
        torch.stack(list(losses.values())).sum().backward()
    for name, expected in zip(graph.nodes, part["grad"], strict=True):
        grad = logits[name].grad
        np.testing.assert_allclose(
            np.zeros_like(expected) if grad is None else grad, expected, rtol=1e-6, atol=1e-6
        )


def test_no_gradient_reaches_a_source():
    graph = graph_of(np.array([[1, 1], [-1, 1], [0, -1]]))  # only n1 -> n0 is open
    logits = random_logits(2)
    node_losses(graph, logits, LABELS, 0.5)["n0"].backward()
    assert logits["n1"].grad is None
    assert logits["n0"].grad is not None


def test_linear_is_closed_at_the_start_and_through_at_the_end():
    linear, through = graph_of(np.array([[2], [-1]])), graph_of(np.array([[0], [-1]]))
    logits = random_logits(1)
    assert node_losses(linear, logits, LABELS, 0.0)["n0"].item() == 0
    assert (
        node_losses(linear, logits, LABELS, 1.0)["n0"]
        == node_losses(through, logits, LABELS, 1.0)["n0"]
    )


def test_mean_aggregation_keeps_the_label_edge_whole_and_averages_the_nodes():
    gates = np.array([[0, 1, 1], [-1, 1, 1], [0, -1, 1], [0, 1, -1]])
    logits = random_logits(3)

    def loss(keep: np.ndarray, **train: str) -> float:
        return node_losses(
            graph_of(np.where(keep | (gates < 0), gates, 1), **train), logits, LABELS, 0.5
        )["n0"].item()

    rows = np.arange(4)[:, None]
    label, first, second = (loss(rows == row) for row in (0, 2, 3))
    assert loss(rows >= 0, aggregate="mean") == pytest.approx(label + (first + second) / 2)
    assert loss(rows >= 0) == pytest.approx(label + first + second)


def one_edge(**edge):
    return parse(
        {
            "data": {"name": "digits"},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {"n1 -> n0": edge},
        }
    )


def test_correct_over_kept_is_the_mean_over_the_samples_let_through():
    logits = random_logits(2)
    right = logits["n1"].argmax(1) == LABELS
    assert 0 < right.sum() < len(right)
    over_batch = node_losses(one_edge(gate="correct"), logits, LABELS, 0.5)["n0"]
    over_kept = node_losses(one_edge(gate="correct", over="kept"), logits, LABELS, 0.5)["n0"]
    assert over_kept.item() == pytest.approx(over_batch.item() * len(right) / right.sum().item())


@pytest.mark.parametrize("over", ["batch", "kept"])
def test_correct_with_a_source_that_is_always_wrong_gives_zero_not_nan(over):
    logits = random_logits(2)
    wrong = torch.nn.functional.one_hot((LABELS + 1) % 5, 5).double()
    loss = node_losses(one_edge(gate="correct", over=over), logits | {"n1": wrong}, LABELS, 0.5)[
        "n0"
    ]
    loss.backward()
    assert loss.item() == 0
    assert logits["n0"].grad.abs().max() == 0


def test_weight_and_temperature_scale_the_loss():
    logits = random_logits(2)
    plain = node_losses(one_edge(), logits, LABELS, 0.5)["n0"].item()
    assert node_losses(one_edge(weight=2.5), logits, LABELS, 0.5)["n0"].item() == pytest.approx(
        2.5 * plain
    )
    cooled = {name: value / 3 for name, value in logits.items()}
    at_one = node_losses(one_edge(), cooled, LABELS, 0.5)["n0"].item()
    assert node_losses(one_edge(temperature=3), logits, LABELS, 0.5)["n0"].item() == pytest.approx(
        9 * at_one
    )


def test_mixed_labels_flow_through_label_edges_and_the_heavier_one_judges():
    logits = random_logits(2)
    other = (LABELS + 1) % 5
    mixed = 0.7 * one_hot(LABELS, 5).double() + 0.3 * one_hot(other, 5).double()
    graph = graph_of(np.array([[0, 1], [-1, 1], [1, -1]]))
    got, plain, second = (
        node_losses(graph, logits, labels, 0.5)["n0"].item() for labels in (mixed, LABELS, other)
    )
    assert got == pytest.approx(0.7 * plain + 0.3 * second)
    correct = one_edge(gate="correct")
    assert (
        node_losses(correct, logits, mixed, 0.5)["n0"]
        == node_losses(correct, logits, LABELS, 0.5)["n0"]
    )


def test_labels_that_are_certain_may_be_written_as_probabilities():
    logits, graph = (
        random_logits(2),
        graph_of(np.array([[0, 0], [-1, 3], [3, -1]]), label_smoothing=0.1),
    )
    hard, soft = (
        node_losses(graph, logits, labels, 0.5) for labels in (LABELS, one_hot(LABELS, 5).double())
    )
    for name in hard:
        torch.testing.assert_close(hard[name], soft[name])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_canonical_form_keeps_every_field_that_a_loss_reads(loss):
    """A field that is missing there would be reset to its default before training."""

    class Reading:
        read: ClassVar[set[str]] = set()

        def __getattr__(self, field):
            self.read.add(field)
            return getattr(Edge(loss=loss), field)

    Reading.read.clear()
    random = torch.Generator().manual_seed(0)
    logits = {name: torch.randn(4, 3, generator=random) for name in ("n0", "n1")}
    maps = {name: [torch.rand(4, 2, 5, 5, generator=random)] for name in ("n0", "n1")}
    outputs = NodeOutputs(logits, torch.tensor([0, 1, 2, 0]), maps, features=logits)
    adapter = SimpleNamespace(distance=1 - torch.eye(3), projections=[lambda maps: maps])
    pair = ("label" if loss in LABEL_LOSSES else "n1", "n0")
    LOSSES[loss](EdgeInputs(pair, Reading(), outputs, adapter=adapter))
    used = {field for field, losses in _USED_BY.items() if loss in losses}
    assert Reading.read & set(_USED_BY) <= used


@pytest.mark.parametrize("mixed", [False, True])
def test_class_weights_are_for_edges_from_the_label_only(mixed):
    graph = graph_of(np.array([[0, 0], [-1, 0], [0, -1]]))
    labels, weights = torch.tensor([0, 1, 2, 0]), torch.tensor([0.5, 2.0, 1.0])
    logits = random_logits(2, classes=3, batch=4)
    given = one_hot(labels, 3).double() if mixed else labels
    plain = edge_losses(graph, NodeOutputs(logits, given), 0.5)
    found = edge_losses(graph, NodeOutputs(logits, given), 0.5, class_weights=weights)
    each = cross_entropy(logits["n0"], labels, reduction="none")
    assert found["label", "n0"].value.item() == pytest.approx(
        (weights[labels] * each).mean().item()
    )
    assert torch.equal(found["n1", "n0"].value, plain["n1", "n0"].value)


@pytest.mark.parametrize("loss", ["ce", "gce"])
def test_of_a_mixed_label_each_class_counts_by_its_own_weight(loss):
    logits, weights = random_logits(1), torch.tensor([0.5, 2.0, 1.0, 0.25, 4.0])
    other = (LABELS + 1) % 5
    mixed = 0.7 * one_hot(LABELS, 5).double() + 0.3 * one_hot(other, 5).double()
    graph = doubtful(label_n0={"loss": loss})

    def value(labels):
        outputs = NodeOutputs({**logits, "n1": logits["n0"]}, labels)
        return edge_losses(graph, outputs, 0.5, class_weights=weights)["label", "n0"].value.item()

    assert value(mixed) == pytest.approx(0.7 * value(LABELS) + 0.3 * value(other))


def doubtful(**edges):
    """A graph of two nodes; a keyword `label_n0` is the edge from the label to n0."""
    return parse(
        {
            "data": {"name": "digits"},
            "nodes": {name: {"model": "resnet8"} for name in ("n0", "n1")},
            "edges": {name.replace("_", " -> "): edge for name, edge in edges.items()},
        }
    )


def test_small_loss_trains_on_what_the_peer_finds_likely():
    graph = doubtful(label_n0={"gate": "small_loss", "peer": "n1", "noise": 0.5}, label_n1={})
    logits = random_logits(2)
    found = edge_losses(graph, NodeOutputs(logits, LABELS), progress=1.0)["label", "n0"]
    each = {name: ce(log_probabilities(value), LABELS) for name, value in logits.items()}
    kept = each["n1"].argsort()[:4]
    torch.testing.assert_close(found.value, each["n0"][kept].sum() / 8)
    assert float(found.gate_weight) == 0.5
    found.value.backward()
    assert logits["n1"].grad is None  # the peer chooses, and is not trained by it
    assert (logits["n0"].grad.abs().sum(dim=1) > 0).nonzero().flatten().tolist() == sorted(
        kept.tolist()
    )


def test_without_a_peer_small_loss_reads_the_node_itself_and_kept_is_their_mean():
    edge = {"gate": "small_loss", "noise": 0.5, "over": "kept"}
    logits = random_logits(2)
    outputs = NodeOutputs(logits, LABELS)
    found = edge_losses(doubtful(label_n0=edge), outputs, progress=1.0)["label", "n0"]
    own = ce(log_probabilities(logits["n0"]), LABELS)
    torch.testing.assert_close(found.value, own.sort().values[:4].mean())


@pytest.mark.parametrize("from_label", [True, False])
def test_agree_and_disagree_divide_what_through_lets_pass(from_label):
    logits = random_logits(2)
    logits["n1"].data[:4] = logits["n0"].data[:4]
    values = {}
    for gate in ("agree", "disagree", "through"):
        if from_label:
            graph = doubtful(label_n0={"gate": gate, "peer": "n1"}, label_n1={})
        else:
            graph = doubtful(label_n0={}, n1_n0={"gate": gate})
        pair = ("label" if from_label else "n1", "n0")
        values[gate] = edge_losses(graph, NodeOutputs(logits, LABELS), 0.5)[pair]
    torch.testing.assert_close(
        values["agree"].value + values["disagree"].value, values["through"].value
    )
    assert float(values["agree"].gate_weight) >= 0.5


def test_agree_between_nodes_sees_images_without_labels():
    graph, logits = doubtful(label_n0={}, n1_n0={"gate": "agree"}), random_logits(2, batch=11)
    found = edge_losses(graph, NodeOutputs(logits, LABELS), 0.5)["n1", "n0"]
    same = logits["n0"].argmax(dim=1) == logits["n1"].argmax(dim=1)
    torch.testing.assert_close(found.gate_weight, same.double().mean())


@pytest.mark.parametrize("peer", [None, "n1"])
def test_bootstrap_begins_as_cross_entropy_and_trusts_more_and_more(peer):
    graph = doubtful(label_n0={"loss": "bootstrap", "trust": 0.6, "peer": peer}, label_n1={})
    logits = random_logits(2)
    log_q, log_p = (log_probabilities(logits[name]) for name in ("n0", peer or "n0"))
    for progress in (0.0, 0.5, 1.0):
        found = edge_losses(graph, NodeOutputs(logits, LABELS), progress)["label", "n0"]
        target = torch.nn.functional.one_hot(LABELS, 5).double()
        target = (1 - 0.6 * progress) * target + 0.6 * progress * log_p.detach().exp()
        torch.testing.assert_close(found.value, ce(log_q, target).mean())


GATED = [
    {},
    {"loss": "gce"},
    {"loss": "sce"},
    {"loss": "bootstrap", "peer": "n1"},
    {"weight": 0.3},
    {"gate": "linear"},
    {"gate": "agree", "peer": "n1", "over": "kept"},
    {"gate": "small_loss", "peer": "n1", "noise": 0.5, "over": "kept"},
]


def loss_of(edge, rows, weights=None):
    """The loss of the edge from the label on some rows of a batch, and its gradient there."""
    logits = {name: value.detach()[rows] for name, value in random_logits(2).items()}
    logits["n0"].requires_grad_()
    outputs = NodeOutputs(logits, LABELS[rows], weights=weights)
    graph = doubtful(label_n0=edge, label_n1={})
    value = edge_losses(graph, outputs, progress=0.5)["label", "n0"].value
    value.backward()
    return value.detach(), logits["n0"].grad


@pytest.mark.parametrize("edge", GATED)
def test_weights_of_1_change_no_bit(edge):
    plain, weighed = loss_of(edge, range(8)), loss_of(edge, range(8), torch.ones(8))
    assert all(torch.equal(*each) for each in zip(plain, weighed, strict=True))


@pytest.mark.parametrize("edge", GATED)
def test_a_label_of_weight_0_counts_as_little_as_one_that_is_not_there(edge):
    rest = [0, 1, 2, 4, 7]
    weights = torch.zeros(8, dtype=torch.float64)
    weights[rest] = 8 / 5  # 1 in the mean
    value, grad = loss_of(edge, range(8), weights)
    expected, theirs = loss_of(edge, rest)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(grad[rest], theirs)
    assert not grad[[3, 5, 6]].any()


@pytest.mark.parametrize("edge", [each for each in GATED if each.get("gate") != "small_loss"])
def test_a_label_of_weight_3_counts_as_three(edge):
    copies = torch.tensor([1, 3, 2, 1, 1, 2, 1, 1])
    rows = torch.arange(8).repeat_interleave(copies)
    value, grad = loss_of(edge, range(8), copies.double() / copies.double().mean())
    expected, theirs = loss_of(edge, rows)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(grad, torch.zeros_like(grad).index_add(0, rows, theirs))


@pytest.mark.parametrize(
    ("edge", "reads"),
    [
        ({}, False),
        ({"gate": "agree"}, False),
        ({"gate": "correct"}, True),
        ({"gate": "small_loss", "noise": 0.25}, True),
        ({"loss": "dkd"}, True),
    ],
)
def test_between_nodes_weights_are_for_edges_that_read_the_label(edge, reads):
    graph, logits = doubtful(label_n0={}, n1_n0=edge), random_logits(2)
    weights = torch.tensor([0.0, 2, 1, 1, 1, 1, 0, 2])
    plain = edge_losses(graph, NodeOutputs(logits, LABELS), 1.0)["n1", "n0"].value
    outputs = NodeOutputs(logits, LABELS, weights=weights)
    found = edge_losses(graph, outputs, 1.0)["n1", "n0"].value
    assert torch.equal(plain, found) is not reads
    found.backward()
    assert bool(logits["n0"].grad[[0, 6]].any()) is not reads
