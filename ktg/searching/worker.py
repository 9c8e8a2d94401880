"""What runs on a Ray worker: one graph after the other in one live process.

Starting a process that imports torch takes seconds, often more than a trial that is stopped after its first epoch. So
a worker outlives its trials: Ray hands it the next graph through `reset_config`. What trials share stays where it is:
the images, on the device as training has laid them there, and the pretrained weights that were read.
"""

import functools
import gc
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from ray import tune

from ktg.data import Dataset
from ktg.engine import Training
from ktg.engine.checkpoint import read_checkpoint, write_checkpoint
from ktg.errors import KtgError, WeightsError
from ktg.models.kept import KEPT
from ktg.searching.feasible import image_spec
from ktg.sources.opening import open_data
from ktg.spec import Data, parse

CHECKPOINT = "training.pt"
KEPT_WEIGHTS_BYTES = 2**30


class Worker(tune.Trainable):  # type: ignore[misc]
    """Trains the graph in `config["graph"]` (JSON), one epoch per step.

    An error ends the trial, not the worker: the last result then has the reason under `failed`. A trial that takes
    long leaves its state at `config["checkpoint"]`, and goes on from there when it begins again after a death.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first graph."""
        torch.set_num_threads(max(1, int(config["cpus"])))
        KEPT.keep(KEPT_WEIGHTS_BYTES)
        self.training: Training | None = None
        self._take(config)
        gc.freeze()  # the imported libraries are not to be searched for garbage again and again

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next graph; of the last one nothing is left, neither networks nor memory nor its checkpoint."""
        checkpoint_of(self.config).unlink(missing_ok=True)
        self.cleanup()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        try:
            epoch = next(self._training())
        except KtgError as error:
            return self._failed(str(error))
        except torch.OutOfMemoryError:
            opened.cache_clear()  # the images of the trial before last may be what is in the way
            size = parse(json.loads(self.config["graph"])).data.batch_size
            return self._failed(f"out of memory at data.batch_size {size}; try {max(1, size // 2)}")
        except Exception as error:  # whatever it is, one graph's trouble must not end the search
            return self._failed(f"{type(error).__name__}: {error}")
        metrics = epoch.metrics()
        done = epoch.number >= self._training().graph.train.epochs
        if not math.isfinite(metrics["val_loss"]):
            return self._failed(f"the validation loss became {metrics['val_loss']} in epoch {epoch.number}")
        if not done:
            self._leave_checkpoint()
        return {
            "val_accuracy": metrics["val_accuracy"],
            "epoch": epoch.number,
            "metrics": json.dumps(metrics),
            "done": done,
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
        self._checkpointed = time.monotonic()
        # Training seeds what it draws; this is for what a library might draw on its own.
        torch.manual_seed(0)

    def _training(self) -> Training:
        """Build the graph's networks at its first step, where an error can be reported."""
        if self.training is None:
            graph = parse(json.loads(self.config["graph"]))
            device = "cuda" if self.config["gpus"] else "cpu"
            self.training = Training(graph, opened(image_spec(graph.data)), device=device)
            go_on(self.training, checkpoint_of(self.config))
        return self.training

    def _leave_checkpoint(self) -> None:
        """Write the state now and then, for the case that this process or its machine dies."""
        if time.monotonic() - self._checkpointed >= self.config["checkpoint_every_s"]:
            path = checkpoint_of(self.config)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(self._training().state_dict(), path)
            self._checkpointed = time.monotonic()

    def _failed(self, reason: str) -> dict[str, Any]:
        """Return the last result of a trial that cannot go on, and let go of what it holds."""
        self.cleanup()
        return {"val_accuracy": 0.0, "epoch": 0, "failed": reason, "done": True}


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
