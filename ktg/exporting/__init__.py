"""Exports graphs and trained networks, and classifies images with them."""
