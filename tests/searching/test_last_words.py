"""What is said after a process that could not say it."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal
from ktg.searching.last_words import fall_silent, leave_last_words
with leave_last_words("ktg search birds --resume"):
    {end}
"""


def run(end: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(end=end)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_process_that_dies_on_the_spot_says_how_to_go_on(end):
    done = run(end)
    assert done.returncode in (1, -9)
    assert done.stderr.splitlines()[-1].endswith("go on with: ktg search birds --resume")
    assert done.stderr.count("ktg:") == 1


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(2)", "fall_silent(); os._exit(1)"])
def test_nothing_is_said_after_an_end_in_order(end):
    assert run(end).stderr == ""


def test_a_killed_listener_is_no_fault():
    end = "from ktg.searching import last_words; last_words._listeners[0].kill()"
    assert (run(end).returncode, run(end).stderr) == (0, "")
