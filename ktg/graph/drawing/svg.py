"""Draws a knowledge-transfer graph as an SVG document."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ktg.graph.drawing.canvas import Canvas, printable
from ktg.graph.drawing.geometry import Box, bend_line
from ktg.graph.drawing.layout import NOTE_SIZE, Arrow, Layout, NodeCard, Role, lay_out
from ktg.graph.spec import Graph

# The palette of Okabe and Ito (2008), safe for colour-blind readers; the dashes tell gates apart
# without colour. A new gate needs an entry here and in `_GATE_WORDS`.
GATE_STYLES: dict[str, tuple[str, tuple[float, ...]]] = {
    "through": ("#0072b2", ()),
    "linear": ("#d55e00", (4.0, 1.8)),
    "correct": ("#009e73", (6.0, 1.6, 1.2, 1.6)),
    "inverse": ("#cc79a7", (1.3, 1.3)),
    "small_loss": ("#b8860b", (8.0, 2.2)),
    "agree": ("#7f6bb3", (2.6, 1.3)),
    "disagree": ("#56b4e9", (1.0, 2.4)),
}
_GATE_WORDS = {
    "through": "through: always",
    "linear": "linear: opens 0 → 1",
    "correct": "correct: source is right",
    "inverse": "inverse: closes 1 → 0",
    "small_loss": "small_loss: the surest",
    "agree": "agree: both predict alike",
    "disagree": "disagree: they do not",
}
_INK, _GREY, _WHITE = "#212529", "#868e96", "#ffffff"
_FAINT = 0.4
_CARD_STYLES: dict[Role, dict[str, Any]] = {
    "target": {"fill": "#12344d", "line": "#12344d", "width": 1.2},
    "teacher": {"fill": "#e9ecef", "line": "#495057", "width": 1.2},
    "student": {"fill": _WHITE, "line": "#495057", "width": 1.2},
    "unused": {"fill": _WHITE, "line": "#adb5bd", "width": 1.0, "dashes": (3.0, 3.0)},
}
_TEXT_COLOURS: dict[Role, tuple[str, str]] = {
    "target": (_WHITE, "#d0dce6"),
    "teacher": (_INK, "#495057"),
    "student": (_INK, "#495057"),
    "unused": (_GREY, _GREY),
}
_MARGIN, _TITLE_HEIGHT, _ROW = 18.0, 26.0, 17.0
_TITLE_SIZE, _LEGEND_SIZE = 12.0, 8.5
_MANY_ARROWS = 16
_SAMPLE = 34.0  # length of the sample line in the legend


def draw(graph: Graph, title: str | None = None) -> str:
    """Return a graph as a standalone SVG document; the same graph gives the same text.

    The target, or each network of an ensemble, is filled and ringed, teachers are grey, nodes that
    cannot change the target are dashed. An arrow's colour and dashes tell its gate; cut edges are
    left out. What an edge has besides its defaults is written on it. The elements have ids:
    `node:n0`, `edge:n1->n0`, `edge:label->n0`, `legend:through`.
    """
    layout = lay_out(graph)
    title = printable(title or "")
    inside = _extent(layout)
    legend = _Legend.of(layout, max(inside.width, _text_width(title, _TITLE_SIZE)))
    width = max(inside.width, _text_width(title, _TITLE_SIZE), legend.width)
    above, below = (_TITLE_HEIGHT if title else 0.0), legend.height
    y, height = inside.y + (above - below) / 2, inside.height + above + below
    sheet = Box(inside.x, y, width, height).grow(_MARGIN)
    canvas = Canvas(sheet)
    _draw_graph(canvas, layout)
    legend.draw(canvas, inside.x, inside.y - inside.height / 2)
    if title:
        top = sheet.y + sheet.height / 2
        canvas.text((inside.x, top - _MARGIN - _TITLE_SIZE), title, _TITLE_SIZE, _INK, bold=True)
    return canvas.svg()


@dataclass(frozen=True)
class _Legend:
    """The gates that occur, in columns below the graph, and the note that all node edges share."""

    gates: Sequence[str]
    columns: int
    entry: float
    note: str

    @classmethod
    def of(cls, layout: Layout, room: float) -> "_Legend":
        """Return the legend of a layout, in as many columns as there is room for."""
        used = {arrow.gate for arrow in layout.arrows.values()}
        gates = [gate for gate in GATE_STYLES if gate in used]
        words = max((_text_width(_GATE_WORDS[gate], _LEGEND_SIZE) for gate in gates), default=0.0)
        entry = words + _SAMPLE + 14
        note = f"every edge between nodes: {layout.common_note}" if layout.common_note else ""
        return cls(gates, max(1, min(len(gates), int(room // entry))), entry, note)

    @property
    def width(self) -> float:
        """The room it takes, in points."""
        return max(self.columns * self.entry, _text_width(self.note, _LEGEND_SIZE))

    @property
    def height(self) -> float:
        """The room it takes, in points, with the space above it."""
        rows = math.ceil(len(self.gates) / self.columns) + bool(self.note)
        return rows * _ROW + _MARGIN if rows else 0.0

    def draw(self, canvas: Canvas, middle: float, top: float) -> None:
        """Draw it centred below `top`."""
        y = top - _MARGIN
        left = middle - self.columns * self.entry / 2
        for i, gate in enumerate(self.gates):
            row, column = divmod(i, self.columns)
            x, y = left + column * self.entry, top - _MARGIN - (row + 1) * _ROW + 5
            canvas.arrow(bend_line((x, y + 3), (x + _SAMPLE, y + 3), 0.0), *GATE_STYLES[gate])
            at, words, gid = (x + _SAMPLE + 7, y), _GATE_WORDS[gate], f"legend:{gate}"
            canvas.text(at, words, _LEGEND_SIZE, _INK, align="left", gid=gid)
        if self.note:
            canvas.text((middle, y - _ROW), self.note, _LEGEND_SIZE, _INK, gid="legend:note")


def _draw_graph(canvas: Canvas, layout: Layout) -> None:
    width = 1.6 if len(layout.arrows) <= _MANY_ARROWS else 1.2
    for (source, target), arrow in layout.arrows.items():
        opacity = 1.0 if arrow.matters else _FAINT
        colour, dashes = GATE_STYLES[arrow.gate]
        canvas.arrow(arrow.curve, colour, dashes, width, opacity, gid=f"edge:{source}->{target}")
    for arrow in layout.arrows.values():
        _draw_note(canvas, arrow)
    for name, pill in layout.pills.items():
        opacity = _FAINT if layout.cards[name].role == "unused" else 1.0
        canvas.box(pill, pill.height / 2, fill="#495057", opacity=opacity)
        canvas.text((pill.x, pill.y - 3), "label", 8.5, _WHITE)
    for name, card in layout.cards.items():
        _draw_card(canvas, name, card)


def _draw_card(canvas: Canvas, name: str, card: NodeCard) -> None:
    if card.role == "target":
        canvas.box(card.outline, 10, fill=_WHITE, line="#12344d", width=1.4)
    canvas.box(card.box, 7, gid=f"node:{name}", **_CARD_STYLES[card.role])
    strong, soft = _TEXT_COLOURS[card.role]
    x, y = card.box.centre
    heading, model, source = card.lines
    canvas.text((x, y + 11), heading, 10, strong, bold=True)
    canvas.text((x, y - 3.5), model, 9, strong)
    canvas.text((x, y - 17.5), source, 8, soft)


def _draw_note(canvas: Canvas, arrow: Arrow) -> None:
    if arrow.note_box is not None:
        box = arrow.note_box
        canvas.box(box, 3, fill=_WHITE, opacity=0.9)
        colour = GATE_STYLES[arrow.gate][0] if arrow.matters else _GREY
        canvas.text((box.x, box.y - 2.7), arrow.note, NOTE_SIZE, colour)


def _extent(layout: Layout) -> Box:
    boxes = list(layout.boxes())
    left, right = min(b.x - b.width / 2 for b in boxes), max(b.x + b.width / 2 for b in boxes)
    low, high = min(b.y - b.height / 2 for b in boxes), max(b.y + b.height / 2 for b in boxes)
    return Box((left + right) / 2, (low + high) / 2, right - left, high - low)


def _text_width(text: str, size: float) -> float:
    """Return about how wide a line of text is; the font that a viewer has is not known here."""
    return len(text) * 0.57 * size
