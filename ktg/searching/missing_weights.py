"""Removes from a search space the options whose weights are unavailable.

A hole loses an option that fails with every option of the other holes of its node: where nobody
publishes weights for resnet8, `imagenet` goes if resnet8 is the only model. What fails with some of
them only stays, and the space refuses the combination, as it refuses a graph whose target nothing
teaches.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ktg.errors import MissingSourceError, show
from ktg.graph import SearchSpace
from ktg.graph.parse_space import option_path
from ktg.searching.preflight import (
    Use,
    check_data_holes,
    check_graphs,
    count_images,
    select_image_fields,
    vary_each_hole,
)

Missing = Literal["stop", "drop"]
_FIELDS = ("model", "source")


@dataclass
class AvailableSpace:
    """A space all of whose weights are available, and by place, in words, what was changed for it.

    `lost` has the options and combinations that were removed, `defaults` the defaults that changed.
    """

    space: SearchSpace
    lost: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, str]:
        """All changes to report to the user."""
        return self.lost | self.defaults


def remove_unavailable(space: SearchSpace, missing: Missing = "stop") -> AvailableSpace:
    """Return the space without options whose weights are unavailable; no image is decoded.

    missing: with `stop`, raise MissingSourceError for any such option. With `drop`, only where
    nothing is left: the node has no hole for it, or no option of the hole remains.
    Raises UserError for whatever else is wrong and can be found without images (`check_graphs`).
    """
    check_data_holes(space)
    faults = check_graphs(
        vary_each_hole(space), functools.cache(lambda data: count_images(select_image_fields(data)))
    )
    found = AvailableSpace(space)
    for name in dict.fromkeys(name for name, _, _ in faults):
        _narrow(found, name, {use: fault for use, fault in faults.items() if use[0] == name})
    if missing == "stop" and found.lost:
        raise _describe_all(found.lost)
    return found


def _narrow(found: AvailableSpace, name: str, faults: Mapping[Use, MissingSourceError]) -> None:
    """Remove from the space what is unavailable at one node.

    A point is one option of each hole that decides on the node's model and source.
    """
    space = found.space
    places = (f"nodes.{name}", *(f"nodes.{name}.{key}" for key in _FIELDS))
    paths = [path for path in places if path in space.holes]
    options = [space.holes[path].options_to_check() for path in paths]
    points = itertools.product(*(range(len(each)) for each in options))
    uses = {point: _find_use(space, name, paths, options, point) for point in points}
    bad = faults.keys() | space.missing_weights
    good = [point for point, use in uses.items() if use not in bad]
    if not good:
        fault = next(iter(faults.values()))
        others = f"; there are weights for no option of {' and '.join(paths)}" if paths else ""
        raise MissingSourceError(fault.path, f"{fault.problem}{others}")
    kept = [sorted({point[i] for point in good}) for i in range(len(paths))]
    for i, path in enumerate(paths):
        for number, option in enumerate(options[i]):
            if number not in kept[i]:
                lost = [use for point, use in uses.items() if point[i] == number and use in faults]
                problems = dict.fromkeys(faults[use].problem for use in lost)
                place = option_path(path, space.holes[path], option)
                found.lost[f"{place} ({_format_option(option)})"] = (
                    f"dropped: {'; '.join(problems)}"
                )
    refused = [uses[point] for point in itertools.product(*kept) if uses[point] in faults]
    for use in refused:
        found.lost[f"nodes.{name}: {use[1]} from {use[2]}"] = f"never tried: {faults[use].problem}"
    # The first option is the default, which the baselines train, so it must be possible with the
    # defaults of the other holes.
    for i, path in enumerate(paths):
        first = good[0][i]
        if first != kept[i][0]:
            found.defaults[path] = f"its default is now {_format_option(options[i][first])}"
        kept[i] = [first, *(number for number in kept[i] if number != first)]
    narrowed = {path: [options[i][number] for number in kept[i]] for i, path in enumerate(paths)}
    found.space = space.narrow(narrowed, refused)


def _find_use(
    space: SearchSpace,
    name: str,
    paths: Sequence[str],
    options: Sequence[Sequence[Any]],
    point: Sequence[int],
) -> Use:
    """Return the node that the options with these numbers make; other holes have their defaults."""
    values = {path: options[i][point[i]] for i, path in enumerate(paths)}
    node = space.fill(space.default() | values).nodes[name]
    return name, node.model, node.source


def _format_option(option: object) -> str:
    return option if isinstance(option, str) else show(option)


def _describe_all(lost: Mapping[str, str]) -> MissingSourceError:
    """Return the error that names all that `drop` would remove, and the first one's reason."""
    first, *others = lost
    more = f" (also: {', '.join(others)})" if others else ""
    problem = lost[first].partition(": ")[2]
    advice = "`--missing-sources drop` searches without these"
    return MissingSourceError(first, f"{problem}{more}; {advice}")
