"""Lays out a graph: nodes on an ellipse with the target on the right, labels outside, edges inside.

The same graph always gets the same layout, so that two drawings can be compared.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from ktg.graph.canonical import live_nodes, open_edges, teachers
from ktg.graph.drawing.geometry import Box, Curve, bend_line
from ktg.graph.spec import Edge, Graph, Node
from ktg.graph.vocabulary import KEEPING_GATES, LABEL
from ktg.wording import format_setting

Role = Literal["target", "teacher", "student", "unused"]
CARD_HEIGHT = 56.0
RING = 3.5  # between the target's card and the ring around it
NOTE_SIZE = 7.5
CHARACTER = 0.62  # of the font size: a wide sans serif, so that narrower ones fit too
_CARD_TEXT_SIZE = 9.0
_PILL = (42.0, 18.0)  # the rounded box that says `label`: width and height
_STUB = 34.0  # length of a label edge
_GAP = 3.0  # between an edge and the box that it meets
_BEND = 0.13
_MOST_CHARACTERS = 24


@dataclass(frozen=True)
class NodeCard:
    """A node as it is drawn: its box, its role in this graph, and three lines of text."""

    box: Box
    role: Role
    lines: tuple[str, str, str]

    @property
    def outline(self) -> Box:
        """The box with the ring that the target has around it."""
        return self.box.grow(RING) if self.role == "target" else self.box


@dataclass(frozen=True)
class Arrow:
    """An open edge as it is drawn: a curve from border to border, and a note of what is unusual.

    `matters` says whether the edge can change the target.
    """

    curve: Curve
    gate: str
    matters: bool
    note: str
    note_box: Box | None


@dataclass(frozen=True)
class Layout:
    """A graph laid out around the origin, y upwards; `common_note` holds for all node edges."""

    cards: Mapping[str, NodeCard]
    pills: Mapping[str, Box]
    arrows: Mapping[tuple[str, str], Arrow]
    common_note: str

    def boxes(self) -> Iterator[Box]:
        """Yield every box that the picture must hold."""
        yield from (card.outline for card in self.cards.values())
        yield from self.pills.values()
        yield from (arrow.note_box for arrow in self.arrows.values() if arrow.note_box)


def lay_out(graph: Graph) -> Layout:
    """Return the layout of a graph; equal graphs get equal layouts."""
    cards = _place_nodes(graph)
    edges = open_edges(graph)
    places = _pill_places(len(cards))
    pills = {
        name: _place_pill(card.box, place)
        for (name, card), place in zip(cards.items(), places, strict=True)
        if (LABEL, name) in edges
    }
    notes = {pair: _format_note(edge) for pair, edge in edges.items()}
    between_nodes = {note for (source, _), note in notes.items() if source != LABEL}
    # Only worth a line of the legend when it saves repeating it.
    common = between_nodes.pop() if len(between_nodes) == 1 and len(edges) > len(pills) + 1 else ""
    if common:
        notes = {pair: note if pair[0] == LABEL else "" for pair, note in notes.items()}
    arrows = _place_arrows(edges, cards, pills, notes)
    return Layout(cards, pills, arrows, common)


def shorten(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return `text`, with an ellipsis in its middle when it has more than `most` characters."""
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def _place_nodes(graph: Graph) -> dict[str, NodeCard]:
    alive, trained_before = live_nodes(graph), teachers(graph)
    lines: dict[str, tuple[str, str, str]] = {}
    roles: dict[str, Role] = {}
    for name, node in graph.nodes.items():
        role = roles[name] = _find_role(graph, name, alive, trained_before)
        word = "ensemble" if graph.ensemble and role == "target" else role
        title = shorten(name, 14) if role == "student" else f"{shorten(name, 14)} · {word}"
        lines[name] = (title, shorten(node.model), _format_source(node))
    longest = max(len(line) for three in lines.values() for line in three)
    width = max(96.0, longest * CHARACTER * _CARD_TEXT_SIZE + 20)
    centres = _ellipse_places(len(lines), width)
    return {
        name: NodeCard(Box(*centre, width, CARD_HEIGHT), roles[name], lines[name])
        for name, centre in zip(lines, centres, strict=True)
    }


def _find_role(graph: Graph, name: str, alive: Collection[str], before: Collection[str]) -> Role:
    """Return the role of a node; in an ensemble, every live node is a target."""
    if name in alive if graph.ensemble else name == graph.target:
        return "target"
    if name in before:
        return "teacher"
    return "student" if name in alive else "unused"


