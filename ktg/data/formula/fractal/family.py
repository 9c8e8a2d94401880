"""The generators by name."""

import dataclasses
from typing import Any

from ktg.data.formula.fractal.catalogue import Progress, categories
from ktg.data.formula.fractal.database import FractalDB, OneInstance
from ktg.data.formula.fractal.onep import OneFractal
from ktg.data.formula.fractal.svd import Svd
from ktg.errors import SpecError, not_one_of
from ktg.graph import FormulaName

Generator = FractalDB | OneFractal | Svd

KINDS: dict[FormulaName, type[Generator]] = {
    "fractaldb": FractalDB,
    "ofdb": OneInstance,
    "onep": OneFractal,
    "svd": Svd,
}
# What changes how fast the pictures come, or how many, but not the pictures.
_NOT_SETTINGS = ("systems", "classes", "memory_bytes")


def make_formula(
    name: FormulaName, classes: int, *, progress: Progress | None = None, **settings: Any
) -> Generator:
    """Return the generator of this name with `classes` classes; what it is not told is as published.

    settings: fields of the generator, such as `size`, `points`, `seed`; see `FractalDB`,
    `OneFractal`, `Svd`.
    progress: is told (found, wanted) while more than the 1,000 known categories are searched.
    Raises SpecError for a name or a setting that there is not, and for values out of range.
    """
    if name not in KINDS:
        raise not_one_of("formula", name, "a generator", KINDS)
    kind = KINDS[name]
    allowed = [field.name for field in _settings(kind)]
    for setting in settings:
        if setting not in allowed:
            raise not_one_of(name, setting, "a setting", allowed)
    if classes < 1:
        raise SpecError("classes", f"expected at least 1, got {classes}")
    if issubclass(kind, FractalDB):
        return kind(categories(classes, progress), **settings)
    return kind(classes, **settings)


def settings_of(formula: Generator) -> dict[str, str | int | float | bool]:
    """Return, in plain data, what decides how the pictures of each class look."""
    fields = {field.name: getattr(formula, field.name) for field in _settings(type(formula))}
    return {
        "formula": next(name for name, kind in KINDS.items() if kind is type(formula)),
        **fields,
    }


def has_setting(name: FormulaName, setting: str) -> bool:
    """Return whether the generator of this name can be told this."""
    return setting in {field.name for field in _settings(KINDS[name])}


def _settings(kind: type[Any]) -> list[dataclasses.Field[Any]]:
    return [
        field
        for field in dataclasses.fields(kind)
        if field.init and field.name not in _NOT_SETTINGS
    ]
