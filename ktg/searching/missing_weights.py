"""What a search does without: the options of a space for which no weights can be had.

A hole loses an option when it fails with every option of the other holes of its node. What fails
with some of them only stays, and the space refuses the combination: the sampler is told so, as of a
graph whose target nothing teaches.
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
class Supplied:
    """A space of whose graphs all weights can be had; in words, by place, what it lost and which defaults changed."""

    space: SearchSpace
    lost: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, str]:
        """All that has to be said."""
        return self.lost | self.defaults


def supplied(space: SearchSpace, missing: Missing = "stop") -> Supplied:
    """Return the space without what cannot be supplied with weights, before any image is decoded.

    missing: with `stop`, raise MissingSourceError where there is such an option. With `drop` only
    where there is no other: the node has no hole for it, or no option of the hole is left.
    Raises UserError for whatever else can be found wrong without opening images (see
    `check_graphs`).
    """
    check_data_holes(space)
    faults = check_graphs(
        vary_each_hole(space), functools.cache(lambda data: count_images(select_image_fields(data)))
    )
    found = Supplied(space)
    for name in dict.fromkeys(name for name, _, _ in faults):
        _narrow(found, name, {use: fault for use, fault in faults.items() if use[0] == name})
    if missing == "stop" and found.lost:
        raise _stopped(found.lost)
    return found


def _narrow(found: Supplied, name: str, faults: Mapping[Use, MissingSourceError]) -> None:
    """Take from the space what no weights can be had for at one node."""
    space = found.space
    paths = [
        path
        for path in (f"nodes.{name}", *(f"nodes.{name}.{key}" for key in _FIELDS))
        if path in space.holes
    ]
    options = [space.holes[path].options_to_check() for path in paths]
    points = itertools.product(*(range(len(each)) for each in options))
    uses = {point: _use(space, name, paths, options, point) for point in points}
    bad = faults.keys() | space.missing_weights
    good = [point for point, use in uses.items() if use not in bad]
    if not good:
        fault = next(iter(faults.values()))
        others = f"; weights can be had for no option of {' and '.join(paths)}" if paths else ""
        raise MissingSourceError(fault.path, f"{fault.problem}{others}")
    kept = [sorted({point[i] for point in good}) for i in range(len(paths))]
    for i, path in enumerate(paths):
        for number, option in enumerate(options[i]):
            if number not in kept[i]:
                lost = [use for point, use in uses.items() if point[i] == number and use in faults]
                problems = dict.fromkeys(faults[use].problem for use in lost)
                place = option_path(path, space.holes[path], option)
                found.lost[f"{place} ({_named(option)})"] = f"dropped: {'; '.join(problems)}"
    refused = [uses[point] for point in itertools.product(*kept) if uses[point] in faults]
    for use in refused:
        found.lost[f"nodes.{name}: {use[1]} from {use[2]}"] = f"never tried: {faults[use].problem}"
    for i, path in enumerate(paths):  # the default, which the baselines train, must be possible
        first = good[0][i]
        if first != kept[i][0]:
            found.defaults[path] = f"its default is now {_named(options[i][first])}"
        kept[i] = [first, *(number for number in kept[i] if number != first)]
    narrowed = {path: [options[i][number] for number in kept[i]] for i, path in enumerate(paths)}
    found.space = space.narrow(narrowed, refused)


def _use(
    space: SearchSpace,
    name: str,
    paths: Sequence[str],
    options: Sequence[Sequence[Any]],
    point: Sequence[int],
) -> Use:
    """Return the node that the options with these numbers make, all other holes being at their defaults."""
    values = {path: options[i][point[i]] for i, path in enumerate(paths)}
    node = space.fill(space.default() | values).nodes[name]
    return name, node.model, node.source


def _named(option: object) -> str:
    return option if isinstance(option, str) else show(option)


def _stopped(lost: Mapping[str, str]) -> MissingSourceError:
    """Return the error that names everything that `drop` would do without, and says why of the first."""
    first, *others = lost
    more = f" (also: {', '.join(others)})" if others else ""
    problem = lost[first].partition(": ")[2]
    return MissingSourceError(
        first, f"{problem}{more}; `--missing-sources drop` searches without these"
    )
