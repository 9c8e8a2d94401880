"""Makes searches that nobody trained, as a store returns them, with or without a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ktg.graph import parse_space
from ktg.graph.yaml_files import loads
from ktg.searching.history import read_last_search
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.tracking import MlflowTracker, RunRecord, find_experiment

SPACE = """\
data: {name: digits}
train: {epochs: 8, lr: {log: [0.01, 0.1]}}
nodes:
  n0: {model: resnet8}
  n1: &free {model: {choice: [resnet8, resnet14]}}
  n2: *free
edges:
  label -> any: {gate: through}
  n1 -> n0: {gate: {choice: [through, cutoff]}}
  n2 -> n0: {gate: {choice: [through, cutoff]}}
search: {trials: 10, scheduler: asha, grace_epochs: 2}
"""
VALUES = {
    "train.lr": 0.05,
    "nodes.n1.model": "resnet8",
    "nodes.n2.model": "resnet8",
    "edges.n1.n0.gate": "through",
    "edges.n2.n0.gate": "through",
}


def run(name: str, state: str = "finished", **tags: Any) -> RunRecord:
    """Return a run that began at 1,000 s and took as many seconds as its number says."""
    number = int(name.rpartition("-")[2]) if "-" in name else 0
    end_s = None if state == "running" else 1000.0 + number
    words = {"status": "RUNNING" if state == "running" else "FINISHED", "params": {}, "metrics": {}}
    tags = {"state": state, **{key: str(value) for key, value in tags.items()}}
    return RunRecord(id=name, run=name, name=name, start_s=1000.0, end_s=end_s, tags=tags, **words)


def trial(
    number: int,
    state: str = "finished",
    curve: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    values: dict[str, Any] | None = None,
    *,
    base: dict[str, Any] = VALUES,
    train_s: float | None = None,
    metrics: dict[str, float] | None = None,
    **tags: Any,
) -> StoredTrial:
    """Return a trial for `search`; `values` are added to those of `base`; an epoch takes 2 s."""
    last = {"val_accuracy": curve[-1]} if curve else {}
    made = replace(run(f"trial-{number:04d}", state, **tags), metrics=last | (metrics or {}))
    found = StoredTrial(search=None, run=made)
    # What is read from a store on demand is there already.
    found.__dict__.update(
        values=base | (values or {}),
        epochs=8,
        curve=tuple(curve),
        train_s=2.0 * len(curve) if train_s is None else train_s,
    )
    return found


def search(
    *trials: StoredTrial,
    space: str = SPACE,
    duplicates: tuple[RunRecord, ...] = (),
    experiment: Any = None,
    **tags: Any,
) -> StoredSearch:
    """Return a search of these trials; of an `experiment` of a store it has the first run."""
    parent = run("search", **tags) if experiment is None else experiment.searches()[0]
    made = StoredSearch(experiment, parent)
    for each in trials:
        object.__setattr__(each, "search", made)
    parsed = parse_space(loads(space, "space.yaml"))
    made.__dict__.update(space=parsed, trials=list(trials), repeats=[], duplicates=list(duplicates))
    return made


PLAIN = """\
data: {name: digits}
train: {epochs: 3}
nodes: {n0: {model: resnet8}, n1: {model: resnet8}}
edges:
  label -> n0: {loss: ce}
  n1 -> n0: {loss: kl, gate: {choice: [through, cutoff]}}
"""
GRAPH = PLAIN.replace("{choice: [through, cutoff]}", "cutoff")


@contextmanager
def going_on(
    uri: str,
    experiment: str,
    *trials: tuple[str, list[float]],
    space: str = PLAIN,
    kind: str = "trial",
    metric: str = "accuracy",
) -> Iterator[None]:
    """Write a search of `PLAIN` with trials (state, accuracies) into a store.

    It is stored as a search stores it, and it runs until the block ends.
    """
    with MlflowTracker(experiment, uri) as tracker:
        tags, params = {"kind": "search", "version.ktg-automl": "0.0.1"}, {"search.metric": metric}
        parent = tracker.start("made", tags=tags, params=params)
        tracker.artifact(parent, "space.yaml", space)
        for number, (state, accuracies) in enumerate(trials, 1):
            params = {"edges.n1.n0.gate": "cutoff"}
            one = tracker.start(
                f"trial-{number:04d}", parent=parent, params=params, tags={"kind": kind}
            )
            tracker.artifact(one, "graph.yaml", GRAPH)
            for epoch, accuracy in enumerate(accuracies, 1):
                tracker.log(
                    one, {"val_accuracy": accuracy, "val_loss": 1 - accuracy, "epoch_s": 2.0}, epoch
                )
            if state != "running":
                tracker.end(one, state)
        assert tracker.flush(300)  # a starved machine may need minutes
        yield
        tracker.end(parent, "finished")


def written(uri: str, experiment: str, *trials: tuple[str, list[float]], **how: str) -> None:
    """Write a search that is over."""
    with going_on(uri, experiment, *trials, **how):
        pass


def read_back(
    uri: str, experiment: str, *trials: tuple[str, list[float]], **how: str
) -> StoredSearch:
    """Write a search that is over, and return what the store has of it."""
    written(uri, experiment, *trials, **how)
    found = read_last_search(find_experiment(experiment, uri))
    found.check_readable()
    return found
