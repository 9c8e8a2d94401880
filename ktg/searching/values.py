"""Writes the values of holes as text or numbers for Optuna and MLflow, and reads them back."""

import json
from collections.abc import Mapping
from typing import Any

from ktg.errors import UserError, show
from ktg.graph import Choice, Hole, Int

Values = dict[str, Any]


def label(hole: Hole, value: Any) -> Any:
    """Return an option as Optuna and MLflow can store it: lists and mappings become JSON."""
    if isinstance(hole, Choice) and not isinstance(value, str | int | float | bool | None):
        return json.dumps(value)
    return value


def option(hole: Hole, labelled: Any) -> Any:
    """Return the option that `label` wrote."""
    if not isinstance(hole, Choice):
        return labelled
    return next(value for value in hole.options if label(hole, value) == labelled)


def parse_values(holes: Mapping[str, Hole], params: Mapping[str, str]) -> Values:
    """Return the values of the holes that `params`, the parameters of a stored run, speak of.

    Raises UserError where a text is no option of its hole.
    """
    return {path: parse_value(hole, params[path]) for path, hole in holes.items() if path in params}


def parse_value(hole: Hole, text: str) -> Any:
    """Return the value of a hole from its text in a store, which is `str` of what `label` wrote.

    `parse_value(Int(1, 9), "3")` is 3; of a choice the option itself is returned, so that true does
    not become "True". Raises UserError for a text that is no option.
    """
    if not isinstance(hole, Choice):
        return int(text) if isinstance(hole, Int) else float(text)
    for each in hole.options:
        if str(label(hole, each)) == text:
            return each
    raise UserError(
        f"{show(text)} is no option of {{choice: {show(list(hole.options))}}} (any more)"
    )
