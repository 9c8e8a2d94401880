"""Tests that numbers are worded as a person says them."""

import pytest

from ktg.wording import format_duration, format_percent, format_utc


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, said):
    assert format_duration(seconds) == said


def test_percentages_and_times():
    assert format_percent(0.9512) == "95.12 %"
    assert format_utc(0) == "1970-01-01 00:00 UTC"
