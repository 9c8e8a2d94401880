"""FractalDB and its family: labelled pictures drawn by formulas, rendered while training or into a folder."""

from ktg.sources.fractal.catalogue import categories, search
from ktg.sources.fractal.database import FractalDB, OneInstance
from ktg.sources.fractal.family import KINDS, make_formula, settings_of
from ktg.sources.fractal.onep import OneFractal
from ktg.sources.fractal.rendering import render
from ktg.sources.fractal.svd import Svd

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
