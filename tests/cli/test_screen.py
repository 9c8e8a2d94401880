"""What is shown while a command works: lines, and on a terminal bars that go when they are done."""

import io

from rich.console import Console

from ktg.cli.screen import Screen
from ktg.training.metrics import EpochMetrics, NodeMetrics


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(number, "n0", {"n0": NodeMetrics(0.25, 0.5, 1.0, 0.1)}, {}, 2.0, 640.4, 0)


def test_a_line_for_each_epoch_where_output_is_kept():
    out = io.StringIO()
    with Screen(Console(file=out, width=20)) as screen:
        show = screen.epochs("[a]/resnet8")
        show(epoch(1), 2)
        show(epoch(2), 2)
    assert out.getvalue().splitlines() == [
        f"[a]/resnet8: epoch {number}/2, train 25.0%, val 50.0%, 640 images/s" for number in (1, 2)
    ]


def test_one_line_on_a_terminal_which_goes():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=120)) as screen:
        show = screen.epochs("a")
        for number in range(1, 4):
            show(epoch(number), 3)
        screen.clear()
        screen.clear()
        show(epoch(3), 3)
    text = out.getvalue()
    assert "a: epoch 3/3, train 25.0%, val 50.0%, 0 s left" in text
    assert (
        text.count("\n") == text.count("\x1b[2K") == 2
    )  # a line each time, and each time it is taken away


def test_on_a_terminal_a_bar_counts_the_images_and_goes():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=80)) as screen:
        decoding = screen.listener.decoding
        decoding(1, 3)
        decoding(3, 3)
        shown = out.getvalue()
        assert "decoding images" in shown
        assert "3/3" in shown
        assert shown.endswith("\x1b[2K")  # the line is erased
        decoding(1, 7)  # the next split has a bar of its own
    assert "/7" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # also when it ends before its time


def test_a_bar_for_each_file_that_comes_and_a_line_in_between():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=80)) as screen:
        screen.status("looking")
        screen.transfer("a/resnet8", 500_000, 2_000_000)
        screen.transfer("b/resnet8", 0, 1_000_000)
        screen.transfer("a/resnet8", 2_000_000, 2_000_000)
        screen.transfer("b/resnet8", 1_000_000, 1_000_000)
        screen.status("done")
    for said in ("looking", "a/resnet8", "2.0/2.0 MB", "1.0/1.0 MB", "done"):
        assert said in out.getvalue()


def test_elsewhere_nothing_is_drawn():
    out = io.StringIO()
    with Screen(Console(file=out)) as screen:
        screen.count("drawing", 1, 3)
        screen.status("measuring")
    assert out.getvalue() == ""


def test_a_warning_is_printed_as_it_is():
    out = io.StringIO()
    Screen(Console(file=out, width=40)).warn("[bold]a/b[/bold] " + 60 * "x")
    assert out.getvalue() == "[bold]a/b[/bold] " + 60 * "x" + "\n"
