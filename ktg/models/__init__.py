"""Builds networks by name, with their initial weights.

Import from the modules: `names` and `sources` need no torch, the others do.
"""
