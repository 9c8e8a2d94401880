"""How many trials fit on the CPUs and GPUs that there are."""

import pytest

from ktg.errors import SpecError
from ktg.graph import Search
from ktg.searching.slots import ALL_CORES, Slots, check_resources, count_gpu_slots, count_slots


@pytest.mark.parametrize(
    ("total", "each", "fit"),
    [
        (1, 1, 1),
        (1, 0.25, 4),
        (8, 0.3, 24),
        (2, 0.4, 4),
        (8, 2, 4),
        (3, 2, 1),
        (1, 0.1, 10),
        (4, 0.7, 4),
    ],
)
def test_a_fraction_never_spans_two_gpus(total, each, fit):
    assert count_gpu_slots(total, each) == fit


@pytest.mark.parametrize(
    ("search", "cpus", "gpus", "total", "fit"),
    [
        ({}, 1, 0, {"CPU": 8}, 8),
        ({}, 3, 0, {"CPU": 8}, 2),
        ({}, 0.1, 0, {"CPU": 0.3}, 3),
        ({}, 1, 1, {"CPU": 16, "GPU": 2}, 2),
        ({}, 1, 0.25, {"CPU": 16, "GPU": 2}, 8),
        ({}, 4, 0.25, {"CPU": 16, "GPU": 2}, 4),
        ({"concurrent": 3}, 1, 0, {"CPU": 8}, 3),
        ({"concurrent": 30}, 1, 0, {"CPU": 8}, 8),
        ({}, 4, 0, {"CPU": 2}, 1),
    ],
)
def test_slots(search, cpus, gpus, total, fit):
    assert count_slots(Search(**search), cpus=cpus, gpus=gpus, total=total) == fit


@pytest.mark.parametrize(
    ("cpus", "gpus", "said"),
    [
        (3, 0, r"^search.cpus_per_trial: 3 is more than there are here; allowed: at most 2$"),
        (1, 1, r"^search.gpus_per_trial: 1 is more than there are here; allowed: at most 0$"),
        (1, 1.5, r"^search.gpus_per_trial: above 1 it must be a whole number of GPUs, got 1.5$"),
    ],
)
def test_a_trial_that_would_wait_for_ever_is_refused(cpus, gpus, said):
    with pytest.raises(SpecError, match=said):
        check_resources(cpus, gpus, {"CPU": 2.0})


def test_a_trial_that_fits_is_not_refused():
    check_resources(2, 0.5, {"CPU": 2.0, "GPU": 1.0})


@pytest.mark.parametrize(
    ("slots", "threads", "gain"),
    [
        (Slots(1, 0, 2), 2, ALL_CORES),
        (Slots(1, 0, 1), 2, 1.0),  # nothing ran beside it before
        (Slots(1, 0, 2), 1, 1.0),  # OMP_NUM_THREADS=1
        (Slots(4, 0, 2), 4, 1.0),
        (Slots(1, 0.5, 2), 16, 1.0),
    ],
)
def test_a_training_with_the_cores_of_two_is_faster(slots, threads, gain):
    assert slots.gain_alone(threads) == gain
