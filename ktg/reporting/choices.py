"""Which options of the choices won, and which were stopped early more often than their share."""

from collections.abc import Sequence
from typing import Any

from ktg.graph import LABEL, Choice
from ktg.reporting.record import SearchRecord, Trial
from ktg.searching.sampler import label

TITLES = {"model": "Models", "source": "Initial weights"}


def choices(record: SearchRecord) -> list[dict[str, Any]]:
    """Return a group for all choices of one kind with the same options: gates between nodes, models, ...

    Shares are of what the sampler chose (baselines, which are never stopped, and failed trials are
    left out), counted once for every hole of the group, also where the node could not reach the
    target.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for path, hole in record.space.holes.items():
        if isinstance(hole, Choice):
            options = tuple(str(label(hole, option)) for option in hole.options)
            groups.setdefault((title(path), options), []).append(path)
    names = [name for name, _ in groups]
    return [
        _group(
            record, name if names.count(name) == 1 else f"{name}: {_places(paths)}", options, paths
        )
        for (name, options), paths in groups.items()
    ]


def _places(paths: Sequence[str]) -> str:
    """Return of which nodes, or between which, some holes are."""
    return ", ".join(dict.fromkeys(" -> ".join(path.split(".")[1:-1]) for path in paths))


def title(path: str) -> str:
    """Return what a hole's group is called; a hole of a kind of its own keeps its path."""
    parts = path.split(".")
    if parts[0] == "edges" and parts[-1] == "gate":
        return "Gates from the label" if parts[1] == LABEL else "Gates between nodes"
    return TITLES.get(parts[-1], path) if parts[0] == "nodes" else path


def _group(
    record: SearchRecord, name: str, options: Sequence[str], paths: Sequence[str]
) -> dict[str, Any]:
    trials = [trial for trial in record.sampled if trial.state in ("stopped", "finished")]
    stopped = [trial for trial in trials if trial.state == "stopped"]
    drawn, lost = _count(record, trials, paths), _count(record, stopped, paths)
    won = _count(record, [record.best], paths) if record.best.values is not None else []
    return {
        "title": name,
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


def _count(record: SearchRecord, trials: Sequence[Trial], paths: Sequence[str]) -> list[str]:
    holes = record.space.holes
    return [
        str(label(holes[path], (trial.values or {})[path])) for trial in trials for path in paths
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
