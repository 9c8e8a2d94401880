"""Draws the graphs of docs/graphs into docs/pictures.

python docs/make_pictures.py
"""

from pathlib import Path

from ktg.drawing import draw
from ktg.files import load_graph

DOCS = Path(__file__).parent


def pictures() -> dict[str, str]:
    """Return the drawing of every graph by the name of its file."""
    return {f"{path.stem}.svg": draw(load_graph(path)) for path in sorted((DOCS / "graphs").glob("*.yaml"))}


if __name__ == "__main__":
    for name, svg in pictures().items():
        (DOCS / "pictures" / name).write_text(svg, encoding="utf-8")
