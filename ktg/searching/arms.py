"""Splits a search into arms: the whole space, and beside it the target by itself.

A graph that beats its target trained alone may do so for what its networks teach each other, or for
a better learning rate. The arm `tuned alone` tells: it searches the one-node graphs of the space
with all holes of the target, for as much device time as a graph of all networks takes.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ktg.errors import SpecError
from ktg.graph import LABEL, Choice, Graph, Hole, SearchSpace, edge_key
from ktg.graph.canonical import check_trainable
from ktg.graph.recipes import FOR_WEIGHTS_ONLY
from ktg.graph.vocabulary import PEER_GATES
from ktg.searching.baselines import ALONE
from ktg.searching.folds import FoldEffects, count_fold_runs, judge_on_mean_fold
from ktg.searching.prior import PastTrial, Prior
from ktg.searching.sampler import Sampler
from ktg.searching.score import worst_score
from ktg.searching.trial import TUNED_ALONE, Duplicate, Outcome, Trial
from ktg.searching.values import Values

MOST_REPEATS = 500  # so many useless proposals in a row, and the space counts as exhausted
# So many in a row, and points are drawn evenly: a sure sampler may propose the same one for ever.
STUBBORN = 10
ALONE_SEED = 1_000_000  # added to the seed of the arm `tuned alone`, so that it draws other points


class Arm:
    """A space and the sampler that chooses its points.

    name: None of the whole space. seed: of the sampler. prior: trials of earlier searches, of which
    the sampler learns once it is known how good `alone` is. exhausted: whether no more points are
    drawn, as all were, or the last MOST_REPEATS were of no use. late: how many of its points there
    was no time for. late_since: how many trials had ended when there was time for none that it
    drew.
    """

    def __init__(self, name: str | None, space: SearchSpace, seed: int) -> None:
        self.name, self.space, self.default = name, space, space.bind(space.default())
        self.sampler = Sampler(space.holes, replace(space.search, seed=seed))
        self.useless = Outcome("failed", worst_score(space.search.metric), 0)
        self.prior: Sequence[PastTrial] = ()
        self.exhausted = False
        self.late = 0
        self.late_since: int | None = None

    def pass_over(self, sample: int) -> None:
        """Leave out a point that there is no time for."""
        self.late += 1
        self.sampler.forget(sample)

    def samples(self) -> Iterator[tuple[int, Values, Graph]]:
        """Yield points whose target learns, until too many in a row are of no use."""
        for attempt in itertools.count() if self.sampler.is_grid else range(MOST_REPEATS):
            point = self.sampler.ask(evenly=attempt >= STUBBORN)
            if point is None:
                break
            sample, values = point
            try:
                graph = self.space.bind(values)
                check_trainable(graph)
            except SpecError:  # contradicting fields, or a target that nothing teaches
                self.sampler.tell(sample, self.useless)
                continue
            yield sample, values, graph
        self.exhausted = True

    def learn(self, trial: Trial, outcome: Outcome) -> None:
        """Tell the sampler what became of a trial, where its graph lies in the space.

        Of a baseline it learns only at its full budget, which others lack when they are stopped.
        """
        acting = self.space.find_acting(trial.graph)
        if trial.sample is not None and trial.arm == self.name:
            self.sampler.tell(trial.sample, outcome, acting)
        elif trial.baseline is None and trial.arm == self.name and trial.values is not None:
            self.sampler.add(trial.values, outcome, acting)  # of an earlier process
        elif trial.baseline is not None and trial.state == "finished":
            values = trial.values if self.name is None else self.space.locate(trial.graph)
            if values is not None:
                self.sampler.add(values, outcome, acting)
            if trial.baseline == ALONE:
                for past in self.prior:
                    worth = replace(outcome, score=outcome.score + past.ahead)
                    self.sampler.add(past.values, worth, past.acting, elsewhere=True)
                self.prior = ()


class Arms:
    """The arms of a search, and what their samplers learn of its trials.

    main: the whole space. alone: the target by itself, None where there is nothing to tune.
    drawn: how many trials an earlier process had: with its seed, samplers would propose them again.
    """

    def __init__(self, space: SearchSpace, drawn: int = 0, prior: Prior | None = None) -> None:
        self.search = space.search
        seed, alone = space.search.seed + drawn, find_alone_space(space)
        self.main = Arm(None, space, seed)
        self.alone = Arm(TUNED_ALONE, alone, seed + ALONE_SEED) if alone else None
        for arm in self:
            arm.prior = prior.by_arm.get(arm.name, ()) if prior else ()
        self._untold: list[Trial] = []
        self._waiting: dict[str, list[tuple[Arm, int, set[str]]]] = {}

    def __iter__(self) -> Iterator[Arm]:
        """Yield the arms that there are."""
        return filter(None, (self.main, self.alone))

    def meet(self, searched: Sequence[Trial], duplicates: Sequence[Duplicate]) -> None:
        """Note what an earlier process has drawn, whatever became of it.

        searched: the trials that samplers have chosen.
        """
        drawn = [(one.arm, one.values) for one in searched]
        drawn += [(self.main.name, one.values) for one in duplicates]
        for arm in self:
            for name, values in drawn:
                if name == arm.name and values is not None:
                    arm.sampler.meet(values)

    def take_turns(self, searched: Sequence[Trial]) -> list[Arm]:
        """Return the arms that the next trial may come from, first the one whose turn it is.

        searched: the trials that samplers have chosen.
        """
        most = self.search.most_trials
        if most is not None and len(searched) >= most:
            return []
        alone = sum(trial.arm == TUNED_ALONE for trial in searched)
        # Where the whole space is exhausted, the arm still gets its share of the trials.
        total = most if most is not None and self.main.exhausted else len(searched) + 1
        lags = self.alone is not None and alone + 1 <= self.search.alone_share * total + 1e-9
        arms = [*([self.alone] if self.alone and lags else []), self.main]
        return [arm for arm in arms if not arm.exhausted]

    def learn_duplicate(
        self, arm: Arm, sample: int, graph: Graph, known: Trial, effects: FoldEffects
    ) -> None:
        """Answer a point with the trial that an equal graph has had, once that has ended."""
        acting = arm.space.find_acting(graph)
        if known.state == "running":
            self._waiting.setdefault(known.key, []).append((arm, sample, acting))
        else:
            arm.sampler.tell(sample, judge_on_mean_fold(known, effects), acting)

    def learn(self, trial: Trial, trials: Sequence[Trial], effects: FoldEffects) -> None:
        """Tell the samplers of a trial that has ended, and those that wait for it.

        Another seed of a known graph tells nothing of the space. Where trials have folds, the
        samplers hear of them once the first baseline has told what these are worth.

        trials: all of the search.
        """
        if trial.race_of is None:
            self._untold.append(trial)
        first, _, ended = count_fold_runs(trials)
        pending = first is not None and first.state in ("running", "finished")
        if not (pending and ended < (self.search.folds or 0)):
            for each in self._untold:
                for arm in self:
                    arm.learn(each, judge_on_mean_fold(each, effects))
            self._untold.clear()
        for arm, sample, acting in self._waiting.pop(trial.key, []):
            arm.sampler.tell(sample, judge_on_mean_fold(trial, effects), acting)


def find_alone_space(space: SearchSpace) -> SearchSpace | None:
    """Return the space of the arm `tuned alone`, None where there is nothing to tune or compare.

    It has the target with its own holes and those of data, training and the edge from the label,
    which is opened if it is shut, and a hole for the length where there is none: the epochs, or
    steps, that the space says, and as many times as it has nodes. A space of one node is this arm
    already, and of an ensemble no node is the target.
    """
    nodes, default = space.template["nodes"], space.bind(space.default())
    target, line = default.target, edge_key(LABEL, default.target)
    if space.search.alone_share == 0 or len(nodes) == 1 or default.ensemble:
        return None
    template = _keep_target(space.template, target, line)
    places = {
        path: place
        for path, place in space.places.items()
        if (place[0] not in ("nodes", "edges") or place[:2] in (("nodes", target), ("edges", line)))
        and place != ("edges", line, "peer")
    }
    if not places:
        return None
    holes: dict[str, Hole] = {
        path: _ask_nobody(space.holes[path], place) for path, place in places.items()
    }
    field, length = "epochs", default.train.epochs
    if default.train.steps is not None:
        field, length = "steps", default.train.steps
    path = f"train.{field}"
    # A search of an older version had no hole for steps, and goes on without.
    known = field == "epochs" or space.version > FOR_WEIGHTS_ONLY
    if path not in places and known:
        lengths = Choice((length, len(nodes) * length))
        holes[path], places[path] = lengths, ("train", field)
        template["train"] = {**template.get("train", {}), field: lengths.plain()}
    return replace(space, holes=holes, places=places, template=template)


def _ask_nobody(hole: Hole, place: tuple[str, ...]) -> Hole:
    """Return a hole without what needs another node, if it is one for an edge or its gate."""
    if not isinstance(hole, Choice) or place[0] != "edges":
        return hole
    if len(place) == 2:
        edges = [_without_peer(edge) for edge in hole.options if edge is not None]
        return Choice(tuple(edge for at, edge in enumerate(edges) if edge not in edges[:at]))
    if place[2] != "gate":
        return hole
    return Choice(tuple(gate for gate in hole.options if gate not in PEER_GATES) or ("through",))


def _without_peer(edge: Mapping[str, Any]) -> dict[str, Any]:
    """Return an edge from the label that is open and asks nobody."""
    kept = {key: value for key, value in edge.items() if key != "peer"}
    if kept.get("gate") in ("cutoff", *PEER_GATES):
        kept["gate"] = "through"
    return kept


def _keep_target(template: Mapping[str, Any], target: str, line: str) -> dict[str, Any]:
    """Return the template with its target alone, taught by the label: it has no peer to ask."""
    edge = _without_peer(template["edges"].get(line) or {})
    return {**template, "nodes": {target: template["nodes"][target]}, "edges": {line: edge}}
