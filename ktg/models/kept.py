"""Weights that stay in memory from one network to the next, for processes that build the same few over and over.

Reading a file of weights takes as long as a short trial, and a search begins hundreds of trials
with the same ones. Nothing is kept until `keep` is called: whoever builds each network once would
only lose memory.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from torch import Tensor

State = dict[str, Tensor]


class Kept:
    """The state dicts used last, as far as `most_bytes` hold them. What it returns is shared: copy, never change it."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._states: OrderedDict[Hashable, State] = OrderedDict()

    def get(self, name: Hashable, read: Callable[[], State]) -> State:
        """Return the state dict of that name: the kept one, else what `read` returns."""
        state = self._states.pop(name, None)
        if state is None:
            state = read()
        if self.most_bytes:
            self._states[name] = state
            self._shrink()
        return state

    def keep(self, most_bytes: int) -> None:
        """Keep at most so many bytes from now on; 0 lets go of everything."""
        self.most_bytes = most_bytes
        self._shrink()

    def _shrink(self) -> None:
        while self._states and sum(map(size_bytes, self._states.values())) > self.most_bytes:
            self._states.popitem(last=False)


KEPT = Kept()


def size_bytes(state: Mapping[str, Tensor]) -> int:
    """Return the memory that the tensors of a state dict take."""
    return sum(tensor.nbytes for tensor in state.values())


def file_stamp(file: Path) -> tuple[str, int, int, int]:
    """Return what changes when a file does, a name under which its content can be kept."""
    if not file.is_file():
        return str(file), 0, 0, 0
    stat = file.stat()
    return str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
