"""Draws views of the images of a data set, and looks for dirt among them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ktg.api.affinity import AffinityInput, read_input
from ktg.api.inputs import NO_FILES, PICTURE, check_device, check_writable
from ktg.api.listener import QUIET, Listener
from ktg.errors import UserError
from ktg.graph import IMAGENET, Data, Node, sources_for
from ktg.graph.parse import read_weights
from ktg.graph.vocabulary import AugmentName
from ktg.local import check_ending
from ktg.models.names import check_model
from ktg.models.resolve import check_source_name

if TYPE_CHECKING:
    import torch

    from ktg.auditing.audit import Audit as Audit
    from ktg.auditing.networks import Viewer
    from ktg.auditing.pool import ImagePool

__all__ = ["AUGMENTS", "DOUBTFUL", "audit", "draw_views"]
Doubtful = Literal["keep", "relabel", "drop", "weigh"]
DOUBTFUL: tuple[Doubtful, ...] = get_args(Doubtful)

AUGMENTS: tuple[AugmentName, ...] = get_args(AugmentName)


def draw_views(
    images: str,
    output: str | Path,
    *,
    augment: AugmentName | None = None,
    rows: int = 4,
    columns: int = 8,
    size: int | None = None,
    seed: int = 0,
    listener: Listener = QUIET,
) -> tuple[tuple[int, int], list[str]]:
    """Draw what augmentation makes of training images; return (width, height) and what is shown.

    images: a folder, an .npz, or a data set known by name. The first row of the picture shows
    `columns` of them as they are. Below are `rows` views by one augmentation, or a row for each.
    """
    spec, file = find_images_spec(images, size), check_ending(check_writable(output), *PICTURE)

    import torch

    from ktg.data.contact_sheets import draw_augment_sheet, write_sheet
    from ktg.data.open import open_data

    train = open_data(spec, progress=listener.decoding).train
    shown = [place * len(train) // columns for place in range(min(columns, len(train)))]
    pixels = torch.from_numpy(train.read(shown)).permute(0, 3, 1, 2).contiguous()
    names: list[AugmentName] = ["none", *([augment] * rows if augment else AUGMENTS[1:])]
    drawn = draw_augment_sheet(pixels, names, seed)
    write_sheet(file, drawn)
    return (drawn.shape[1], drawn.shape[0]), list(dict.fromkeys(names))


def find_images_spec(images: str, size: int | None) -> Data:
    """Return the description of a folder or .npz where there is one, else of a named data set."""
    from ktg.data.set_names import check_name

    if Path(images).exists():
        return Data(path=str(Path(images).absolute()), size=size)
    if "/" in images or images.lower().endswith(".npz"):
        raise UserError(f"{images}: there is no such folder or .npz file")
    check_name(images)
    return Data(name=images, size=size)


def audit(
    data: str | Path,
    *,
    model: str | None = None,
    source: str | None = None,
    input_size: int | None = None,
    weights: Mapping[str, Any] = NO_FILES,
    output: str | Path | None = None,
    labels: str | Path | None = None,
    doubtful: Doubtful = "keep",
    force: bool = False,
    device: str | None = None,
    seed: int = 0,
    listener: Listener = QUIET,
) -> "Audit":
    """Return twins, leaks, strangers and doubtful labels of a data set. Nothing is changed.

    data: a folder, an .npz, a data set known by name, or a graph or search space, whose target then
    looks at the images where it has weights. model, source: what looks at them instead; default:
    the weights on this machine that tell the classes apart best. weights: by model, files that
    stand for `source: imagenet`, as in the section `weights`.

    output: an HTML page to write. labels: a CSV table to write, which `data.labels` reads; doubtful
    labels of train and val are kept in it, replaced by the proposed ones, or left out, or all are
    weighed by how much they are believed. force: overwrite these files, but never the table that
    the labels of `data` are read from.
    """
    if doubtful != "keep" and labels is None:
        raise UserError(f"--doubtful {doubtful}: is for a table of labels; give --write labels.csv")
    check_device(device)
    given, files = read_input(str(data)), read_weights(weights)
    for file in (output, labels):
        if file is not None:
            check_output(Path(file), given.data, force=force)
    given = replace(given, weights={**given.weights, **files})
    node = choose_node(given, model, source, input_size)

    from ktg.auditing.audit import audit_pool
    from ktg.auditing.pool import gather
    from ktg.models.network import choose_device

    pool, place = gather(given.data, progress=listener.decoding), choose_device(device)
    viewer = find_viewer(given, node, pool, place, listener)
    found = audit_pool(
        pool,
        viewer.network,
        viewer.name,
        certain=viewer.certain,
        device=place,
        seed=seed,
        status=listener.status,
        count=listener.count,
    )
    write_audit(found, str(data), output, labels, doubtful)
    return found


def check_output(file: Path, data: Data, *, force: bool) -> None:
    """Raise UserError unless a file can be written, and, without `force`, is not there yet.

    A table that the data are read from is never overwritten: labels may be nowhere else.
    """
    from ktg.data.locate import list_tables
    from ktg.exporting.graph_files import check_free

    check_writable(file)
    if file.resolve() in {table.resolve() for table in list_tables(data)}:
        problem = "is the table that these data are read from, and is never overwritten"
        raise UserError(f"{file}: {problem}; give another name")
    check_free([file], force=force)


def choose_node(
    given: AffinityInput, model: str | None, source: str | None, input_size: int | None
) -> Node | None:
    """Return the network that the user names, or the target of a graph that has weights.

    Raises SpecError for a model or a source that is not there.
    """
    target = given.target
    if model is None and (source is not None or input_size is not None) and target is None:
        raise UserError("--source and --input-size need --model, which they are for")
    if model is None:
        if target is None or "none" in (source, target.source):
            return None if target is None or source is None else replace(target, source="none")
        changed = replace(target, source=source or target.source)
        return replace(changed, input_size=input_size or target.input_size)
    check_model(model, "--model")
    arguments = target.model_args if target is not None and target.model == model else {}
    node = Node(model=model, source=source or IMAGENET, input_size=input_size, model_args=arguments)
    check_source_name(node.source, given.sources, "--source")
    return node


def find_viewer(
    given: AffinityInput,
    node: Node | None,
    pool: "ImagePool",
    device: "torch.device",
    listener: Listener,
) -> "Viewer":
    """Return what looks at the images: the network of the node, or the best that is at hand."""
    from ktg.auditing.networks import build_viewer, choose_viewer
    from ktg.proposing.weights_here import list_viewers

    if node is not None:
        return build_viewer(node, pool, sources_for(node.model, given.sources, given.weights))
    listener.status("looking for weights on this machine")
    nodes = list_viewers(given.weights, pool.images.shape[0])
    return choose_viewer(nodes, pool, given.weights, device, listener.status)


def write_audit(
    found: "Audit",
    title: str,
    output: str | Path | None,
    labels: str | Path | None,
    doubtful: Doubtful,
) -> None:
    """Write the page and the table that are wanted."""
    from ktg.local import atomic_write, write_text

    if output is not None:
        from ktg.reporting.audit_sheet import draw_audit

        write_text(Path(output), draw_audit(found, title))
    if labels is not None:
        from ktg.auditing.label_table import format_labels

        with atomic_write(Path(labels)) as file:
            text = format_labels(found, doubtful)
            file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
