"""What runs on a Ray worker: one graph after the other in one live process.

Starting a process that imports torch takes seconds, often more than a trial that is stopped after its first epoch. So
a worker outlives its trials: Ray hands it the next graph through `reset_config`, and what trials share (the decoded
images, memory-mapped) stays open.
"""

import functools
import json
import math
from pathlib import Path
from typing import Any

import torch
from ray import tune

from ktg.data import Dataset, open_data
from ktg.engine import Training
from ktg.engine.checkpoint import read_checkpoint, write_checkpoint
from ktg.errors import KtgError
from ktg.searching.feasible import image_spec
from ktg.spec import Data, parse

CHECKPOINT = "training.pt"


class Worker(tune.Trainable):  # type: ignore[misc]
    """Trains the graph in `config["graph"]` (JSON), one epoch per step.

    An error ends the trial, not the worker: the last result then has the reason under `failed`.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first graph."""
        torch.set_num_threads(max(1, int(config["cpus"])))
        self.training: Training | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next graph; whatever the last one held is released first, the GPU's memory too."""
        self.config = new_config
        self.training = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        try:
            epoch = next(self._training())
        except KtgError as error:
            return failed(str(error))
        except torch.OutOfMemoryError:
            size = parse(json.loads(self.config["graph"])).data.batch_size
            return failed(f"out of memory at data.batch_size {size}; try {max(1, size // 2)}")
        except Exception as error:  # whatever it is, one graph's trouble must not end the search
            return failed(f"{type(error).__name__}: {error}")
        metrics = epoch.metrics()
        done = epoch.number >= self._training().graph.train.epochs
        if not math.isfinite(metrics["val_loss"]):
            return failed(f"the validation loss became {metrics['val_loss']} in epoch {epoch.number}")
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
        """Release what the last trial held."""
        self.training = None

    def _training(self) -> Training:
        """Build the graph's networks at its first step, where an error can be reported."""
        if self.training is None:
            graph = parse(json.loads(self.config["graph"]))
            device = "cuda" if self.config["gpus"] else "cpu"
            self.training = Training(graph, opened(image_spec(graph.data)), device=device)
        return self.training


@functools.lru_cache(maxsize=2)
def opened(data: Data) -> Dataset:
    """Return the data set of a graph; most trials of a search share one, so it is opened once per worker."""
    return open_data(data)


def failed(reason: str) -> dict[str, Any]:
    """Return the last result of a trial that cannot go on."""
    return {"val_accuracy": 0.0, "epoch": 0, "failed": reason, "done": True}
