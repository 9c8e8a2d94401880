"""Writes a confirmation into a tracker: a run for all of it, a child run for each training."""

import json
from collections.abc import Mapping

from ktg.graph import dump
from ktg.graph.vocabulary import Scalar
from ktg.graph.yaml_files import dumps
from ktg.searching.confirm.finalists import Finalists
from ktg.searching.confirm.store import KIND, RESULT_FILE, RIGHT_FILE, TRAINING, TRAININGS_TAG
from ktg.searching.confirm.verdict import Confirmation
from ktg.searching.recorder import Recorder, environment_tags
from ktg.searching.seed_queue import SeedQueue
from ktg.searching.trial import Trial
from ktg.tracking import NOTE, RunRecord, RunState, Tracker
from ktg.version import __version__
from ktg.wording import format_percent


class ConfirmRecorder(Recorder):
    """Writes a confirmation.

    images: the tags that name those of each graph, by the name of its trial in the search.
    before: the run of an earlier confirmation of the same search, which goes on here.
    """

    def __init__(
        self,
        tracker: Tracker,
        queue: SeedQueue,
        chosen: Finalists,
        images: Mapping[str, Mapping[str, str]],
        tags: Mapping[str, str],
        before: RunRecord | None,
    ) -> None:
        search = chosen.search.run
        own = {"kind": KIND, "search": search.id, "search.name": search.name}
        tags = {**own, **environment_tags(), **tags, TRAININGS_TAG: str(queue.total)}
        parent = tracker.start("confirm", tags=tags, run=before.run if before else None)
        super().__init__(tracker, queue, parent)
        self.images = images
        self._trials = {finalist.what: finalist.trial for finalist in chosen.graphs}

    def on_start(self, trial: Trial) -> None:
        """Open the run of a training."""
        name = trial.finalist or ""
        of = self._trials[name]
        params: dict[str, Scalar] = {"graph": name, "trial": of, "seed": trial.graph.train.seed}
        tags = {"kind": TRAINING, "key": trial.key, **self.images[of]}
        tags["version.ktg-automl"] = __version__
        run = self.tracker.start(trial.name, parent=self.parent, params=params, tags=tags)
        self.tracker.artifact(run, "graph.yaml", dumps(dump(trial.graph)))
        self._runs[trial.number] = run

    def on_end(self, trial: Trial) -> None:
        """Close the run of a training."""
        run = self._runs[trial.number]
        if trial.right:
            self.tracker.artifact(run, RIGHT_FILE, trial.right)
        tags = {"train_s": f"{trial.train_s:.3f}"}
        tags |= {"reason": trial.reason} if trial.reason else {}
        self.tracker.end(run, "failed" if trial.reason else "finished", tags)

    def interrupt(self) -> None:
        """Close what was cut short; what had finished stays, for the next time."""
        self._end_interrupted()
        self.tracker.end(self.parent, "interrupted")

    def end(self, confirmation: Confirmation) -> None:
        """Close the run of all with its result."""
        text = json.dumps(confirmation.to_json(), indent=1)
        self.tracker.artifact(self.parent, RESULT_FILE, text)
        state: RunState = "failed"
        for row in confirmation.rows:
            if row.mean is not None:
                state, std = "finished", row.std or 0.0
                metrics = {f"test_accuracy/{row.what}": row.mean, f"test_std/{row.what}": std}
                metrics[f"test_{confirmation.metric}/{row.what}"] = row.score or 0.0
                self.tracker.log(self.parent, metrics, 0)
        self.tracker.end(self.parent, state, {NOTE: describe_confirmation(confirmation)})


def describe_confirmation(confirmation: Confirmation) -> str:
    """Return a confirmation as Markdown."""
    lines = [f"**{confirmation.sentence}**", "", confirmation.basis, ""]
    if confirmation.ship is not None:
        lines += [confirmation.ship.sentence, ""]
    if confirmation.teacher is not None:
        lines += [confirmation.teacher.sentence, ""]
    lines += [f"| graph | test {confirmation.measure} | std | seeds |", "|---|---|---|---|"]
    for row in confirmation.rows:
        shares = (row.score, row.score_std)
        mean, std = ("-" if share is None else format_percent(share) for share in shares)
        lines.append(f"| {row.what} | {mean} | {std} | {len(row.runs)} |")
    return "\n".join(lines)
