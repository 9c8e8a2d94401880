"""How busy the machine is, as real numbers of this machine."""

import threading
import time

import pytest

from ktg.errors import UserError
from ktg.tracking import MemoryTracker, log_system_metrics
from ktg.tracking.system import INTERVAL, SWITCH


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


def test_numbers_come_at_intervals_and_once_more_at_the_end(tracker, monkeypatch):
    monkeypatch.setenv(INTERVAL, "0.05")
    run = tracker.start("search")
    with log_system_metrics(tracker, run):
        while len(tracker.runs[run].metrics) < 3:
            time.sleep(0.01)
    logged = tracker.runs[run].metrics
    assert [step for step, _ in logged] == list(range(len(logged)))
    assert all(name.startswith("system/") for _, values in logged for name in values)
    memory = [values["system/system_memory_usage_percentage"] for _, values in logged]
    assert all(0 < share <= 100 for share in memory)
    assert not any(thread.name == "ktg-system" for thread in threading.enumerate())
    time.sleep(0.1)
    assert tracker.runs[run].metrics == logged


def test_a_short_search_has_one_sample_and_an_error_passes(tracker):
    run = tracker.start("search")
    with pytest.raises(KeyError), log_system_metrics(tracker, run):
        raise KeyError
    assert len(tracker.runs[run].metrics) == 1


def test_it_can_be_switched_off(tracker, monkeypatch):
    monkeypatch.setenv(SWITCH, "false")
    run = tracker.start("search")
    with log_system_metrics(tracker, run):
        pass
    assert tracker.runs[run].metrics == []


@pytest.mark.parametrize("text", ["often", "0", "-1", "nan", "inf"])
def test_an_impossible_interval_is_a_users_mistake(tracker, monkeypatch, text):
    monkeypatch.setenv(INTERVAL, text)
    run = tracker.start("search")
    with (
        pytest.raises(UserError, match=f"{INTERVAL}.*'{text}' is no number"),
        log_system_metrics(tracker, run),
    ):
        raise AssertionError("it must not begin")
