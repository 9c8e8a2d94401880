"""Graphs: what they are, what they look like, how well they do."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, graph_of, tracker_of

if TYPE_CHECKING:
    from ktg.api.inputs import GraphLike
    from ktg.searching.seeds import Confirmed


def check(file: str | Path) -> dict[str, Any]:
    """Return what a space, a graph, a folder or an .npz of images is and would cost; raise UserError if it is wrong."""
    from ktg.cli.check import describe

    return describe(Path(file), {})


def draw(graph: "GraphLike", title: str = "") -> str:
    """Return a graph's drawing as SVG, which `ktg graph show -o` writes."""
    from ktg.graph import drawing

    return drawing.draw(graph_of(graph), title)


def train(
    graph: "GraphLike",
    *,
    seeds: int = 1,
    weights: str | Path | None = None,
    name: str = "train",
    device: str | None = None,
    force: bool = False,
    tracking_uri: str | None = STORE,
) -> "Confirmed":
    """Train a graph on all but the test split, over several seeds, then read that split once: mean and deviation.

    weights: keep the network of the first seed in this .safetensors file, which must not be there
    unless `force`.
    name: of the experiment, where the graph is no file.
    """
    from ktg.searching.seeds import confirm

    loaded = graph_of(graph)
    file = Path(weights) if weights is not None else None
    if file is not None:
        from ktg.exporting.formats import check_weights_file

        check_weights_file(file, force=force)
    with tracker_of(
        Path(graph).stem if isinstance(graph, str | Path) else name, tracking_uri
    ) as tracker:
        confirmed = confirm(loaded, seeds, tracker, device=device)
    if file is not None:
        from ktg.exporting.trained import write_confirmed

        write_confirmed(file, loaded, confirmed)
    return confirmed
