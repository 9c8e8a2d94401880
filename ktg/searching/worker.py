"""What runs on a Ray worker: one graph after the other in one live process.

Starting a process that imports torch takes seconds, often more than a trial that is stopped after
its first epoch. So a worker outlives its trials: Ray hands it the next graph through
`reset_config`. What trials share stays where it is: the images, on the device as training has laid
them there, and the pretrained weights that were read.
"""

import functools
import gc
import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from ray import tune

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.errors import KtgError, TrainingError, WeightsError
from ktg.graph import Data, Graph, parse
from ktg.models.weights import WEIGHTS_CACHE
from ktg.searching.preflight import image_spec
from ktg.training import Training
from ktg.training.checkpoint import read_checkpoint, write_checkpoint

CHECKPOINT = "training.pt"
WEIGHTS_CACHE_BYTES = 2**30


class Worker(tune.Trainable):  # type: ignore[misc]
    """Trains the graph in `config["graph"]` (JSON), one epoch per step.

    An error ends the trial, not the worker: the last result then has the reason under `failed`. A
    trial that takes long leaves its state at `config["checkpoint"]`, and goes on from there when it
    begins again after a death. Only an error of the GPU is raised: Ray ends the worker then, and
    gives the trial to a new one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first graph."""
        torch.set_num_threads(max(1, int(config["cpus"])))
        WEIGHTS_CACHE.set_limit(WEIGHTS_CACHE_BYTES)
        self.training: Training | None = None
        self._take(config)
        gc.freeze()  # the imported libraries are not to be searched for garbage again and again

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next graph; of the last one nothing is left, neither networks nor memory nor its checkpoint."""
        if self.left != checkpoint_of(new_config):
            self.left.unlink(missing_ok=True)
        self.cleanup()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        try:
            training = self._training()
            self._leave_checkpoint(training)
            metrics = self._epoch(training)
        except KtgError as error:
            return self._failed(str(error))
        except Exception as error:  # whatever it is, one graph's trouble must not end the search
            if isinstance(
                error, torch.AcceleratorError
            ):  # nothing works any more in a process that had one
                raise TrainingError(f"the GPU failed: {str(error).splitlines()[0]}") from None
            return self._failed(self._told(error))
        loss = metrics.get("val_loss", 0.0)
        if not math.isfinite(loss):
            return self._failed(f"the validation loss became {loss} in epoch {training.epoch}")
        return {
            "val_accuracy": metrics.get(
                "val_accuracy", 0.0
            ),  # Ray insists on it, also where nothing is validated
            "epoch": training.epoch,
            "metrics": json.dumps(metrics),
            "done": training.epoch >= training.graph.train.epochs,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state of training."""
        write_checkpoint(self._training().state_dict(), Path(checkpoint_dir, CHECKPOINT))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Go on from what `save_checkpoint` wrote."""
        self._training().load_state_dict(read_checkpoint(Path(checkpoint_dir, CHECKPOINT)))

    def cleanup(self) -> None:
        """Release what the last trial held, the GPU's memory too."""
        if self.training is not None and self.training.graph.train.compile:
            torch.compiler.reset()
        self.training = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _take(self, config: dict[str, Any]) -> None:
        self.config = config
        self.left = checkpoint_of(
            config
        )  # kept apart: Ray replaces `config` before it calls `reset_config`
        self._checkpointed = time.monotonic()
        # Training seeds what it draws; this is for what a library might draw on its own.
        torch.manual_seed(0)

    def _training(self) -> Training:
        """Build the graph's networks at its first step, where an error can be reported."""
        if self.training is None:
            graph = parse(json.loads(self.config["graph"]))
            device = "cuda" if self.config["gpus"] else "cpu"
            self.training = self._built(graph, device)
            go_on(self.training, self.left)
        return self.training

    def _built(self, graph: Graph, device: str) -> Training:
        """Build a graph's networks on what it is trained on."""
        return Training(graph, opened(image_spec(graph.data)), device=device)

    def _epoch(self, training: Training) -> dict[str, Any]:
        """Train one epoch and return what is to be recorded of it."""
        return next(training).metrics()

    def _leave_checkpoint(self, training: Training) -> None:
        """Write the state now and then, for the case that this process or its machine dies.

        Before an epoch and not after it: by now the driver has put down all epochs of which the
        state tells.
        """
        if (
            training.epoch
            and time.monotonic() - self._checkpointed >= self.config["checkpoint_every_s"]
        ):
            with suppress(OSError, RuntimeError):  # a disk that is full is no reason to stop
                self.left.parent.mkdir(parents=True, exist_ok=True)
                write_checkpoint(training.state_dict(), self.left)
            self._checkpointed = time.monotonic()

    def _told(self, error: Exception) -> str:
        """Return an error in a few words, with a remedy where there is one."""
        if not out_of_memory(error):
            return f"{type(error).__name__}: {error}"
        opened.cache_clear()  # the images of the trial before last may be what is in the way
        size = parse(json.loads(self.config["graph"])).data.batch_size
        return f"out of memory at data.batch_size {size}; try {max(1, size // 2)}"

    def _failed(self, reason: str) -> dict[str, Any]:
        """Return the last result of a trial that cannot go on, and let go of what it holds."""
        self.cleanup()
        return {"val_accuracy": 0.0, "epoch": 0, "failed": reason, "done": True}


def out_of_memory(error: Exception) -> bool:
    """Return whether there was too little memory, on the GPU or in the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(
        error
    )


def checkpoint_of(config: dict[str, Any]) -> Path:
    """Return where a trial leaves its state."""
    return Path(config["checkpoint"])


def go_on(training: Training, path: Path) -> None:
    """Continue a trial that died where it left its state; without one, or with one that is no good, begin anew."""
    if path.exists():
        try:
            training.load_state_dict(read_checkpoint(path))
        except WeightsError:
            path.unlink(missing_ok=True)


@functools.lru_cache(maxsize=2)
def opened(data: Data) -> Dataset:
    """Return the data set of a graph; most trials of a search share one, so it is opened once per worker.

    As long as it is kept here, its images stay on the device.
    """
    return open_data(data)
