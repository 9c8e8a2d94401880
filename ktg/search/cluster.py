"""Ray, started quietly: on this machine by default, or joined where it already runs."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ktg.errors import KtgError

# Read by Ray when it is imported, by its workers when they start, and by Tune when a run begins.
QUIET = {
    "RAY_AUTH_MODE": "disabled",  # else a local cluster writes a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a third of the driver's time per report
    "TUNE_WARN_THRESHOLD_S": "1e9",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
STARTS = 3


@contextmanager
def cluster(address: str | None = None, *, cpus: int | None = None, gpus: int | None = None) -> Iterator[Any]:
    """Start Ray (or join the cluster at `address`), yield the `ray` module, and leave nothing running.

    cpus, gpus: what a local Ray believes this machine has; default: what it finds.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    for name in ("ray", "ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    local = {} if address else {"num_cpus": cpus, "num_gpus": gpus, "include_dashboard": False}
    _start(ray, address=address, log_to_driver=False, logging_level=logging.CRITICAL, **local)
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, **settings: Any) -> None:
    """Start Ray, again if need be: it gives up after 30 s, which a loaded machine may take."""
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(**settings)
            return
        except ConnectionError as error:
            where = settings["address"]
            raise KtgError(f"there is no Ray cluster at {where}: start one with `ray start --head`") from error
        except Exception as error:
            ray.shutdown()
            if attempt == STARTS:
                raise KtgError(f"Ray did not start in {STARTS} attempts: {error}") from error
