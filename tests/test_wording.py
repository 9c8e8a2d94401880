"""Tests that numbers are worded as a person says them."""

import pytest

from ktg.wording import format_duration, format_percent, format_utc, parse_duration


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


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("0.5m", 30)]
)
def test_a_duration_is_read_as_people_write_it(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "30 m", "-5m", "0s", "30min", "1e3s", "nan s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"^"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [1e17, -1e17, 4.6e15, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_no_error(seconds):
    assert format_utc(seconds) == "at an unknown time"
