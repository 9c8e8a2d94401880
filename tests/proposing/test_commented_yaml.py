"""Reasons as comments above what they are about."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from ktg.proposing.commented_yaml import weave_comments, write_comment

TEXT = "data: {size: 96, batch_size: 16}\nnodes:\n  n0:\n    lr: 0.1\n"


def test_each_reason_stands_above_its_place():
    reasons = {"data.size": "as you say", "nodes.n0": "the target", "nodes.n0.lr": "safe"}
    assert weave_comments(TEXT, reasons) == [
        "# size: as you say",
        "data: {size: 96, batch_size: 16}",
        "nodes:",
        "  # the target",
        "  n0:",
        "    # safe",
        "    lr: 0.1",
    ]


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=400), st.integers(0, 8))
def test_comments_change_nothing_that_is_read(reason, indent):
    woven = weave_comments(TEXT, {"nodes.n0.lr": reason})
    assert yaml.safe_load("\n".join(woven)) == yaml.safe_load(TEXT)
    for line in write_comment(reason, indent).splitlines():
        assert line.startswith(" " * indent + "# ")
