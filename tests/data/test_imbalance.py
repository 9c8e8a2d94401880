"""Tests of `ktg.data.imbalance`."""

from ktg.data.imbalance import IMBALANCED, measure_imbalance, name_extremes


def test_three_times_as_many_images_are_unequal_and_less_are_not():
    assert measure_imbalance([30, 10]) >= IMBALANCED > measure_imbalance([29, 10])


def test_a_class_without_images_is_the_smallest():
    assert measure_imbalance([5, 0]) == 5
    assert name_extremes(("a", "b", "c"), (5, 0, 5)) == ("a 50.0 %", "b 0.0 %")
