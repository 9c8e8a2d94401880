"""Several searches side by side: in what they differ, what they spent, and what they found."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ktg.graph.holes import has_hole_word
from ktg.graph.yaml_files import dumps
from ktg.intervals import binomial
from ktg.reporting.comparison import validation_images
from ktg.reporting.cost import cost
from ktg.reporting.curves import best_so_far
from ktg.reporting.record import SearchRecord, utc
from ktg.version import __version__


def compare(records: Sequence[SearchRecord]) -> dict[str, Any]:
    """Return what sets searches apart, as plain data: accuracies are shares of one, times seconds."""
    fingerprints = {record.run.tags.get("data.fingerprint") for record in records}
    return {
        "version": 1,
        "searches": [_search(record) for record in records],
        "same_data": len(fingerprints) == 1 and None not in fingerprints,
        "differences": differences([settings(record) for record in records]),
        "reported": utc(time.time()),
        "reported_by": __version__,
    }


def settings(record: SearchRecord) -> dict[str, str]:
    """Return everything that a space says, by dotted path, holes as they are written."""
    return _flat(record.space.template, "") | _flat(vars(record.space.search), "search.")


def differences(spaces: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the places at which spaces do not all say the same, with what each says there.

    None stands for a space that says nothing of a place: its default holds, or it has no such node
    or edge. A place that is empty in one space is left out where another says something inside it.
    """
    places = dict.fromkeys(place for space in spaces for place in space)
    filled = {place.rpartition(".")[0] for place in places}
    kept = [place for place in places if place not in filled]
    rows = [{"place": place, "values": [space.get(place) for space in spaces]} for place in kept]
    return [row for row in rows if len(set(row["values"])) > 1]


def _flat(value: Any, path: str) -> dict[str, str]:
    """Return the leaves of nested mappings by dotted path; a hole, or an empty mapping, is a leaf."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        place = f"{path}{key.replace(' -> ', '.')}"
        if isinstance(item, Mapping) and item and not has_hole_word(item):
            flat |= _flat(item, f"{place}.")
        else:
            flat[place] = _text(item)
    return flat


def _text(item: Any) -> str:
    """Return a leaf on one line, as a file of a space has it."""
    return " ".join(dumps({"leaf": item}).split()[1:])


def _search(record: SearchRecord) -> dict[str, Any]:
    best, images, size = record.best, validation_images(record), record.space.size()
    alone = [trial.accuracy for trial in record.finished if trial.baseline == "alone"]
    return {
        "experiment": record.experiment.name,
        "run": record.run.id,
        "started": utc(record.run.start_s),
        "unfinished": record.run.state == "running",
        "data_fingerprint": record.run.tags.get("data.fingerprint"),
        "validation_images": images,
        "holes": len(record.space.holes),
        "graphs": size,
        "best": {
            "trial": best.name,
            "baseline": best.baseline,
            "val_accuracy": best.accuracy,
            "val_interval": binomial(best.accuracy, images) if images else None,
        },
        "alone": alone[0] if alone else None,
        "cost": cost(record),
        "progress": best_so_far(record),
    }
