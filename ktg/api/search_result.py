"""The result of a search in Python: its model, its trials as a table, how a notebook shows it."""

import dataclasses
import html
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ktg.errors import UserError
from ktg.graph.drawing import draw
from ktg.searching.result import Result
from ktg.searching.score import VAL_ACCURACY

if TYPE_CHECKING:
    from pandas import DataFrame

    from ktg.exporting.classifier import Classifier

MODEL_FILE = "model.safetensors"


@dataclasses.dataclass(frozen=True)
class SearchResult(Result):
    """A `Result` that knows the store it is kept in; what takes time is done when asked for."""

    tracking_uri: str | None = None

    @classmethod
    def of(cls, result: Result, tracking_uri: str | None) -> "SearchResult":
        """Return the result of a search that is recorded in a store, or in none."""
        named = {field.name: getattr(result, field.name) for field in dataclasses.fields(Result)}
        return cls(**named, tracking_uri=tracking_uri)

    @cached_property
    def model(self) -> "Classifier":
        """The trained network: `result.model.predict(["photo.jpg"])`.

        It is the one that the search delivered. Where it was asked for none, the best graph is
        trained once more with its own seed, as `ktg export --weights` does. Raises UserError where
        no trial finished.
        """
        if self.delivered is not None:
            from ktg.exporting.load_model import load_model

            return load_model(self.delivered.folder / MODEL_FILE)
        if self.best is None:
            raise UserError(f"{self.name}: no trial finished, so there is no model")
        from ktg.exporting.classifier import Classifier
        from ktg.exporting.model_file import make_runner
        from ktg.exporting.retrain import describe_model, retrain

        training, accuracies = retrain(self.best, metric=self.metric)
        measured = accuracies.get(self.best.target)
        about = describe_model(self.best, training, self.best.target, measured, training)
        return Classifier(about, make_runner(training.scored, None, about.temperature))

    @cached_property
    def trials(self) -> "DataFrame":
        """All trials of the search, the best first, a row each; its index is the trial's name.

        Columns: what it is (a baseline, an arm), its state, its score by the metric of the search
        (higher is better), val_accuracy, val_loss, epochs, train_s, seed, note (what is wrong with
        it: collapsed, or no network teaches another), and one for each hole by its dotted path.
        Raises UserError for a search without a store.
        """
        if self.tracking_uri is None:
            raise UserError("trials: were not recorded; search with a tracking_uri")
        import pandas as pd

        from ktg.searching.history import read_newest_search, read_search
        from ktg.searching.stored_search import StoredTrial
        from ktg.tracking import find_experiment

        def row(trial: StoredTrial) -> dict[str, Any]:
            about = {"what": trial.baseline or trial.arm or "", "state": trial.state}
            metrics = trial.run.metrics
            figures: dict[str, Any] = {
                "score": trial.score if VAL_ACCURACY in metrics else None,
                **{key: metrics.get(key) for key in ("val_accuracy", "val_loss")},
                "epochs": trial.epoch,
                "train_s": trial.train_s,
                "seed": int(trial.run.tags.get("seed", 0)),
                "note": trial.fault,
            }
            return {"trial": trial.name, **about, **figures, **(trial.values or {})}

        found, run = find_experiment(self.name, self.tracking_uri), self.run
        search = read_newest_search(found) if run is None else read_search(found, run)
        ranked = {trial.number: None for trial in search.ranked}
        last = len(ranked)
        places = {number: place for place, number in enumerate(ranked)}
        trials = sorted(search.trials, key=lambda one: (places.get(one.number, last), one.number))
        columns = ["trial", "what", "state", "score", "val_accuracy", "val_loss", "epochs"]
        columns += ["train_s", "seed", "note", *search.space.holes]
        return pd.DataFrame([row(one) for one in trials], columns=columns).set_index("trial")

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(Result)}
        return Result(**named).to_json()

    def _repr_html_(self) -> str:
        """Return the result as a notebook shows it: which graph to ship, the table, the drawing."""
        said = [self.ship.sentence] if self.ship else []
        said += [self.delivered.sentence] if self.delivered else []
        said += [self.undelivered] if self.undelivered else []
        said += [*self.warnings, *([] if self.rows else ["No trial finished."])]
        head = ("", self.measure, "new seeds", "the best minus it", "trial")
        body = [
            (
                one.what,
                one.describe_score(self.metric),
                str(one.n or ""),
                one.describe_difference(self.metric),
                one.trial,
            )
            for one in self.rows
        ]
        cells = "".join(_write_row("td", row) for row in body)
        picture = "" if self.best is None else draw(self.best, self.rows[0].trial)
        title = f"<h4>{html.escape(self.name)}</h4>"
        words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in said)
        return f"{title}{words}<table>{_write_row('th', head)}{cells}</table>{picture}"


def _write_row(cell: str, texts: tuple[str, ...]) -> str:
    written = "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in texts)
    return f"<tr>{written}</tr>"
