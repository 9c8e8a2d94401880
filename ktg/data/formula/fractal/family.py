"""Makes generators of pictures by name."""

import dataclasses
from typing import Any

from ktg.data.formula.fractal.catalogue import OnFound, load_categories
from ktg.data.formula.fractal.database import FractalDB, OneInstance
from ktg.data.formula.fractal.onep import OneFractal
from ktg.data.formula.fractal.svd import Svd
from ktg.errors import SpecError, not_one_of
from ktg.graph import FormulaName

FractalGenerator = FractalDB | OneFractal | Svd

GENERATORS: dict[FormulaName, type[FractalGenerator]] = {
    "fractaldb": FractalDB,
    "ofdb": OneInstance,
    "onep": OneFractal,
    "svd": Svd,
}
# Fields that change how fast pictures come, or how many, but not the pictures.
_NOT_SETTINGS = ("systems", "classes", "memory_bytes")


def make_generator(
    name: FormulaName, classes: int, *, progress: OnFound | None = None, **settings: Any
) -> FractalGenerator:
    """Return the generator of this name with `classes` classes.

    settings: fields of the generator, such as `size`, `points`, `seed` (see `FractalDB`,
    `OneFractal`, `Svd`); the others are as published.
    progress: gets (found, wanted) while more than the 1,000 known categories are searched.
    Raises SpecError for an unknown name or setting, and for values out of range.
    """
    if name not in GENERATORS:
        raise not_one_of("formula", name, "a generator", GENERATORS)
    kind = GENERATORS[name]
    allowed = [field.name for field in _settings(kind)]
    for setting in settings:
        if setting not in allowed:
            raise not_one_of(name, setting, "a setting", allowed)
    if classes < 1:
        raise SpecError("classes", f"expected at least 1, got {classes}")
    if issubclass(kind, FractalDB):
        return kind(load_categories(classes, progress), **settings)
    return kind(classes, **settings)


def list_settings(generator: FractalGenerator) -> dict[str, str | int | float | bool]:
    """Return, as plain data, all that decides how the pictures of each class look."""
    kind = type(generator)
    fields = {field.name: getattr(generator, field.name) for field in _settings(kind)}
    return {"formula": next(name for name, each in GENERATORS.items() if each is kind), **fields}


def has_setting(name: FormulaName, setting: str) -> bool:
    """Return whether the generator of this name has this setting."""
    return setting in {field.name for field in _settings(GENERATORS[name])}


def _settings(kind: type[Any]) -> list[dataclasses.Field[Any]]:
    return [
        field
        for field in dataclasses.fields(kind)
        if field.init and field.name not in _NOT_SETTINGS
    ]
