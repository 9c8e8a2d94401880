"""Formats scores and figures as text."""

from ktg.api.affinity import SMALLER_IS_BETTER


def label_score(name: str) -> str:
    """Return a score's name with an arrow that shows which way is meant to be better."""
    return f"{name} {chr(0x2193) if name.lower() in SMALLER_IS_BETTER else chr(0x2191)}"


def format_score(value: float | None) -> str:
    """Return a score as text of a few digits: 11,173,962 parameters -> 11.17 M."""
    if value is None:
        return "n/a"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def format_figure(value: float | None) -> str:
    """Return a figure as text; a dash if it is undefined."""
    return "-" if value is None else f"{value:.3f}"