def _ellipse_places(count: int, width: float) -> list[tuple[float, float]]:
    """Return one place per node, anticlockwise from the right; two nodes stand side by side."""
    if count == 1:
        return [(0.0, 0.0)]
    high = 30.0 * count + 12
    wide = max(width / 2 + 55, 1.5 * high)
    angles = [2 * math.pi * i / count for i in range(count)]
    return [(wide * math.cos(a), 0.0 if count == 2 else high * math.sin(a)) for a in angles]


def _pill_places(count: int) -> list[tuple[int, int]]:
    """Return for each node the side of its label, away from the edges: (dx, dy), one of them 0."""
    if count <= 2:
        return [(-1, 0)] if count == 1 else [(0, 1), (0, 1)]
    places = []
    for i in range(count):
        x, y = math.cos(2 * math.pi * i / count), math.sin(2 * math.pi * i / count)
        across, up = round(math.copysign(1, x)), round(math.copysign(1, y))
        places.append((across, 0) if abs(x) > 0.75 else (0, up))
    return places


def _place_pill(card: Box, place: tuple[int, int]) -> Box:
    width, height = _PILL
    dx, dy = place
    x = card.x + dx * (card.width / 2 + _STUB + width / 2)
    return Box(x, card.y + dy * (card.height / 2 + _STUB + height / 2), width, height)


def _place_arrows(
    edges: Mapping[tuple[str, str], Edge],
    cards: Mapping[str, NodeCard],
    pills: Mapping[str, Box],
    notes: Mapping[tuple[str, str], str],
) -> dict[tuple[str, str], Arrow]:
    curves = {}
    for source, target in edges:
        start = pills[target] if source == LABEL else cards[source].outline
        end = cards[target].outline
        curve = bend_line(start.centre, end.centre, _BEND if (target, source) in edges else 0.0)
        curves[source, target] = curve.between(start.grow(_GAP), end.grow(_GAP))
    taken = [*(card.outline for card in cards.values()), *pills.values()]
    arrows = {}
    for pair, edge in edges.items():
        box = None
        if notes[pair]:
            others = [curve for other, curve in curves.items() if other != pair]
            box = _note_box(curves[pair], notes[pair], taken, others, aside=pair[0] == LABEL)
            taken.append(box)
        matters = cards[pair[1]].role != "unused"
        arrows[pair] = Arrow(curves[pair], edge.gate, matters, notes[pair], box)
    return arrows


def _note_box(
    curve: Curve, note: str, taken: Sequence[Box], others: Sequence[Curve], aside: bool
) -> Box:
    """Return where a note stands: on its edge, where it hides the least of everything else.

    On the short edge of a label there is no room, so it stands aside.
    """
    width, height = len(note) * CHARACTER * NOTE_SIZE + 6, 12.0
    if aside:
        x, y = curve.at(0.45)
        upright = abs(curve.start[0] - curve.end[0]) < 1
        x, y = (x + width / 2 + 4, y) if upright else (x, y + height / 2 + 4)
        return Box(x, y, width, height)

    def hidden(box: Box) -> int:
        boxes = sum(box.overlaps(other) for other in taken)
        return 100 * boxes + sum(any(map(box.holds, other.points(48))) for other in others)

    # From the middle outwards: `min` takes the first of equals.
    places = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
    return min((Box(*curve.at(t), width, height) for t in places), key=hidden)


def _format_note(edge: Edge) -> str:
    """Return what is unusual about an edge: a loss other than ce and kl, a factor, ..."""
    parts: list[str] = [edge.loss] if edge.loss not in ("ce", "kl") else []
    weight = format_setting(edge.weight)
    parts += [f"\N{MULTIPLICATION SIGN}{weight}"] if weight != "1" else []
    parts += [f"T={edge.temperature:g}"] if edge.temperature != 1 else []
    parts += ["of kept"] if edge.over == "kept" and edge.gate in KEEPING_GATES else []
    parts += [f"noise {format_setting(edge.noise)}"] if edge.gate == "small_loss" else []
    parts += [f"peer {shorten(edge.peer)}"] if edge.peer and edge.asks_peer else []
    return " ".join(parts)


def _format_source(node: Node) -> str:
    """Return the weights of a node in few words: of a path only the file's name."""
    name = PurePosixPath(PureWindowsPath(node.source).as_posix()).name
    frozen = f" · frozen {node.frozen_epochs} ep" if node.frozen_epochs else ""
    short = shorten(name, _MOST_CHARACTERS - len(frozen))
    return f"{'no pretraining' if node.source == 'none' else short}{frozen}"
