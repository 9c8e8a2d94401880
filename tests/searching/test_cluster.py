"""Ray, started quietly and not left behind."""

import os

import pytest

from ktg.errors import UserError
from ktg.searching.cluster import QUIET, local_settings, start_ray


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "nothing answers at 127.0.0.1:1 ("),
        ("ray://127.0.0.1:1", "nothing answers at ray://127.0.0.1:1"),
        ("127.0.0.1:99999", "nothing answers at 127.0.0.1:99999"),
        ("nonsense", "'nonsense' is no address; allowed: auto, HOST:PORT or ray://HOST:PORT"),
        ("", "'' is no address"),
    ],
)
def test_an_address_where_there_is_no_ray(address, said):
    with pytest.raises(UserError) as raised, start_ray(address):
        pass
    assert said in str(raised.value)


@pytest.mark.slow
def test_ray_is_quiet_serves_no_pages_and_is_gone_afterwards(capfd):
    with start_ray(cpus=1, gpus=8) as ray:
        assert {name: os.environ[name] for name in QUIET} == QUIET
        assert ray.cluster_resources()["CPU"] == 1
        assert ray.cluster_resources()["GPU"] == 8  # believed, as told
        with start_ray() as same:  # what runs already is used, and left to whom it belongs
            assert same is ray
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert capfd.readouterr() == ("", "")


def test_only_an_interpreter_with_a_space_in_its_path_is_quoted_for_the_shell():
    assert "runtime_env" not in local_settings("/opt/ktg/bin/python", 2, 0)
    assert local_settings("/my files/bin/python", 2, 0)["runtime_env"] == {
        "py_executable": "'/my files/bin/python'"
    }
