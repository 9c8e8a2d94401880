"""Pictures of knowledge-transfer graphs. Importing it is light; matplotlib is loaded when one is drawn."""

from ktg.graph.drawing.svg import draw

__all__ = ["draw"]
