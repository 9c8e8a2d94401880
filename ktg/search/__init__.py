"""Searches a space for its best graph; the only room that knows Ray and Optuna."""

from ktg.search.outcome import Result, Row
from ktg.search.run import search

__all__ = ["Result", "Row", "search"]
