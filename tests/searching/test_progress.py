"""What the terminal shows of a search, with a clock that the test turns."""

import io

import pytest
from rich.console import Console

from ktg.graph import SearchSpace, parse_space
from ktg.searching.progress import PLAIN_EVERY_S, Progress, format_headline
from ktg.searching.search_queue import SearchQueue


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def space() -> SearchSpace:
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4, "lr": {"log": [0.01, 0.1]}},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {"label -> any": {}, "n1 -> n0": {"gate": {"choice": ["through", "linear"]}}},
            "search": {"trials": 5, "sampler": "random", "alone_share": 0, "race_share": 0},
        }
    )


class Show:
    """A search that is played by hand, and what is seen of it."""

    def __init__(self, space: SearchSpace, *, terminal: bool, slots: int = 2) -> None:
        self.clock, self.screen, self.queue = Clock(), io.StringIO(), SearchQueue(space)
        console = Console(file=self.screen, force_terminal=terminal, width=80, color_system=None)
        self.progress = Progress(self.queue, console, slots=slots, clock=self.clock)
        self.page = Console(file=io.StringIO(), width=80)

    def start(self):
        trial = self.queue.propose()
        self.progress.on_start(trial)
        return trial

    def report(self, trial, epoch: int, accuracy: float, seconds: float = 10.0) -> None:
        self.queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, seconds)
        self.progress.on_epoch(trial)

    def close(self, trial, reason: str | None = None) -> None:
        self.queue.close(trial, reason)
        self.progress.on_end(trial)

    def block(self) -> list[str]:
        self.page.file.truncate(0)
        self.page.file.seek(0)
        self.page.print(self.progress)
        return [line.rstrip() for line in self.page.file.getvalue().splitlines()]


def test_the_block_at_every_stage(space):
    show = Show(space, terminal=False)
    assert show.block() == [
        "trials  0/8 done: 0 running, 0 finished, 0 stopped, 0 failed",
        "best    none finished yet",
        "time    0 s spent",
    ]
    first, second = show.start(), show.start()
    show.clock.now += 75
    for epoch in range(1, 5):
        show.report(first, epoch, 0.9123)
    show.close(first)
    assert show.block() == [
        "trials  1/8 done: 1 running, 1 finished, 0 stopped, 0 failed",
        "best    91.23 % validation accuracy, trial-0001 (alone)",
        "epochs  2: 0/4",
        "time    1 min 15 s spent, about 2 min 20 s left",  # 7 more of 40 s, 2 at once
    ]
    show.report(second, 1, 0.5)
    show.close(second)
    show.close(show.start(), "out of memory")
    assert show.block()[0] == "trials  3/8 done: 0 running, 1 finished, 1 stopped, 1 failed"


def test_what_is_running_shortens_what_is_left(space):
    show = Show(space, terminal=False, slots=1)
    first, second = show.start(), show.start()
    for epoch in range(1, 5):
        show.report(first, epoch, 0.5)
    show.close(first)
    assert show.progress.seconds_left() == 7 * 40
    show.report(second, 1, 0.5)
    assert show.progress.seconds_left() == 7 * 40 - 10


def test_no_line_of_the_block_is_wider_than_80_columns(space):
    show = Show(space, terminal=False)
    for _ in range(2):
        trial = show.start()
        for epoch in range(1, 5):
            show.report(trial, epoch, 1.0, seconds=36_000)
        show.close(trial)
    while (trial := show.queue.propose()) is not None and len(show.queue.trials) < 6:
        show.close(trial, "broken")
    show.clock.now += 400_000
    assert len(show.block()) == 4
    assert max(map(len, show.block())) <= 80


def test_off_a_terminal_a_line_comes_now_and_then(space):
    show = Show(space, terminal=False)
    with show.progress:
        trial = show.start()
        assert show.screen.getvalue() == ""
        show.clock.now += PLAIN_EVERY_S - 1
        show.report(trial, 1, 0.5)
        assert show.screen.getvalue() == ""
        show.clock.now += 1
        show.report(trial, 2, 0.5)
        show.report(trial, 3, 0.5)
    counts = "0/8 done: 1 running, 0 finished, 0 stopped, 0 failed"
    left = "about 2 min 30 s left"  # 8 trainings of 40 s, of which 20 s are over, two at once
    line = f"{counts} | best: none finished yet | 1: 2/4 | 10 s spent, {left}\n"
    assert show.screen.getvalue() == line


def test_on_a_terminal_the_block_is_alive_and_then_gone(space):
    show = Show(space, terminal=True)
    with show.progress:
        trial = show.start()
        show.report(trial, 1, 0.5)
        show.progress._live.refresh()
        assert "1 running" in show.screen.getvalue()
    assert show.screen.getvalue().endswith("\x1b[2K")


def test_a_failure_is_told_at_once_with_its_reason_as_it_is(space):
    show = Show(space, terminal=False)
    show.close(
        show.start(),
        "[nan] in epoch 1, and a reason that is much longer than the eighty columns of the screen",
    )
    assert show.screen.getvalue() == (
        "trial-0001 (alone) failed: [nan] in epoch 1, and a reason that is much longer than the "
        "eighty columns of the screen\n"
    )


def test_the_headline_says_what_is_about_to_be_done(space):
    assert str(format_headline(space, "mine")) == (
        "mine: 2 holes, a continuum of graphs; 5 trials, sampler random, scheduler none"
    )
