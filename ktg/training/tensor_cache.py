"""Keeps tensors that are costly to make in files, so that they are made once and shared."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ktg.data.cache_entries import sync
from ktg.data.cache_kinds import TEACHERS
from ktg.data.cache_limit import trim
from ktg.local import atomic_write

Tensors = dict[str, Tensor]


def make_once(name: str, make: Callable[[], Tensors], cache: Path | None = None) -> Tensors:
    """Return the tensors that are kept under a name, on the CPU; `make` them if there are none.

    A file that is damaged, as after a power cut, is made again. Other processes that want the same
    ones wait for the one that makes them. The files of the folder together stay below the limit of
    the cache. cache: another folder than $KTG_CACHE.
    """
    path = TEACHERS.place(name, cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            with suppress(OSError):
                os.utime(path)  # when it was used last
            with suppress(SafetensorError):
                return dict(load_file(path))
        made = {key: tensor.contiguous().cpu() for key, tensor in make().items()}
        # With a full disk the training goes on, and the next one makes them again.
        with suppress(OSError, SafetensorError), atomic_write(path) as temporary:
            save_file(made, temporary)
            sync(temporary)
    trim(TEACHERS.find(cache), TEACHERS.remove)
    return made
