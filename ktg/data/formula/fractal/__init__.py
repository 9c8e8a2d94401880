"""Draws the pictures of FractalDB and its family (OFDB, 1p-frac, SVD fractals).

family.py      generators by name; database.py, onep.py, svd.py: one or two generators each
catalogue.py   the categories of FractalDB; contraction.py: systems drawn by singular values
chaos.py       from a system to the points of a walk; kernels.py: the compiled loops
brush.py       from points to pixels; plasma.py: backgrounds
rendering.py   one picture as the official program draws it, to compare with
"""

from ktg.data.formula.fractal.catalogue import load_categories, search_categories
from ktg.data.formula.fractal.database import FractalDB, OneInstance
from ktg.data.formula.fractal.family import GENERATORS, list_settings, make_generator
from ktg.data.formula.fractal.onep import OneFractal
from ktg.data.formula.fractal.rendering import render
from ktg.data.formula.fractal.svd import Svd

__all__ = [
    "GENERATORS",
    "FractalDB",
    "OneFractal",
    "OneInstance",
    "Svd",
    "list_settings",
    "load_categories",
    "make_generator",
    "render",
    "search_categories",
]
