from typing import get_args

from ktg.graph import GATES
from ktg.graph.vocabulary import FEATURE_LOSSES, KEEPING_GATES, LABEL_LOSSES, GateName, LossName


def test_gates_are_the_literal():
    assert get_args(GateName) == GATES


def test_what_is_grouped_is_a_word_and_no_loss_of_labels_compares_features():
    assert set(KEEPING_GATES) < set(GATES)
    assert {*LABEL_LOSSES, *FEATURE_LOSSES} < set(get_args(LossName))
    assert not set(LABEL_LOSSES) & set(FEATURE_LOSSES)
