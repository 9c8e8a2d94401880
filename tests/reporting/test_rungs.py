"""Rank correlations of rungs with the end: by hand, and what must hold for any."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import search, trial

from ktg.reporting.rungs import FEWEST, foretelling


def curve(rank: int, at_two: int, at_four: int) -> tuple[float, ...]:
    """Eight epochs; only those of the two rungs and the last matter."""
    return (0.0, at_two / 100, 0.0, at_four / 100, 0.0, 0.0, 0.0, rank / 100)


def test_each_rung_is_compared_with_the_end():
    ended = [trial(i, curve=curve(i, 20 - i, i)) for i in range(1, 11)]
    stopped = trial(11, "stopped", (0.9, 0.9))
    found = foretelling(search(*ended, stopped))
    assert [(one["epoch"], one["trials"], one["spearman"]) for one in found] == [
        (2, 10, pytest.approx(-1.0)),
        (4, 10, pytest.approx(1.0)),
    ]
    assert foretelling(search(*ended[: FEWEST - 1])) == []


def test_nothing_is_said_where_nothing_is_stopped_or_all_are_equal():
    record = search(*(trial(i) for i in range(1, 11)))
    assert [one["spearman"] for one in foretelling(record)] == [None, None]
    never = dataclasses.replace(record.space.search, scheduler="none")
    assert (
        foretelling(
            dataclasses.replace(record, space=dataclasses.replace(record.space, search=never))
        )
        == []
    )


@given(st.lists(st.tuples(*[st.integers(0, 99)] * 3), min_size=FEWEST, max_size=20))
def test_only_the_order_counts(drawn):
    plain = [trial(i, curve=curve(*ranks)) for i, ranks in enumerate(drawn)]
    bent = [trial(i, curve=[value**3 for value in curve(*ranks)]) for i, ranks in enumerate(drawn)]
    for one, other in zip(foretelling(search(*plain)), foretelling(search(*bent)), strict=True):
        assert one["spearman"] == pytest.approx(other["spearman"])
        assert one["spearman"] is None or abs(one["spearman"]) <= 1 + 1e-9
