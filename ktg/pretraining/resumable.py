"""Trains with a checkpoint after every epoch, from which another process can go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import save_file

from ktg.errors import UserError, WeightsError
from ktg.graph import Graph, Scalar, dump
from ktg.graph.drawing import draw
from ktg.graph.yaml_files import dumps
from ktg.tracking import Tracker, finish_run
from ktg.training import EpochMetrics, Training
from ktg.training.checkpoint import read_checkpoint, write_checkpoint
from ktg.version import __version__

Keep = Literal["best", "last"]
OnEpoch = Callable[[EpochMetrics, int], None]


@contextmanager
def explain_write_errors(place: Path) -> Iterator[None]:
    """Turn the errors of writing a file inside the block into a UserError that names the place."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{place}: cannot be written: {reason}; mend that and run the same command again"
        ) from error


class ResumableTraining:
    """Continues from the checkpoint in `home`, if any, and writes one there after every epoch.

    keep: the weights of the last epoch, or of the best one by validation (the first of equals). A
    checkpoint of another version of ktg is ignored, as it might not give the same weights.
    """

    def __init__(self, training: Training, home: Path, keep: Keep, tracker: Tracker) -> None:
        self.training, self.home, self.keep, self.tracker = training, home, keep, tracker
        self.kept: dict[str, Any] = {}
        self.run: str | None = None
        self.checkpoint = home / f"{__version__}.pt"
        if self.checkpoint.exists():
            self._resume()

    @contextmanager
    def track(self, graph: Graph, name: str) -> Iterator[None]:
        """Begin or continue the run of this training, and end it with the block."""
        model = graph.nodes[graph.target].model
        params: dict[str, Scalar] = {
            "name": name,
            "model": model,
            "data": graph.data.name or str(graph.data.path),
        }
        tags = {"kind": "pretrain", "data.fingerprint": self.training.dataset.fingerprint}
        self.run = self.tracker.start(f"{name}/{model}", params=params, tags=tags, run=self.run)
        self.tracker.artifact(self.run, "graph.yaml", dumps(dump(graph)))
        self.tracker.artifact(self.run, "graph.svg", draw(graph))
        with finish_run(self.tracker, self.run):
            yield

    def train(self, on_epoch: OnEpoch | None = None) -> None:
        """Train to the end; call `on_epoch` with each epoch and their number."""
        for epoch in self.training:
            self._keep(epoch)
            self._save()
            if self.run is not None:
                self.tracker.log(self.run, epoch.metrics(), epoch.number)
            if on_epoch is not None:
                on_epoch(epoch, self.training.graph.train.epochs)

    @property
    def kept_facts(self) -> dict[str, Any]:
        """The facts that the card states about the kept weights."""
        return {"keep": self.keep, "epoch": self.kept["epoch"], "accuracy": self.kept["accuracy"]}

    def write_weights(self) -> Path:
        """Write the weights that are kept, and return their file."""
        state = self.kept.get("weights") or self.training.target.body.state_dict()
        path = self.home / "weights.safetensors"
        with explain_write_errors(path):
            save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, path)
        return path

    def _resume(self) -> None:
        try:
            state = read_checkpoint(self.checkpoint)
        except WeightsError as error:
            raise WeightsError(f"{error}; begin --anew") from error
        self.training.load_state_dict(state)
        self.kept, self.run = state["kept"], state["run"]

    def _keep(self, epoch: EpochMetrics) -> None:
        accuracy = epoch.val_accuracy or 0.0
        found = {"epoch": epoch.number, "accuracy": accuracy}
        if self.keep == "last":
            self.kept = found
        elif not self.kept or accuracy > self.kept["accuracy"]:
            state = self.training.target.body.state_dict()
            self.kept = found | {
                "weights": {name: tensor.cpu().clone() for name, tensor in state.items()}
            }

    def _save(self) -> None:
        state = self.training.state_dict() | {"kept": self.kept, "run": self.run}
        with explain_write_errors(self.checkpoint):
            try:
                write_checkpoint(state, self.checkpoint)
            except RuntimeError as error:  # so torch's writer fails on a full disk
                raise OSError(str(error).splitlines()[0]) from error
