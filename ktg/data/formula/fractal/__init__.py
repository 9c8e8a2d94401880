"""FractalDB and its family: labelled pictures drawn by formulas, rendered while training or into a folder."""

from ktg.data.formula.fractal.catalogue import categories, search
from ktg.data.formula.fractal.database import FractalDB, OneInstance
from ktg.data.formula.fractal.family import KINDS, make_formula, settings_of
from ktg.data.formula.fractal.onep import OneFractal
from ktg.data.formula.fractal.rendering import render
from ktg.data.formula.fractal.svd import Svd

__all__ = [
    "KINDS",
    "FractalDB",
    "OneFractal",
    "OneInstance",
    "Svd",
    "categories",
    "make_formula",
    "render",
    "search",
    "settings_of",
]
