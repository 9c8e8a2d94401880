"""Values as text: every label leads back to its option, every number comes back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import UserError
from ktg.graph import Choice, Int, Log, Uniform
from ktg.searching.values import label, option, parse_value, parse_values

plain = st.one_of(
    st.integers(-5, 5), st.floats(allow_nan=False), st.booleans(), st.text(max_size=5)
)
options = st.lists(
    st.one_of(plain, st.none(), st.lists(plain, max_size=3)),
    min_size=1,
    max_size=5,
    unique_by=lambda o: str(label(Choice((o,)), o)),
)


@given(options)
def test_labels_lead_back_to_their_options(values):
    hole = Choice(options=tuple(values))
    for value in values:
        assert option(hole, label(hole, value)) == value


@given(hole=options.map(lambda values: Choice(tuple(values))), place=st.integers(0, 4))
def test_every_option_is_found_by_its_text(hole, place):
    value = hole.options[place % len(hole.options)]
    found = parse_value(hole, str(label(hole, value)))
    assert found is value or found == value


@given(value=st.floats(1e-9, 1e9), whole=st.integers(-(10**9), 10**9))
def test_numbers_come_back_exactly(value, whole):
    assert parse_value(Log(1e-9, 1e9), str(value)) == value
    assert parse_value(Uniform(0.0, 1e9), str(value)) == value
    assert parse_value(Int(-(10**9), 10**9), str(whole)) == whole


def test_an_option_that_is_gone_is_named():
    with pytest.raises(UserError, match=r"'linear' is no option"):
        parse_value(Choice(("through",)), "linear")


def test_parameters_of_other_places_are_left_out():
    holes = {"train.lr": Log(0.01, 0.1), "train.epochs": Int(1, 9)}
    assert parse_values(holes, {"train.epochs": "3", "search.trials": "8"}) == {"train.epochs": 3}
