"""Reads from stored searches what the sampler of a new one may learn before its first trial.

What a graph is worth differs from one data set to the next, and so does what is easy. So a trial of
the past is told by how far it was ahead of its own search's baseline `alone`, and counts as if it
were as far ahead of the new one's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ktg.errors import KtgError, join_names
from ktg.graph import Graph, SearchSpace
from ktg.searching.contestants import find_fold_effects
from ktg.searching.folds import NO_EFFECTS, to_mean_fold
from ktg.searching.history import find_searches, read_last_search
from ktg.searching.score import KEYS, read_score
from ktg.searching.stored_search import StoredSearch
from ktg.searching.trial import TUNED_ALONE
from ktg.searching.values import Values
from ktg.tracking import Experiment
from ktg.wording import count


@dataclass(frozen=True)
class PastTrial:
    """What a graph of an earlier search has at the holes of the new space, and how good it was.

    ahead: its score minus that of the baseline `alone` of its search, higher is better. acting: the
    holes that did something in it; None: all.
    """

    values: Values
    ahead: float
    acting: Collection[str] | None = None


@dataclass(frozen=True)
class Prior:
    """The trials of the past by the arm of the new search that learns from them.

    told: a sentence on how many they are.
    """

    by_arm: Mapping[str | None, Sequence[PastTrial]]
    told: str


def read_searches(experiments: Sequence[Experiment]) -> list[StoredSearch]:
    """Return all searches of these experiments that have finished trials, the newest first.

    Raises UserError for an experiment without any.
    """
    found = []
    for experiment in experiments:
        read_last_search(experiment)
        found += [search for search in find_searches(experiment) if search.finished]
    return found


def gather_prior(
    searches: Sequence[StoredSearch], spaces: Mapping[str | None, SearchSpace]
) -> Prior:
    """Return what finished trials tell of the spaces, by arm.

    Holes are matched by their paths and options; what a space does not have is left out. A trial is
    of use if something is left, and of use to a Gaussian process only if all is. Trials of which
    the store lacks the metric, or of a search without its `alone`, are of none.
    """
    by_arm: dict[str | None, list[PastTrial]] = {arm: [] for arm in spaces}
    seen = 0
    for search in searches:
        seen += len(search.finished)
        for arm, space in spaces.items():
            known = _list_ahead(search, arm, space)
            values = space.read_values(graph for graph, _ in known)
            needed = len(space.holes) if space.search.sampler == "gp" else 1
            by_arm[arm] += [
                PastTrial(own, ahead, space.find_acting(graph))
                for own, (graph, ahead) in zip(values, known, strict=True)
                if len(own) >= needed
            ]
    used = sum(map(len, by_arm.values()))
    names = join_names(list({search.experiment.name or "": None for search in searches}))
    told = f"The sampler learns from {used} of {count(seen, 'finished trial')} of {names}"
    return Prior(by_arm, f"{told}, by how far they are ahead of the baseline alone.")


def _list_ahead(
    search: StoredSearch, arm: str | None, space: SearchSpace
) -> list[tuple[Graph, float]]:
    """Return the graphs of an arm of a stored search, with their scores minus that of `alone`."""
    metric, found = space.search.metric, []
    finished = [one for one in search.finished if KEYS[metric] in one.run.metrics]
    reference = search.alone
    if reference is None or KEYS[metric] not in reference.run.metrics:
        return []
    scores = {one.number: read_score(metric, one.run.metrics) for one in finished}
    # The effects of folds are known in the metric of that search only.
    same = metric == search.metric
    effects = find_fold_effects([*finished, *search.raced]) if same else NO_EFFECTS
    base = to_mean_fold(scores[reference.number], reference.fold, effects)
    for trial in finished:
        if trial.arm != arm or trial is reference:
            continue
        try:
            score = to_mean_fold(scores[trial.number], trial.fold, effects)
            found.append((trial.graph, score - base))
        except KtgError:  # of another version, or without its file
            continue
    return found


def list_arm_spaces(space: SearchSpace, alone: SearchSpace | None) -> dict[str | None, SearchSpace]:
    """Return the spaces of a search by the names of their arms."""
    return {None: space} | ({TUNED_ALONE: alone} if alone else {})
