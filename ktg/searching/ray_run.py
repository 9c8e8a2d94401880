"""Runs a queue of trials on Ray: several at once, in warm workers, through deaths of workers."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import ray
from ray import tune
from rich.console import Console

from ktg.searching.asha import Brackets
from ktg.searching.callback import TrialCallback
from ktg.searching.driver_lock import (
    checkpoint_folder,
    clear_folder,
    hold_driver_lock,
    interrupt_on_sigterm,
    interrupt_when_asked,
)
from ktg.searching.progress import Progress, print_warning
from ktg.searching.ray_adapter import (
    EarlyStopper,
    FailureCallback,
    Observer,
    QueueSearcher,
    WaitForOwnWorker,
)
from ktg.searching.ray_watch import watch_ray
from ktg.searching.recorder import Recorder
from ktg.searching.slots import Slots
from ktg.searching.trials import TrialQueue

# Read by Ray when a run begins: whether a worker reports each epoch by itself, or several at once.
GATHERING = "TUNE_RESULT_BUFFER_LENGTH"
MAX_FAILURES = 2  # deaths of its worker that a training survives
AnyRecorder = TypeVar("AnyRecorder", bound=Recorder)


def drive_queue(
    queue: TrialQueue,
    record: Callable[[], AnyRecorder],
    slots: Slots,
    storage: Path,
    console: Console,
    brackets: Brackets | None = None,
    *,
    resumed: str | None = None,
    stop_asked: Callable[[str], bool] | None = None,
    held: ExitStack | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_trial: TrialCallback | None = None,
) -> AnyRecorder:
    """Train, record and show all that a queue proposes, as the only driver; return the recorder.

    An interruption ends it early, without an error. Raises KtgError when Ray itself dies.

    record: starts the run of all trials in the store.
    brackets: when ASHA stops trials; None: none is stopped before its end.
    resumed: the id of that run, if an earlier process has started it.
    stop_asked: called now and then with the id of the run; returns whether to stop.
    held: takes the lock of the driver, to hold it until all records are delivered; that of a run
    that is resumed it holds already. By default the lock is held until this returns.
    clock: returns the seconds of the budget that have passed.
    on_trial: is told of each trial that has ended; all ends when it has an error.
    """
    what = "confirmation" if queue.final else "search"
    with ExitStack() as stack:
        if resumed and not held:  # before the store is touched: another driver may be at work
            stack.enter_context(hold_driver_lock(checkpoint_folder(storage, resumed), what))
        recorder = record()
        checkpoints = checkpoint_folder(storage, recorder.parent)
        if not resumed:
            (held or stack).enter_context(hold_driver_lock(checkpoints, what))
        if queue.open_ended or queue.planned:
            stack.enter_context(interrupt_on_sigterm())
            asked = stop_asked and partial(stop_asked, recorder.parent)
            stack.enter_context(interrupt_when_asked(asked))
            progress = stack.enter_context(Progress(queue, console, slots=slots.at_once))
            warn = partial(print_warning, console)
            watch = watch_ray(ray, recorder.how_to_go_on(), recorder.save)
            stack.enter_context(watch)
            observers: list[Observer] = [recorder, progress]
            run_queue(queue, observers, slots, checkpoints, warn, brackets, clock, on_trial)
        if not queue.is_interrupted:
            clear_folder(checkpoints)
    return recorder


def run_queue(
    queue: TrialQueue,
    observers: Sequence[Observer],
    slots: Slots,
    checkpoints: Path,
    warn: Callable[[str], None],
    brackets: Brackets | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_trial: TrialCallback | None = None,
) -> None:
    """Train all that a queue proposes; Ctrl-C ends it early, without an error.

    checkpoints: where workers save unfinished trials; Ray's own files go into a folder beside it.
    warn: called with a sentence when a worker died and another one continues its trial.
    brackets: when ASHA stops trials; None: none is stopped before its end.
    clock: returns the seconds of the budget that have passed.
    on_trial: another observer; all ends when it has an error.
    """
    from ktg.searching.worker import Worker  # it imports torch

    everyone = [*observers, *([on_trial] if on_trial else [])]
    searcher = QueueSearcher(queue, everyone, slots, checkpoints, brackets, clock)
    name = f"search-{time.time_ns()}"
    # Where a scheduler judges, no epoch should be trained before it has judged the last one.
    os.environ[GATHERING] = "1" if brackets else "2"
    try:
        tune.run(
            Worker,
            name=name,
            search_alg=searcher,
            stop=EarlyStopper(searcher, on_trial),
            callbacks=[FailureCallback(searcher, warn)],
            scheduler=WaitForOwnWorker(),
            num_samples=-1 if queue.open_ended else queue.planned,
            max_concurrent_trials=slots.at_once,
            resources_per_trial={"cpu": slots.cpus, "gpu": slots.gpus},
            storage_path=str(checkpoints.parent),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            reuse_actors=True,
            max_failures=MAX_FAILURES,
            raise_on_failed_trial=False,
            verbose=0,
        )
    finally:  # the tracker has all that matters, and Ray's files would pile up
        shutil.rmtree(checkpoints.parent / name, ignore_errors=True)
