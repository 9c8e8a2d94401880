"""One driver for one search, and an end from outside."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from ktg.errors import UserError
from ktg.searching import driver_lock
from ktg.searching.driver_lock import (
    checkpoint_folder,
    clear_folder,
    driver_tags,
    end_dead_searches,
    hold_driver_lock,
    interrupt_on_sigterm,
    interrupt_when_asked,
    is_dead,
)
from ktg.tracking import MlflowTracker, find_experiment

HOLD = (
    "import sys, time; from pathlib import Path\n"
    "from ktg.searching.driver_lock import hold_driver_lock\n"
    + ("with hold_driver_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)")
)


def test_a_second_driver_is_refused_for_as_long_as_the_first_one_lives(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        said = f"still running, in process {process.pid} on {socket.gethostname()}; see"
        with pytest.raises(UserError, match=re.escape(said)), hold_driver_lock(tmp_path):
            pass
        (tmp_path / "driver.json").write_text("")  # it has only just begun
        with pytest.raises(UserError, match="in another process; see"), hold_driver_lock(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    with hold_driver_lock(tmp_path), pytest.raises(UserError), hold_driver_lock(tmp_path):
        pass
    assert not tmp_path.exists()  # there was nothing in it


def test_what_a_search_keeps_is_deleted_without_its_lock_which_goes_last(tmp_path):
    folder = checkpoint_folder(tmp_path, "run")
    with hold_driver_lock(folder):
        (folder / "trial.pt").touch()
        (folder / "more").mkdir()
    assert {path.name for path in folder.iterdir()} == {"trial.pt", "more", "driver.lock"}
    with hold_driver_lock(folder):
        clear_folder(folder)
        assert {path.name for path in folder.iterdir()} == {"driver.lock", "driver.json"}
        with pytest.raises(UserError, match="still running"), hold_driver_lock(folder):
            pass
    assert not list(tmp_path.iterdir())
    clear_folder(folder)


def test_when_asked_to_stop_the_main_thread_is_interrupted_and_a_store_that_is_away_does_no_harm(
    monkeypatch,
):
    monkeypatch.setattr(driver_lock, "POLL_S", 0.01)
    answers = [OSError("away"), False, True]

    def asked() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(KeyboardInterrupt), interrupt_on_sigterm(), interrupt_when_asked(asked):
        time.sleep(60)
    assert not answers


@pytest.mark.parametrize("ignored", [False, True])
def test_an_end_is_heard_by_a_search_in_the_background_of_a_script_too(ignored):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupt_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        assert signal.getsignal(signal.SIGINT) is (
            signal.SIG_IGN if ignored else signal.default_int_handler
        )
    finally:
        signal.signal(signal.SIGINT, before)


def test_nobody_is_interrupted_unasked(monkeypatch):
    monkeypatch.setattr(driver_lock, "POLL_S", 0.01)
    askers, thrice = [], threading.Event()

    def asked() -> bool:
        askers.append(threading.current_thread())
        if len(askers) == 3:
            thrice.set()
        return False

    with interrupt_when_asked(asked):
        assert thrice.wait(60)
    assert threading.main_thread() not in askers
    askers[0].join(60)
    assert not askers[0].is_alive()  # nobody is asked any more
    with interrupt_when_asked(None):
        assert "ktg-stop" not in {thread.name for thread in threading.enumerate()}


def test_the_signal_that_announces_the_end_interrupts_and_is_left_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupt_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert signal.getsignal(signal.SIGTERM) is before
    ctrl_c = signal.getsignal(signal.SIGINT)
    with interrupt_on_sigterm():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as Ray Tune does
    assert signal.getsignal(signal.SIGINT) is ctrl_c
    entered = []

    def enter() -> None:
        with interrupt_on_sigterm():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [before]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_the_dead_of_this_machine_are_dead():
    assert not is_dead(driver_tags())
    assert is_dead(driver_tags() | {"driver.pid": str(dead_pid())})
    assert not is_dead({"driver.host": "another", "driver.pid": str(dead_pid())})
    assert not is_dead({})
    own = {"driver.host": socket.gethostname(), "driver.pid": str(os.getpid())}
    assert own.items() <= driver_tags().items()
    assert not is_dead(own)  # of a version that did not say when it began


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells when a process began")
def test_another_process_with_the_number_of_a_driver_is_not_that_driver():
    wait = [sys.executable, "-c", "input()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE) as other:
        tags = driver_tags() | {"driver.pid": str(other.pid)}
        assert is_dead(tags)
        assert not is_dead({key: tags[key] for key in ("driver.host", "driver.pid")})
        other.communicate(b"\n")
    assert is_dead(driver_tags() | {"driver.began": "another machine's start 1"})


@pytest.mark.slow
def test_what_dead_drivers_left_running_is_ended_and_nothing_else(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        live = tracker.start("live", tags=driver_tags())
        dead = tracker.start("dead", tags=driver_tags() | {"driver.pid": str(dead_pid())})
        trials = {parent: tracker.start("trial", parent=parent) for parent in (live, dead)}
        assert tracker.flush()
        experiment = find_experiment("space", uri)
        with hold_driver_lock(checkpoint_folder(tmp_path, dead)):  # it is just being resumed
            end_dead_searches(experiment, tracker, tmp_path)
        assert tracker.flush()
        assert {search.state for search in experiment.searches()} == {"running"}
        end_dead_searches(experiment, tracker, tmp_path)
        assert tracker.flush()
        states = {
            search.run: (search.state, experiment.trials(search)[0].state)
            for search in experiment.searches()
        }
    assert states == {live: ("running", "running"), dead: ("interrupted", "interrupted")}
    assert len(trials) == 2
