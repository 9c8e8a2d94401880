"""Checks a space, a graph or a data set, and says what it would cost before anything is spent."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.auto_nodes import settle_nodes, settle_space_nodes
from ktg.api.inputs import NO_FILES, load_graph_file, load_space_file
from ktg.api.listener import Listener
from ktg.api.noise import settle_noise, settle_space_noise
from ktg.errors import UserError, did_you_mean_path, join_names
from ktg.graph import Data, Graph, SearchSpace, is_space
from ktg.graph.yaml_files import ENDINGS, load, name_file_in_errors
from ktg.wording import count, format_duration, round_minutes

if TYPE_CHECKING:
    from ktg.searching.missing_weights import Missing

FEW = 100


def check(
    file: str | Path,
    *,
    imagenet: Mapping[str, Any] = NO_FILES,
    missing_sources: "Missing" = "stop",
    quick: bool = False,
) -> dict[str, Any]:
    """Return what a space, a graph, a folder or an .npz of images is and would cost.

    imagenet: by model, files that stand for `source: imagenet`. missing_sources: whether options
    without weights are a mistake or are left out. quick: do not measure how long a training takes
    here, by a few real steps. Raises UserError for anything that is wrong.
    """
    file = Path(file)
    if file.is_dir() or file.suffix.lower() == ".npz":
        return {"kind": "data"} | describe_data(Data(path=str(file.absolute())))
    if not file.exists() and not file.suffix:
        hint = did_you_mean_path(file, (*ENDINGS, ".npz"))
        raise UserError(f"{file}: there is no such file or folder.{hint}")
    if is_space(load(file)):
        return {"kind": "search space"} | check_space(file, imagenet, missing_sources, quick=quick)
    graph = load_graph_file(file, imagenet)
    with name_file_in_errors(file):
        graph, chosen = say_chosen(settle_nodes, graph)
        graph = graph if quick else settle_noise(graph)
    found = {"kind": "graph"} | describe_graph(graph) | chosen | describe_data(graph.data)
    with name_file_in_errors(file):
        check_weights(graph)
    return add_unchecked(found | ({} if quick else describe_time(graph)), [graph])


def check_space(
    file: Path, imagenet: Mapping[str, Any], missing_sources: "Missing", *, quick: bool
) -> dict[str, Any]:
    """Return what a search space is, and which options a search would leave out."""
    from ktg.searching.missing_weights import remove_unavailable
    from ktg.searching.preflight import vary_each_hole

    space = load_space_file(file, imagenet)
    with name_file_in_errors(file):
        space, chosen = say_chosen(settle_space_nodes, space)
        space = space if quick else settle_space_noise(space)
        found = remove_unavailable(space, missing_sources)
    graph = found.space.bind(found.space.default())
    described = describe_space(found.space, graph) | chosen | describe_data(graph.data)
    described |= {} if quick else describe_time(graph, found.space)
    described |= {"without": found.changes} if found.changes else {}
    return add_unchecked(described, vary_each_hole(found.space))


def say_chosen(settle: Callable[[Any, Listener], Any], given: Any) -> tuple[Any, dict[str, Any]]:
    """Return a graph or a space with its `auto` nodes chosen, and what was chosen and why."""
    said: list[str] = []
    settled = settle(given, Listener(say=said.append))
    return settled, {"auto": said} if said else {}


def check_weights(graph: Graph) -> None:
    """Raise UserError for what `ktg train` would refuse: a batch, a network, or its weights.

    torch is not imported where all nodes are networks of ktg's own, without weights.
    """
    from ktg.searching.preflight import check_graphs, count_images

    for fault in check_graphs([graph], functools.partial(count_images, final=True)).values():
        raise fault


def add_unchecked(found: dict[str, Any], graphs: Iterable[Graph]) -> dict[str, Any]:
    """Return what was found, with a note on what only training can tell of these graphs."""
    from ktg.searching.preflight import describe_unchecked

    said = describe_unchecked(graphs)
    return found | {"note": [*found.get("note", []), said]} if said else found


def describe_graph(graph: Graph) -> dict[str, Any]:
    """Return what a graph trains."""
    from ktg.graph.canonical import live_nodes, open_edges, teachers

    trained, target = live_nodes(graph), graph.nodes[graph.target]
    dead = [name for name in graph.nodes if name not in trained]
    made = [describe_made(graph, name) for name in teachers(graph)]
    learners = count(len(trained) - len(made), "network")
    before = f", after {join_names(made)}" if made else ""
    return {
        "target": "ensemble" if graph.ensemble else f"{graph.target} ({target.model})",
        "nodes": ", ".join(trained),
        "teachers": ", ".join(teachers(graph)) or "none",
        "not live": ", ".join(dead) or "none",
        "open edges": len(open_edges(graph)),
        **describe_noise(graph),
        "cost": f"{learners} x {count(graph.train.epochs, 'epoch')} for each seed{before}",
    }


def describe_made(graph: Graph, name: str) -> str:
    """Return how a teacher is made before the others begin: it learns first, and then answers."""
    if epochs := graph.epochs_of(name):
        return f"{name} by {count(epochs, 'epoch')} of its own"
    has_probe = graph.nodes[name].head == "probe"
    return f"{name} by a linear probe" if has_probe else f"{name} as it comes"


def describe_noise(graph: Graph) -> dict[str, Any]:
    """Return which shares of wrong labels the open gates of a graph expect, if any does."""
    from ktg.graph.canonical import open_edges

    rates = {edge.noise for edge in open_edges(graph).values() if edge.gate == "small_loss"}
    return {"noise": ", ".join(sorted(map(str, rates)))} if rates else {}


def describe_space(space: SearchSpace, graph: Graph) -> dict[str, Any]:
    """Return how large a space is and what its search would cost."""
    from ktg.searching.baselines import baselines

    size, search, epochs = space.size(), space.search, graph.train.epochs
    compared = baselines(space) if search.baselines else {}
    first = [one.train.epochs for one in compared.values()]
    networks = f"of up to {count(len(graph.nodes), 'network')}"
    if search.most_trials is None:
        cost = f"{format_duration(search.budget_s or 0.0)} of wall time, in epochs {networks}"
    else:
        most = min(search.most_trials, size or search.most_trials)
        raced = 1 / (1 - search.race_share)
        expected = round((most * expected_epochs(space, epochs) + sum(first)) * raced)
        full = round((most * epochs + sum(first)) * raced)
        cost = f"about {expected} epochs {networks}, {full} if none were stopped early"
    return {
        "holes": len(space.holes),
        **describe_affinity(space),
        "graphs": f"{size:,}" if size is not None else "a continuum",
        "baselines": ", ".join(compared) or "none",
        "trials": search.most_trials or "as many as the budget allows",
        "cost": cost,
    }


def describe_time(graph: Graph, space: SearchSpace | None = None) -> dict[str, Any]:
    """Return how long a training takes here, by a few real steps, and all of a search if given.

    Nothing where that cannot be measured, such as for data that are not here yet.
    """
    from ktg.proposing.machine import read_machine
    from ktg.proposing.minutes import estimate_time

    found = estimate_time(graph)
    if found is None:
        return {}
    made = f", after {round_minutes(found.teachers_s)} for teachers" if found.teachers_s else ""
    said = f"{round_minutes(found.own_s)} for one training here{made}, measured by a few steps"
    if space is None or space.search.most_trials is None:
        return {"time": said}
    from ktg.searching.baselines import baselines

    slots = read_machine().slots
    first = len(baselines(space)) if space.search.baselines else 0
    trainings = (space.search.most_trials + first) / (1 - space.search.race_share)
    seconds = trainings * found.own_s / slots + found.teachers_s
    return {"time": f"{said}; at most {round_minutes(seconds)} for all, {slots} at once"}


def describe_affinity(space: SearchSpace) -> dict[str, Any]:
    """Return how many candidates each affinity hole would measure before the first trial."""
    from ktg.graph.affinity_holes import list_candidates

    found = {name: f"{len(pairs)} candidates" for name, pairs in list_candidates(space).items()}
    before = "the first trial, by one pass over training images each"
    return {"affinity": {"before": before, **found}} if found else {}


def expected_epochs(space: SearchSpace, epochs: int) -> float:
    """Return the mean epochs of a trial if at every rung one in `reduction_factor` goes on.

    With `grace_epochs` 1 and `reduction_factor` 2, of 4 epochs all trials train the first, half of
    them the second, a quarter the last two: 1 + 0.5 + 0.25 * 2 = 2.
    """
    search = space.search
    if search.scheduler in ("none", "auto"):  # what auto will be able to prove, nobody knows
        return float(epochs)
    spent, rung, share = 0.0, 0.0, 1.0
    following = float(search.grace_epochs)
    while following < epochs:
        spent += share * (following - rung)
        rung, following = following, following * search.reduction_factor
        share /= search.reduction_factor
    return spent + share * (epochs - rung)


def describe_data(data: Data) -> dict[str, Any]:
    """Return how many images each class and split has, without decoding any, and oddities."""
    from ktg.data.open import remark, summarize

    found = summarize(data)
    if found is None:
        where = "not on this machine yet: it is downloaded at the first training"
        return {"data": f"{data.name}, {where}"}
    splits: dict[str, str] = {
        split: f"{sum(images)} images, at least {min(images)} in each class"
        for split, images in found.counts.items()
    }
    if found.unlabelled is not None:
        splits["unlabelled"] = f"{found.unlabelled} images"
    names = join_names(found.classes)
    described = {"classes": len(found.classes), "class names": names, "data": splits}
    notes = [*remark(data), *unused_images(data), *few_images(sum(found.counts["val"]))]
    notes += unequal_classes(found.classes, found.counts["train"])
    return described | ({"note": notes} if notes else {})


def unequal_classes(classes: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    """Yield a sentence where the largest class has several times the images of the smallest."""
    from ktg.data.imbalance import IMBALANCED, measure_imbalance, name_extremes

    if measure_imbalance(counts) >= IMBALANCED:
        shown = ", ".join(name_extremes(classes, counts))
        advice = "search.metric: balanced_accuracy and data.balance count each class alike"
        yield f"the classes are unequal ({shown}), so accuracy hides the small ones; {advice}"


def unused_images(data: Data) -> Iterator[str]:
    """Yield a sentence on images without labels that are not used, and what such are worth."""
    from ktg.proposing.found_images import count_unlabelled
    from ktg.proposing.kinds import LEADS

    if data.path is None or data.unlabelled is not None:
        return
    if more := count_unlabelled(data.path, data.labels):
        lead = LEADS["taught, unlabelled"]
        worth = f"{100 * lead.mean:+.1f} points in the mean of {lead.sets} sets"
        yield (
            f"{count(more, 'image')} in the folder without a label: to a target that a stronger "
            f"network teaches on such (data.unlabelled: auto) they were worth {worth}"
        )


def few_images(val: int) -> Iterator[str]:
    """Yield a sentence where one validation image more or less looks like progress."""
    if 0 < val < FEW:
        points = f"of {val} validation images one is {100 / val:.1f} points of accuracy"
        yield f"{points}: small differences are luck"
