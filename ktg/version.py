"""The version of ktg, in a module that everybody may import."""

__version__ = "0.1.0"
