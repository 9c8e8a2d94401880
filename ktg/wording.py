"""Formats numbers for people: percentages, durations and times."""

import math
import re
from datetime import UTC, datetime

_UNITS = {"s": 1, "m": 60, "h": 3600}


def format_percent(share: float) -> str:
    """Return a share of one as a percentage: 0.9512 -> 95.12 %."""
    return f"{100 * share:.2f} %"


def format_setting(value: float | str) -> str:
    """Return a number as briefly as it can be told, and a word as it is: 0.50 -> 0.5, learned."""
    return value if isinstance(value, str) else f"{value:g}"


def format_duration(seconds: float) -> str:
    """Return a duration in seconds as people say it: 200 -> 3 min 20 s, 7500 -> 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def round_minutes(seconds: float) -> str:
    """Return seconds as a person plans with them.

    >>> round_minutes(40), round_minutes(100), round_minutes(9000)
    ('about 40 s', 'about 2 min', 'about 2 h 30 min')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60} min"


def count(number: int, what: str) -> str:
    """Return a number with its noun: 1 seed, 2 seeds."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as 90s, 30m, 2h or 1h30m.

    Raises ValueError for any other text, and for no time at all.

    >>> parse_duration("1h30m")
    5400.0
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds < float("inf"):
        raise ValueError(text)
    return seconds


def format_utc(seconds: float) -> str:
    """Return a time in seconds since 1970 to the minute: 0 -> 1970-01-01 00:00 UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # of a damaged store
        return "at an unknown time"
