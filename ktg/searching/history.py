"""Finds the searches that an experiment holds: which of them is meant.

An experiment may hold several searches. Every command follows one of two rules:

- `read_newest_search`, the search that began last, whatever became of it: `ktg status`, `ktg stop`
  and `ktg search --resume`;
- `read_last_search`, the newest search with a finished trial: `ktg report`, `compare`, `export` and
  `confirm`. They need results, and a search that died early has none.

What comes at the end of a search is of that one, whatever has begun since: `read_search`.
"""

import shlex

from ktg.errors import UserError
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import Experiment


def find_searches(experiment: Experiment, wanted: str = "") -> list[StoredSearch]:
    """Return all searches of an experiment, the newest first.

    wanted: what they are looked through for, so that an older one can say what newer ones lack.
    """
    runs = experiment.of_kind("search")
    return [
        StoredSearch(experiment, run, len(runs) - place, len(runs), wanted)
        for place, run in enumerate(runs)
    ]


def read_newest_search(experiment: Experiment) -> StoredSearch:
    """Return the search that began last, or raise UserError when the experiment holds none."""
    return _some_searches(experiment)[0]


def read_last_search(experiment: Experiment, run: str | None = None) -> StoredSearch:
    """Return the newest search that has a finished trial; it may still be running.

    run: of the one search that is meant, where that is known: see `read_search`.
    Raises UserError when the experiment holds no search, or none of them has a finished trial.
    """
    searches = _some_searches(experiment) if run is None else [read_search(experiment, run)]
    for search in searches:
        if search.ranked:
            return search
    running = searches[0].state == "running"
    advice = "its search is still running: wait for one" if running else "search again"
    raise UserError(f"experiment {experiment.name!r} has no finished trial; {advice}")


def read_search(experiment: Experiment, run: str) -> StoredSearch:
    """Return the search with this run, by its id from `Tracker.start` or by MLflow's.

    Raises UserError where the experiment does not hold it, as when the store took no records.
    """
    for search in find_searches(experiment):
        if run in (search.run.run, search.run.id):
            return search
    raise UserError(f"experiment {experiment.name!r} does not hold the search of run {run}")


def _some_searches(experiment: Experiment) -> list[StoredSearch]:
    searches = find_searches(experiment, "finished trial")
    if not searches:
        name = experiment.name
        run = f"run `ktg search SPACE --name {shlex.quote(name)}`"
        raise UserError(f"experiment {name!r} holds no search; {run}")
    return searches
