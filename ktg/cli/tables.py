"""Makes tables for the terminal."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def make_table(
    *columns: str,
    title: str | None = None,
    right: Collection[str] = (),
    fold: Collection[str] = (),
    whole: Collection[str] = (),
    simple: bool = False,
    **style: Any,
) -> "Table":
    """Return an empty table.

    right: columns that are aligned to the right. fold: those whose texts may take several lines.
    whole: those whose texts stay on one line. simple: draw a line below the head only.
    """
    from rich.box import HEAVY_HEAD, SIMPLE_HEAD
    from rich.table import Table

    box = SIMPLE_HEAD if simple else HEAVY_HEAD
    table = Table(title=title, title_justify="left", box=box, **style)
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            overflow="fold" if name in fold else "ellipsis",
            no_wrap=name in whole,
        )
    return table
