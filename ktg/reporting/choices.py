"""Counts which options of the choices won, and which were stopped early more often than others."""

from collections.abc import Sequence
from typing import Any

from ktg.graph import LABEL, Choice
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.searching.values import label

TITLES = {"model": "Models", "source": "Initial weights"}


def count_choices(search: StoredSearch) -> list[dict[str, Any]]:
    """Return a group for all choices of one kind with the same options: gates, models, ...

    Shares are of what the sampler chose, without failed trials (baselines are never stopped).
    A trial counts once for every hole of the group, also where the node could not reach the target.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path, hole in search.space.holes.items():
        if isinstance(hole, Choice):
            options = tuple(str(label(hole, option)) for option in hole.options)
            groups.setdefault((group_title(path), options), []).append(path)
    titles = [title for title, _ in groups]
    found = []
    for (title, options), paths in groups.items():
        unique = title if titles.count(title) == 1 else f"{title}: {_places(paths)}"
        found.append(_group(search, unique, options, paths))
    return found


def group_title(path: str) -> str:
    """Return what a hole's group is called; a hole of a kind of its own keeps its path.

    `nodes.n1.model` belongs to "Models", `edges.n1.n0.gate` to "Gates between nodes".
    """
    parts = path.split(".")
    if parts[0] == "edges" and parts[-1] == "gate":
        return "Gates from the label" if parts[1] == LABEL else "Gates between nodes"
    return TITLES.get(parts[-1], path) if parts[0] == "nodes" else path


def _places(paths: Sequence[str]) -> str:
    """Return the nodes, or the edges, that some holes belong to."""
    return ", ".join(dict.fromkeys(" -> ".join(path.split(".")[1:-1]) for path in paths))


def _group(
    search: StoredSearch, title: str, options: Sequence[str], paths: Sequence[str]
) -> dict[str, Any]:
    trials = [trial for trial in search.sampled if trial.state in ("stopped", "finished")]
    stopped = [trial for trial in trials if trial.state == "stopped"]
    drawn, lost = _drawn_options(search, trials, paths), _drawn_options(search, stopped, paths)
    best = [] if search.best.values is None else [search.best]
    won = _drawn_options(search, best, paths)
    return {
        "title": title,
        "holes": list(paths),
        "trials": len(trials),
        "stop_rate": _share(len(stopped), len(trials)),
        "options": [
            {
                "option": option,
                "share": _share(drawn.count(option), len(drawn)),
                "share_of_stopped": _share(lost.count(option), len(lost)),
                "stop_rate": _share(lost.count(option), drawn.count(option)),
                "in_best": won.count(option),
            }
            for option in options
        ],
    }


def _drawn_options(
    search: StoredSearch, trials: Sequence[StoredTrial], paths: Sequence[str]
) -> list[str]:
    holes = search.space.holes
    return [
        str(label(holes[path], (trial.values or {})[path])) for trial in trials for path in paths
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
