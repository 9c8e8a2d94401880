import io

import pytest
from rich.console import Console

from ktg.cli.live import LiveLine, duration
from ktg.training.metrics import EpochMetrics, NodeMetrics


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(number, "n0", {"n0": NodeMetrics(0.25, 0.5, 1.0, 0.1)}, {}, 2.0, 640.4, 0)


def test_a_line_for_each_epoch_where_output_is_kept():
    out = io.StringIO()
    with LiveLine(Console(file=out, width=20)) as line:
        show = line.about("[a]/resnet8")
        show(epoch(1), 2)
        show(epoch(2), 2)
    assert out.getvalue().splitlines() == [
        f"[a]/resnet8: epoch {number}/2, train 25.0%, val 50.0%, 640 images/s" for number in (1, 2)
    ]


def test_one_line_on_a_terminal_which_goes():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with LiveLine(console) as line:
        show = line.about("a")
        for number in range(1, 4):
            show(epoch(number), 3)
        line.rest()
        line.rest()
        show(epoch(3), 3)
    text = out.getvalue()
    assert "a: epoch 3/3, train 25.0%, val 50.0%, 0 s left" in text
    assert (
        text.count("\n") == text.count("\x1b[2K") == 2
    )  # a line each time, and each time it is taken away


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (90, "2 min"), (3600, "1 h 0 min"), (11100, "3 h 5 min")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said
