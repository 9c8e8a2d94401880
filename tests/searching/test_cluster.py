"""Ray, started quietly and not left behind."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import ray

from ktg.errors import UserError
from ktg.searching import cluster
from ktg.searching.cluster import QUIET, find_short_folder, local_settings, start_ray


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


@pytest.mark.parametrize("lost", [False, True])
def test_sigterm_interrupts_while_ray_starts_and_is_met_as_before_afterwards(monkeypatch, lost):
    def start(**_):  # as ray.init does before anything else
        ray._private.utils.set_sigterm_handler(lambda number, _: sys.exit(number))
        with suppress(*[KeyboardInterrupt] if lost else []):
            signal.raise_signal(kill)

    monkeypatch.setattr(ray, "init", start)
    before = signal.signal(signal.SIGTERM, met := lambda *_: None)
    set_handler = ray._private.utils.set_sigterm_handler
    try:
        kill = signal.SIGTERM
        with pytest.raises(KeyboardInterrupt), start_ray():
            raise AssertionError
        assert signal.getsignal(signal.SIGTERM) is met
        kill = signal.SIGCHLD  # which is of no account
        with start_ray():
            assert signal.getsignal(signal.SIGTERM) is met
        assert ray._private.utils.set_sigterm_handler is set_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_only_an_interpreter_with_a_space_in_its_path_is_quoted_for_the_shell():
    assert "runtime_env" not in local_settings("/opt/ktg/bin/python", 2, 0)
    assert local_settings("/my files/bin/python", 2, 0)["runtime_env"] == {
        "py_executable": "'/my files/bin/python'"
    }


def test_of_auto_the_address_in_the_environment_is_checked(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError) as raised, start_ray("auto"):
        pass
    assert "--address auto: RAY_ADDRESS: nothing answers at 127.0.0.1:1" in str(raised.value)


@pytest.mark.slow
def test_the_environment_of_ray_does_not_overrule_ktg(monkeypatch, tmp_path):
    set_ = {
        "RAY_ADDRESS": "127.0.0.1:1",
        "RAY_NAMESPACE": "stranger",
        "RAY_RUNTIME_ENV": '{"working_dir": "/nowhere"}',
        "RAY_RUNTIME_ENV_HOOK": "no.such.hook",
        "RAY_JOB_CONFIG_JSON_ENV_VAR": "no JSON",
        "RAY_REDIS_ADDRESS": "127.0.0.1:1",
        "RAY_TMPDIR": str(tmp_path / ("long" * 20)),
    }
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    with start_ray(cpus=1) as ray:
        assert ray.get(ray.remote(lambda: os.getpid()).remote()) != os.getpid()
        assert ray.get_runtime_context().namespace != "stranger"
        assert ray.get(ray.remote(lambda: os.environ.get("RAY_NAMESPACE")).remote()) is None
    assert {name: os.environ[name] for name in set_} == set_
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cluster_that_runs_here_is_not_joined_unasked(monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 3, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    strange = Cluster(initialize_head=True, head_node_args=node)
    monkeypatch.setenv("RAY_ADDRESS", strange.address)
    try:
        with start_ray(cpus=1) as ray:
            assert ray.cluster_resources()["CPU"] == 1
        with start_ray(strange.address) as ray:
            assert ray.cluster_resources()["CPU"] == 3
        with start_ray("auto") as ray:
            assert ray.cluster_resources()["CPU"] == 3
    finally:
        strange.shutdown()


def test_a_folder_that_is_too_long_for_sockets_gives_way_to_a_short_one(monkeypatch, tmp_path):
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    assert find_short_folder() is None  # Ray's own choice
    monkeypatch.setenv("TMPDIR", str(deep))
    assert find_short_folder() == Path("/tmp")
    monkeypatch.setattr(cluster, "SOCKET_BYTES", 70)
    with pytest.raises(UserError) as raised:
        find_short_folder()
    said = str(raised.value)
    assert said.startswith("Ray needs a folder for its sockets whose path has at most ")
    assert said.endswith(f"; tried: {deep}, /tmp; set RAY_TMPDIR to another one")
