"""The names of generators of pictures, light to import."""

from typing import Literal

FormulaName = Literal["fractaldb", "ofdb", "onep", "svd"]
