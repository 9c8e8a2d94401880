"""Compares several searches: in what they differ, what they spent, and what they found."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ktg.graph.holes import has_hole_word
from ktg.graph.yaml_files import dumps
from ktg.intervals import binomial_interval
from ktg.reporting.against_baselines import count_validation_images
from ktg.reporting.cost import sum_costs
from ktg.reporting.curves import trace_best
from ktg.reporting.levels import read_level
from ktg.searching.stored_search import StoredSearch
from ktg.version import __version__
from ktg.wording import format_utc


def compare_searches(searches: Sequence[StoredSearch]) -> dict[str, Any]:
    """Return what sets searches apart, as plain data: accuracies are shares of one, times seconds.

    Raises UserError for a search that this version cannot read.
    """
    for search in searches:
        search.check_readable()
    fingerprints = {search.run.tags.get("data.fingerprint") for search in searches}
    return {
        "version": 1,
        "searches": [_search(search) for search in searches],
        "same_data": len(fingerprints) == 1 and None not in fingerprints,
        "differences": find_differences([flatten_space(search) for search in searches]),
        "reported": format_utc(time.time()),
        "reported_by": __version__,
    }


def flatten_space(search: StoredSearch) -> dict[str, str]:
    """Return everything that a space says, by dotted path, holes as they are written."""
    return flatten(search.space.template) | flatten(vars(search.space.search), "search.")


def find_differences(spaces: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the places at which spaces do not all say the same, with what each says there.

    None stands for a space that says nothing of a place: its default holds, or it has no such node
    or edge. A place that is empty in one space is left out where another says something inside it.
    """
    places = dict.fromkeys(place for space in spaces for place in space)
    filled = {place.rpartition(".")[0] for place in places}
    leaves = [place for place in places if place not in filled]
    rows = [{"place": place, "values": [space.get(place) for space in spaces]} for place in leaves]
    return [row for row in rows if len(set(row["values"])) > 1]


def flatten(value: Any, path: str = "") -> dict[str, str]:
    """Return the leaves of nested mappings by dotted path; holes and empty mappings are leaves."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        place = f"{path}{key.replace(' -> ', '.')}"
        if isinstance(item, Mapping) and item and not has_hole_word(item):
            flat |= flatten(item, f"{place}.")
        else:
            # On one line, as the file of a space has it.
            flat[place] = " ".join(dumps({"leaf": item}).split()[1:])
    return flat


def _search(search: StoredSearch) -> dict[str, Any]:
    best, images, size = search.best, count_validation_images(search), search.space.size()
    return {
        "experiment": search.experiment.name,
        **search.to_json(),
        "metric": search.metric,
        "unfinished": search.state == "running",
        "data_fingerprint": search.run.tags.get("data.fingerprint"),
        "validation_images": images,
        "holes": len(search.space.holes),
        "graphs": size,
        "best": {
            "trial": best.name,
            "baseline": best.baseline,
            "val_accuracy": best.accuracy,
            "val_interval": binomial_interval(best.accuracy, images) if images else None,
            "level": read_level(search, best).to_json(),
        },
        "alone": search.alone.accuracy if search.alone else None,
        "alone_level": read_level(search, search.alone).to_json() if search.alone else None,
        "cost": sum_costs(search),
        "progress": trace_best(search),
    }
