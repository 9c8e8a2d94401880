"""Draws knowledge-transfer graphs as SVG, with nothing but the standard library."""

from ktg.graph.drawing.svg import draw

__all__ = ["draw"]
