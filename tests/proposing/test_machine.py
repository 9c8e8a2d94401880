"""What this machine is."""

import os

from ktg.proposing.machine import Machine, read_machine


def test_this_machine_is_read():
    machine = read_machine()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.memory_gib > 0.1


def test_trainings_run_on_gpus_where_there_are_any():
    assert Machine(8, (), 16.0).slots == 8
    assert Machine(8, ("H100", "H100"), 16.0).slots == 2
    assert Machine(1, (), 3.6).describe() == "1 core, no GPU, 4 GiB of memory"
