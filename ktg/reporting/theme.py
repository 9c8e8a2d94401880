"""Makes pictures that follow the page, in light and in dark.

matplotlib draws with stand-in colours, which then become the CSS variables of the page.
"""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK, MUTED, LINE, CARD, ACCENT = "#010101", "#020202", "#030303", "#040404", "#050505"
BLUE, ORANGE, GREEN, PINK, VIOLET, GOLD = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#7f6bb3",
    "#b8860b",
)
SERIES = (BLUE, ORANGE, GREEN, PINK, VIOLET, GOLD)
# Points; a phone shows them nearly as large as they are, so that labels stay readable there.
WIDTH = 360.0
_FONT_SIZE = 10.0
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ktg",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
}
_VARIABLES: Mapping[str, str] = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    CARD: "card",
    ACCENT: "accent",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PINK: "pink",
    VIOLET: "violet",
    GOLD: "gold",
}
# The graph's drawing has colours of its own; white on its filled boxes stays white.
_DRAWING = {
    "#212529": "ink",
    "#868e96": "muted",
    "#adb5bd": "muted",
    "#12344d": "target",
    "#e9ecef": "teacher",
}
_SHAPES = {"#ffffff": "card", "#495057": "slate"}
_LETTERS = {"#495057": "muted"}
_PROLOG = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_HEAD = re.compile(r"<svg[^>]*?viewBox=\"([^\"]*)\"[^>]*>")
_REFERENCE = re.compile(r"(\bid=\"|url\(#|href=\"#)")
_TAG = re.compile(r"<[^>]*>")


@contextmanager
def settings() -> Iterator[None]:
    """Use matplotlib's defaults, and text that stays text, whatever style the user has set."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@contextmanager
def open_figure(height: float, width: float = WIDTH) -> Iterator[Figure]:
    """Yield a transparent figure of this size in points, whose text is never read as TeX."""
    import matplotlib

    with settings():
        matplotlib.rcParams.update(
            {"font.size": _FONT_SIZE, "text.parse_math": False, "text.color": INK}
        )
        yield Figure(figsize=(width / 72, height / 72), facecolor="none", layout="constrained")


def style_axes(
    axes: Axes, *, x: str = "", y: str = "", percent: str = "", grid: Literal["x", "y"] = "y"
) -> None:
    """Give axes labels, quiet lines, whole epochs, and percent on those named in `percent`."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=_FONT_SIZE - 1, length=0, pad=4)
    axes.set_xlabel(x, color=MUTED, fontsize=_FONT_SIZE - 0.5)
    axes.set_ylabel(y, color=MUTED, fontsize=_FONT_SIZE - 0.5)
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for name in percent:
        (axes.xaxis if name == "x" else axes.yaxis).set_major_formatter(FuncFormatter(_format_tick))
    axes.grid(axis=grid, color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)


def _format_tick(share: float, place: int | None = None) -> str:
    return f"{round(100 * share, 3):g}\N{NO-BREAK SPACE}%"


def add_legend(axes: Axes, columns: int = 3) -> None:
    """Write the legend above the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "borderaxespad": 0.2}
        text = {"fontsize": _FONT_SIZE - 1, "labelcolor": INK, "frameon": False, "ncols": columns}
        axes.legend(handles, labels, handlelength=1.4, columnspacing=1.2, **place, **text)


def to_svg(drawn: Figure, name: str, says: str) -> Markup:
    """Return a figure as inline SVG.

    name: unique on the page. says: what a reader who cannot see the picture hears.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    target = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # a viewer's fonts must have it, not ours
        FigureCanvasSVG(drawn).print_svg(
            target, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return inline_svg(target.getvalue(), name, says)


def inline_svg(document: str, name: str, says: str) -> Markup:
    """Return an SVG document as a part of the page, with the colours of the page.

    It has no size of its own, and its ids begin with `name`, which is unique on the page.
    """
    body = _STYLE.sub("", _PROLOG.sub("", document, count=1), count=1)
    view = _HEAD.match(body)
    if view is None:
        raise ValueError("not an SVG document with a viewBox")
    width = float(view[1].split()[2])
    label, size = f'role="img" aria-label="{escape(says)}"', f"--natural: {width:.0f}px"
    head = f'<svg viewBox="{view[1]}" {label} style="{size}">'
    body = _REFERENCE.sub(lambda found: f"{found[1]}{name}-", head + body[view.end() :])
    # Matplotlib has escaped what it was given.
    return Markup(_TAG.sub(_recolour, body))  # noqa: S704


def _recolour(tag: re.Match[str]) -> str:
    """Return a tag with its colours replaced; white and grey depend on what they are for."""
    text = tag[0]
    own = _LETTERS if text.startswith("<text") else _SHAPES
    for colour, variable in {**_VARIABLES, **_DRAWING, **own}.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
