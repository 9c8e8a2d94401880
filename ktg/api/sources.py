"""Pretrained weights: how well they would do, and new ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, tracker_of
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.affinity.correlation import Figures
    from ktg.affinity.ranking import Measured
    from ktg.affinity.study import Row
    from ktg.pretraining.pretrain import Pretrained


def rank(
    data: str | Path,
    among: Iterable[str] = (),
    *,
    score: str = "parc",
    sample: int = 2000,
    seed: int = 0,
    device: str | None = None,
) -> "dict[str, Measured]":
    """Return what affinity says of pretrained weights, the best by `score` first, as `ktg affinity rank` does.

    data: a folder, an .npz, a data set known by name, or the file of a graph or search space.
    among: `MODEL@SOURCE` texts; default: what the target of the search space can be.
    Nothing is written to MLflow. Raises UserError for a candidate that cannot be measured.
    """
    from rich.console import Console

    from ktg.affinity.ranking import ordered
    from ktg.cli.affinity.asked import asked, checked_score, measure_all

    chosen, given = checked_score(score), asked(str(data))
    found, failed = measure_all(
        given, given.among(tuple(among)), sample, seed, device, None, Console(quiet=True)
    )
    if failed:
        raise UserError("; ".join(failed.values()))
    return {name: found[name] for name in ordered(found, chosen)}


def correlate(
    table: str | Path, *, accuracy: str | None = None, group: str | None = None
) -> "dict[str, Figures]":
    """Return how well each score column of a CSV foretells its accuracy column, as `ktg affinity correlate` does."""
    from ktg.affinity.correlation import correlate as run
    from ktg.affinity.table import read_table

    return run(read_table(Path(table), accuracy, group))


def study(
    *spaces: str | Path,
    among: Iterable[str] = (),
    seeds: int = 3,
    sample: int = 2000,
    test: bool = False,
    device: str | None = None,
    tracking_uri: str | None = STORE,
) -> "list[Row]":
    """Fine-tune every candidate on the data of each space or graph and score it, as `ktg affinity study` does.

    among: `MODEL@SOURCE` texts; default: what the target of each space can be.
    test: also read the test split, once at the end of every training.
    `ktg.affinity.study.table_text` makes the rows the table that `ktg.correlate` reads. A candidate
    that failed says so in its row.
    """
    from ktg.affinity.record import EXPERIMENT
    from ktg.affinity.study import study as run
    from ktg.cli.affinity.study import checked_targets
    from ktg.cli.options import check_device
    from ktg.models.device import device_of
    from ktg.tracking import ending

    targets = checked_targets(tuple(map(str, spaces)), tuple(among))
    check_device(device)
    with tracker_of(EXPERIMENT, tracking_uri) as tracker:
        parent = tracker.start(
            "study", params={"seeds": seeds, "test": test}, tags={"kind": "study"}
        )
        with ending(tracker, parent):
            return run(
                targets, seeds, tracker, parent, test=test, sample=sample, device=device_of(device)
            )


def pretrain(
    data: str,
    *,
    model: str | None = None,
    name: str | None = None,
    preset: str | None = None,
    replace: bool = False,
    device: str | None = None,
    tracking_uri: str | None = STORE,
    **options: Any,
) -> "Pretrained":
    """Pretrain a network and keep it in the zoo, as `ktg source pretrain` does; return its card.

    data: a formula, a data set known by name, a folder, an .npz, or the file of a graph of one
    node.
    options: size, per_class, epochs, batch_size, lr, seed, source; of a formula classes, points and
    scale.
    """
    from ktg.cli.pretrain import described_graph
    from ktg.pretraining.pretrain import pretrain as run

    graph = described_graph(data, model, preset, **options)
    called = (
        name
        or (graph.data.name if not data.endswith((".yaml", ".yml")) else None)
        or Path(data).stem
    )
    with tracker_of("pretraining", tracking_uri) as tracker:
        return run(graph, called, tracker, replace=replace, device=device)
