"""Trains one graph after the other in one live process, a Ray worker.

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
from torch.nn import functional

from ktg.data import Dataset, Images
from ktg.data.open import open_data, open_test
from ktg.errors import KtgError, TrainingError, WeightsError
from ktg.graph import Data, parse
from ktg.models.state_dicts import WEIGHTS_CACHE
from ktg.searching.pool import pack
from ktg.searching.preflight import select_image_fields
from ktg.searching.score import TEST_ACCURACY, TEST_LOSS, VAL_ACCURACY, VAL_LOSS
from ktg.searching.trial import RIGHT, SAID
from ktg.searching.worth import find_teachers, write_right
from ktg.training import Training
from ktg.training.checkpoint import read_checkpoint, write_checkpoint
from ktg.training.step_errors import describe_lack_of_memory, is_out_of_memory

CHECKPOINT = "training.pt"
WEIGHTS_CACHE_BYTES = 2**30


class Worker(tune.Trainable):  # type: ignore[misc]
    """Trains the graph in `config["graph"]` (JSON), one epoch per step.

    With `config["final"]` it trains on all images but those of the test split, and the metrics of
    the last epoch hold the score on that split: see `score_test`.

    An error ends the trial, not the worker: the last result then has the reason under `failed`. A
    trial that takes long saves its state at `config["checkpoint"]`, and continues from there when
    it begins again after a death. Only an error of the GPU is raised: Ray ends the worker then, and
    gives the trial to a new one.
    """

    REPORT_S = 0.5  # so long epochs are gathered where nobody waits for each

    def setup(self, config: dict[str, Any]) -> None:
        """Accept the first graph."""
        torch.set_num_threads(max(1, int(config["cpus"])))
        WEIGHTS_CACHE.set_limit(WEIGHTS_CACHE_BYTES)
        self.training: Training | None = None
        self._accept(config)
        gc.freeze()  # no later collection looks through the imported libraries again

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Accept the next graph; nothing of the last one is left, nor its memory or checkpoint."""
        if self.checkpoint != Path(new_config["checkpoint"]):
            self.checkpoint.unlink(missing_ok=True)
        self.cleanup()
        self._accept(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch."""
        try:
            training = self._open_training()
            self._save_now_and_then(training)
            metrics = self._train_epoch(training)
        except Exception as error:  # whatever it is, one graph's trouble must not end the search
            return self._fail(self._describe(error))
        loss = metrics.get(VAL_LOSS, 0.0)
        if not math.isfinite(loss):
            return self._fail(f"the validation loss became {loss} in epoch {training.epoch}")
        return {
            # Ray insists on its metric, also where nothing is validated.
            VAL_ACCURACY: metrics.get(VAL_ACCURACY, 0.0),
            "epoch": training.epoch,
            "metrics": json.dumps(metrics),
            "done": training.epoch >= training.graph.train.epochs,
        }

    def train_buffered(self, *_: Any) -> list[dict[str, Any]]:
        """Train epochs for REPORT_S seconds, or one, and return the results of all at once.

        Ray calls it in place of `train` where it may hear of epochs together; a slot waits for its
        answer after each call. Its own method mistakes its arguments for each other.
        """
        until = time.monotonic() + self.REPORT_S
        results = [self.train()]
        while not results[-1]["done"] and time.monotonic() < until:
            self._gathered = len(results)
            results.append(self.train())
        self._gathered = 0
        return results

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state of training."""
        write_checkpoint(self._open_training().state_dict(), Path(checkpoint_dir, CHECKPOINT))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Continue from what `save_checkpoint` wrote."""
        self._open_training().load_state_dict(read_checkpoint(Path(checkpoint_dir, CHECKPOINT)))

    def cleanup(self) -> None:
        """Free what the last trial held, the GPU's memory too."""
        if self.training is not None and self.training.graph.train.compile:
            torch.compiler.reset()
        self.training = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _accept(self, config: dict[str, Any]) -> None:
        self.config = config
        # Kept apart, because Ray replaces `config` before it calls `reset_config`.
        self.checkpoint = Path(config["checkpoint"])
        self._checkpointed, self._gathered = time.monotonic(), 0
        # Training seeds what it draws; this is for what a library might draw on its own.
        torch.manual_seed(0)

    def _open_training(self) -> Training:
        """Build the graph's networks at its first step, where an error can be reported."""
        if self.training is None:
            graph = parse(json.loads(self.config["graph"]))
            device, final = "cuda" if self.config["gpus"] else "cpu", self.config["final"]
            dataset = open_cached(select_image_fields(graph.data))
            metric = self.config["metric"]
            self.training = Training(graph, dataset, device=device, final=final, metric=metric)
            restore_checkpoint(self.training, self.checkpoint)
        return self.training

    def _train_epoch(self, training: Training) -> dict[str, Any]:
        """Train one epoch; return its metrics, after the last one with what was said of images.

        These are the test images in a final training, else the validation images.
        """
        epoch = next(training)
        metrics: dict[str, Any] = epoch.metrics()
        if training.epoch < training.graph.train.epochs:
            return metrics
        if not self.config["final"]:
            logits = None if epoch.scored is None else epoch.scored.logits
            labels = training.dataset.val.labels
            return metrics | ({} if logits is None else {SAID: pack(labels, logits, epoch.answers)})
        data = select_image_fields(training.graph.data)
        return metrics | score_test(training, open_test_cached(data))

    def _save_now_and_then(self, training: Training) -> None:
        """Save the state every so many seconds, in case this process or its machine dies.

        Before an epoch and not after it: by now the driver has recorded all epochs that the state
        holds.
        """
        due = time.monotonic() - self._checkpointed >= self.config["checkpoint_every_s"]
        if training.epoch and due and not self._gathered:
            with suppress(OSError, RuntimeError):  # a disk that is full is no reason to stop
                self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
                write_checkpoint(training.state_dict(), self.checkpoint)
            self._checkpointed = time.monotonic()

    def _describe(self, error: Exception) -> str:
        """Return an error in a few words, with a remedy where there is one.

        Raises TrainingError where the GPU failed: nothing works any more in such a process.
        """
        cause = error.__cause__ if isinstance(error, TrainingError) else error
        if isinstance(cause, torch.AcceleratorError):
            raise TrainingError(f"the GPU failed: {str(cause).splitlines()[0]}") from None
        if is_out_of_memory(cause):
            open_cached.cache_clear()  # the images of the trial before last may be in the way
            if not isinstance(error, TrainingError):  # which would say what was too large
                size = parse(json.loads(self.config["graph"])).data.batch_size
                return describe_lack_of_memory(size)
        return str(error) if isinstance(error, KtgError) else f"{type(error).__name__}: {error}"

    def _fail(self, reason: str) -> dict[str, Any]:
        """Return the last result of a trial that cannot go on, and free what it holds."""
        self.cleanup()
        return {VAL_ACCURACY: 0.0, "epoch": 0, "failed": reason, "done": True}


def restore_checkpoint(training: Training, path: Path) -> None:
    """Continue a trial that died from its saved state; without a good one it starts at epoch 1."""
    if path.exists():
        try:
            training.load_state_dict(read_checkpoint(path))
        except WeightsError:
            path.unlink(missing_ok=True)


def score_test(training: Training, images: Images) -> dict[str, Any]:
    """Return the score of a finished training on the test split, in total and image by image.

    Beside `test_accuracy` and `test_loss` there is, under `RIGHT`, a text with a 1 for every image
    that was classified rightly and a 0 for every other, in the order of the split, and on further
    lines the same of the networks that teach the target (`ktg.searching.worth.read_right`).
    """
    logits, labels = training.logits(images), torch.from_numpy(images.labels)
    right = logits.argmax(dim=1) == labels
    graph = training.graph
    taught_by = {
        training.names[name]: training.logits(images, training.networks[name]).argmax(dim=1)
        for name in (() if graph.ensemble else find_teachers(graph))
    }
    return {
        TEST_ACCURACY: right.double().mean().item(),
        TEST_LOSS: functional.cross_entropy(logits, labels).item(),
        RIGHT: write_right(
            _write_bits(right),
            {name: _write_bits(said == labels) for name, said in taught_by.items()},
        ),
    }


def _write_bits(right: torch.Tensor) -> str:
    return "".join("1" if each else "0" for each in right.tolist())


@functools.lru_cache(maxsize=2)
def open_cached(data: Data) -> Dataset:
    """Return the data set of a graph; most trials of a search share one, opened once per worker.

    As long as it is cached here, its images stay on the device.
    """
    return open_data(data)


@functools.lru_cache(maxsize=1)
def open_test_cached(data: Data) -> Images:
    """Return the test split of a data set, opened once per worker."""
    return open_test(data)
