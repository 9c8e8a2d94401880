"""Builds networks by name, with their initial weights.

Import from the modules: `names`, `resolve` and `sources` need no torch, most others do.
"""
