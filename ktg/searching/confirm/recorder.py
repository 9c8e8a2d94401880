"""Writes a confirmation into a tracker: one run for all of it, and below it one for every training."""

import json
from collections.abc import Mapping

from ktg.graph import dump
from ktg.graph.spec import Scalar
from ktg.graph.yaml_files import dumps
from ktg.searching.confirm.queue import Agenda
from ktg.searching.confirm.store import KIND, RESULT_FILE, RIGHT_FILE, TRAINING, TRAININGS_TAG
from ktg.searching.confirm.verdict import Confirmation, percent
from ktg.searching.recorder import environment
from ktg.searching.trials import Entry
from ktg.tracking import NOTE, RunRecord, RunState, Tracker
from ktg.version import __version__


class Journal:
    """An observer of trainings that passes on to a tracker what it sees.

    before: the run of an earlier confirmation of the same search, which goes on here.
    fingerprints: of the data of each graph, by the name of its trial.
    """

    def __init__(
        self,
        tracker: Tracker,
        agenda: Agenda,
        search: RunRecord,
        fingerprints: Mapping[str, str],
        tags: Mapping[str, str],
        before: RunRecord | None,
    ) -> None:
        self.tracker, self.agenda, self.fingerprints = tracker, agenda, fingerprints
        tags = {
            "kind": KIND,
            "search": search.id,
            "search.name": search.name,
            **environment(),
            **tags,
        }
        tags[TRAININGS_TAG] = str(len(agenda.jobs))
        self.parent = tracker.start("confirm", tags=tags, run=before.run if before else None)
        self._runs: dict[str, str] = {}

    def started(self, entry: Entry) -> None:
        """Open the run of a training."""
        candidate = self.agenda.jobs[entry.key].candidate
        params: dict[str, Scalar] = {
            "graph": candidate.what,
            "trial": candidate.trial,
            "seed": entry.graph.train.seed,
        }
        tags = {
            "kind": TRAINING,
            "key": entry.key,
            "data.fingerprint": self.fingerprints[candidate.trial],
        }
        tags["version.ktg-automl"] = __version__
        run = self.tracker.start(entry.name, parent=self.parent, params=params, tags=tags)
        self.tracker.artifact(run, "graph.yaml", dumps(dump(entry.graph)))
        self._runs[entry.key] = run

    def reported(self, entry: Entry) -> None:
        """Log an epoch, and with the last one the test."""
        self.tracker.log(self._runs[entry.key], entry.metrics, entry.epoch)

    def closed(self, entry: Entry) -> None:
        """Close the run of a training."""
        run, tested = self._runs[entry.key], self.agenda.jobs[entry.key].tested
        if tested is not None:
            self.tracker.artifact(run, RIGHT_FILE, tested.right)
        tags = {"train_s": f"{entry.train_s:.3f}"} | (
            {"reason": entry.reason} if entry.reason else {}
        )
        self.tracker.end(run, "failed" if entry.reason else "finished", tags)

    def interrupt(self) -> None:
        """Close what was cut short; what had finished stays, for the next time."""
        for job in self.agenda.in_state("running"):
            self.tracker.end(self._runs[job.key], "interrupted")
        self.tracker.end(self.parent, "interrupted")

    def end(self, confirmation: Confirmation) -> None:
        """Close the run of all with its result."""
        self.tracker.artifact(
            self.parent, RESULT_FILE, json.dumps(confirmation.to_json(), indent=1)
        )
        for row in confirmation.rows:
            if row.mean is not None:
                metrics = {
                    f"test_accuracy/{row.what}": row.mean,
                    f"test_std/{row.what}": row.std or 0.0,
                }
                self.tracker.log(self.parent, metrics, 0)
        state: RunState = (
            "finished" if any(row.mean is not None for row in confirmation.rows) else "failed"
        )
        self.tracker.end(self.parent, state, {NOTE: note(confirmation)})


def note(confirmation: Confirmation) -> str:
    """Return a confirmation as Markdown."""
    lines = [
        f"**{confirmation.sentence}**",
        "",
        confirmation.basis,
        "",
        "| graph | test accuracy | std | seeds |",
    ]
    lines.append("|---|---|---|---|")
    for row in confirmation.rows:
        mean, std = ("-" if value is None else percent(value) for value in (row.mean, row.std))
        lines.append(f"| {row.what} | {mean} | {std} | {len(row.runs)} |")
    return "\n".join(lines)
