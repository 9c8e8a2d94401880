"""Proposes what a search trains: baselines, points of the space, and a race between the best.

It answers to a budget, too: nothing begins that would not end in time. It knows neither Ray nor the
clock, so that a test can replay a whole search.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key, check_trainable, teachers, with_seed
from ktg.searching import race
from ktg.searching.arms import Arm, find_alone_space
from ktg.searching.baselines import (
    COPIES,
    DISTILLATION,
    ENSEMBLE,
    MOST_OF_BUDGET,
    MUTUAL_LEARNING,
    baselines,
    can_distil_ensemble,
)
from ktg.searching.budget import Reserve, estimate_seconds, measure_repeat
from ktg.searching.folds import count_fold_runs
from ktg.searching.preflight import vary_each_hole
from ktg.searching.prior import Prior
from ktg.searching.sampler import Sampler
from ktg.searching.trial import TUNED_ALONE, Duplicate, Outcome, Trial
from ktg.searching.trials import TrialQueue

MAY_WIN = 4  # graphs that a race is likely to choose among
MOST_OF_RACE = 0.4  # of the search, for a race in which new teachers are made
ALONE_SEED = 1_000_000  # added to the seed of the arm `tuned alone`, so that it draws other points


class SearchQueue(TrialQueue):
    """The trials of a search: its baselines, points of the space, and a race between the best.

    Nothing is trained twice: a point whose graph has a trial already, by its canonical form, is
    answered with the result of that trial.

    trials, duplicates: those of an earlier process, which this one goes on with; what was running
    then is proposed first.
    reserve: what is left of the budget for the time after the search.
    prior: what the samplers learn of earlier searches.
    images: how many judge one training, None where not known.
    at_once: how many trials run at the same time. gain_alone: how much faster the training is that
    comes after the search, when nothing runs beside it.
    """

    open_ended = True

    def __init__(
        self,
        space: SearchSpace,
        trials: Sequence[Trial] = (),
        duplicates: Sequence[Duplicate] = (),
        *,
        reserve: Reserve | None = None,
        prior: Prior | None = None,
        images: float | None = None,
    ) -> None:
        first = baselines(space) if space.search.baselines else {}
        most = space.search.most_trials
        super().__init__(None if most is None else most + len(first))
        self.space, self.metric = space, space.search.metric
        self.reserve, self.at_once, self.images = reserve or Reserve(), 1, images
        self.gain_alone = 1.0
        self.race_share = space.search.race_share
        # Another seed when going on, or a sampler would propose again what it did before.
        seed, alone = space.search.seed + len(trials), find_alone_space(space)
        self.main = Arm(None, space, seed)
        self.alone = Arm(TUNED_ALONE, alone, seed + ALONE_SEED) if alone else None
        for arm in filter(None, (self.main, self.alone)):
            arm.prior = prior.by_arm.get(arm.name, ()) if prior else ()
        self.duplicates.extend(duplicates)
        self._by_key: dict[str, Trial] = {}
        self._waiting: dict[str, list[tuple[Arm, int]]] = {}
        self._ensemble = first.pop(ENSEMBLE, None)
        self._baselines = iter(first.items())
        self._untold: list[Trial] = []
        self._opening = deque(space.search.opening)
        self._resumed = deque(trial for trial in trials if trial.state == "running")
        for trial in trials:
            self._add(trial)
            if trial.state != "running":
                self._tell_samplers(trial)

    @property
    def most_epochs(self) -> int:
        """The epochs of the longest training."""
        spaces = [arm.space for arm in (self.main, self.alone) if arm]
        return max(graph.train.epochs for one in spaces for graph in vary_each_hole(one))

    @property
    def sampler(self) -> Sampler:
        """The sampler of the whole space."""
        return self.main.sampler

    @property
    def exhausted(self) -> bool:
        """Whether every graph of the space that can be trained was."""
        return self.main.exhausted

    @property
    def untrainable(self) -> int:
        """How many points of the whole space were proposed that nothing can be learnt from."""
        return self.main.untrainable

    def propose(self) -> Trial | None:
        """Return the next trial to train, None when there is nothing new to try (yet)."""
        if self._resumed:
            trial = self._resumed.popleft()
            # Compared is only what this process has seen: what it trained before was judged then.
            trial.scores.clear()
            return trial
        for name, graph in self._baselines:
            key = canonical_key(graph)
            if key not in self._by_key and self._fits(graph, self.end_s):
                return self._start(graph, key, baseline=name, values=self.space.locate(graph))
        for propose in (self._propose_ensemble, self._propose_fold):
            if (learnt := propose()) is not None:
                return learnt
        for arm in self._list_arms():
            drawn = self._propose_opening() if arm is self.main else None
            drawn = drawn or self._propose_of(arm)
            if drawn is not None:
                return drawn
        return self._propose_repeat()

    @property
    def expects_more(self) -> bool:
        """Whether what runs may be worth a place in the race, or the race more time."""
        running = any(trial.race_of is None for trial in self.in_state("running"))
        return running and self.space.search.race_share > 0

    def close(self, trial: Trial, reason: str | None = None) -> None:
        """End a trial, and let the samplers learn from it and its duplicates."""
        super().close(trial, reason)
        self._tell_samplers(trial)
        for arm, sample in self._waiting.pop(trial.key, []):
            arm.sampler.tell(sample, self._judge(trial))

    @property
    def searched(self) -> list[Trial]:
        """The trials that samplers have chosen."""
        return [one for one in self.trials if one.baseline is None and one.race_of is None]

    @property
    def tuned_alone(self) -> Trial | None:
        """The best trial of the target by itself, with settings of its own; None without one."""
        return next((one for one in self.ranked if one.arm == TUNED_ALONE), None)

    @property
    def lacks_ensemble(self) -> bool:
        """Whether `distilled ensemble` was left out, as too large a part of the search."""
        wanted = self.space.search.baselines and can_distil_ensemble(self.space)
        return wanted and not any(trial.baseline == ENSEMBLE for trial in self.trials)

    def _judge(self, trial: Trial) -> Outcome:
        """Return what the samplers learn of a trial: what it would be on the mean fold."""
        outcome = trial.outcome
        if trial.fold is None or trial.state == "failed":
            return outcome
        return replace(outcome, score=outcome.score - self.fold_effects.get(trial.fold, 0.0))

    @property
    def end_s(self) -> float | None:
        """When the search ends, in seconds of the budget; None without one."""
        budget_s = self.space.search.budget_s
        if budget_s is None:
            return None
        return budget_s - self.reserve.needed_s(self._longest_repeat_s() / self.gain_alone)

    @property
    def repeat_s(self) -> float:
        """The seconds that training the best graph after the search takes, on as many images.

        0 before there is one.
        """
        return self._measure_repeat(self.best) / self.gain_alone if self.best else 0.0

    def _longest_repeat_s(self) -> float:
        """Return the most that training one of the first few graphs on other images takes.

        The race may let any of them win, when it is too late to leave more time for the last
        training.
        """
        first = sorted(self.ranked[:MAY_WIN], key=lambda one: one.repeat_s)
        # Making teachers takes as long for all, so that the longest with and without will do.
        longest = {bool(teachers(one.graph)): one for one in first}
        return max(map(self._measure_repeat, longest.values()), default=0.0)

    def _measure_repeat(self, one: Trial) -> float:
        return measure_repeat(one, self.trials, self.reserve.teachers_s)

    def is_out_of_time(self, trial: Trial) -> bool:
        """Return whether another epoch of a trial would end after the budget, or it is too dear."""
        end_s = self.end_s
        late = end_s is not None and self.now_s + (trial.epoch_s or 0.0) > end_s
        return late or self.is_too_dear(trial)

    def is_too_dear(self, trial: Trial) -> bool:
        """Return whether mutual learning takes a part of the budget that is missed elsewhere.

        Its helpers, which only taught in other graphs, may be large, and see larger images.
        """
        if trial.baseline != MUTUAL_LEARNING or trial.state == "finished" or self.end_s is None:
            return False
        most_s = MOST_OF_BUDGET * self.end_s * self.at_once
        return (trial.epoch_s or 0.0) * trial.graph.train.epochs > most_s

    def _fits(self, graph: Graph, end_s: float | None) -> bool:
        """Return whether a graph can be trained before a time, as far as that is known."""
        if end_s is None:
            return True
        seconds = estimate_seconds(graph, self.trials)
        return self.now_s + (seconds or 0.0) <= end_s

    def _list_arms(self) -> list[Arm]:
        """Return the arms that the next trial may come from, first the one whose turn it is."""
        search, searched = self.space.search, self.searched
        if search.most_trials is not None and len(searched) >= search.most_trials:
            return []
        alone = sum(trial.arm == TUNED_ALONE for trial in searched)
        # Where the whole space is exhausted, the arm still gets its share of the trials.
        total = search.most_trials or 0 if self.main.exhausted else len(searched) + 1
        lags = self.alone is not None and alone + 1 <= search.alone_share * total + 1e-9
        arms = [*([self.alone] if self.alone and lags else []), self.main]
        race_s = self._race_s
        return [arm for arm in arms if not arm.exhausted and self._fits(arm.default, race_s)]

    def _propose_ensemble(self) -> Trial | None:
        """Return the baseline `distilled ensemble`, None where there is none, or not yet.

        Of a budget it takes a part at most, by what `distillation` took.
        """
        graph, end_s = self._ensemble, self.end_s
        if graph is None:
            return None
        if end_s is not None:
            known = next((one for one in self.trials if one.baseline == DISTILLATION), None)
            if known is None or known.state == "running":
                return None
            cost_s = COPIES * measure_repeat(known, [known], self.reserve.teachers_s)
            most_s = min(MOST_OF_BUDGET * end_s * self.at_once, end_s - self.now_s)
            if known.state != "finished" or cost_s > most_s:
                graph = None
        self._ensemble = None
        if graph is None or (key := canonical_key(graph)) in self._by_key:
            return None
        return self._start(graph, key, baseline=ENSEMBLE, values=self.space.locate(graph))

    def _propose_fold(self) -> Trial | None:
        """Return the next training of the first baseline, which says what each fold is worth.

        These are its first trainings of the race, done now.
        """
        folds = self.space.search.folds
        if folds is None:
            return None
        first, begun, _ = count_fold_runs(self.trials)
        if first is None or first.state != "finished":
            return None
        wanted = begun < folds and self._fits(first.graph, self.end_s)
        return self._repeat(first, self._first_seed + begun) if wanted else None

    def _propose_opening(self) -> Trial | None:
        """Return the next point of `search.opening` whose graph is new, None when all were."""
        while self._opening:
            values = self.space.default() | dict(self._opening.popleft())
            try:
                graph = self.space.bind(values)
                check_trainable(graph)
            except SpecError:  # with other holes at their defaults it contradicts itself
                continue
            key = canonical_key(graph)
            if key not in self._by_key:
                return self._start(graph, key, values=values)
        return None

    def _propose_of(self, arm: Arm) -> Trial | None:
        """Return a trial of an arm whose graph is new, None when none can be found."""
        for sample, values, graph in arm.samples():
            key = canonical_key(graph)
            known = self._by_key.get(key)
            if known is None:
                return self._start(graph, key, values=values, sample=sample, arm=arm.name)
            if arm is self.main:
                self.duplicates.append(Duplicate(values, known))
            if known.state == "running":  # the sampler learns of it when that trial ends
                self._waiting.setdefault(known.key, []).append((arm, sample))
            else:
                arm.sampler.tell(sample, self._judge(known))
        return None

    def _propose_repeat(self) -> Trial | None:
        """Return the next trial of the race, None when it is over or nothing is known yet."""
        allowance_s = self._race_allowance_s()
        starters = race.choose_starters(self.contestants, allowance_s)
        races = [trial for trial in self.trials if trial.race_of is not None]
        begun: dict[int, set[int]] = {}
        for trial in races:
            begun.setdefault(trial.race_of or 0, set()).add(trial.graph.train.seed)
        chosen = race.choose_next(starters, begun, self._first_seed)
        if chosen is None:
            return None
        original = next(one for one in self.trials if one.number == chosen[0].number)
        cost_s = self._race_cost_s(original, chosen[1], races)
        if not self._can_race(cost_s, allowance_s, races):
            return None
        return self._repeat(original, chosen[1])

    def _race_cost_s(self, original: Trial, seed: int, races: Sequence[Trial]) -> float:
        """Return how long a graph takes with a new seed: its teachers are made for it, too.

        Unless another graph has begun to make them with that seed.
        """
        if any(one.graph.train.seed == seed and teachers(one.graph) for one in races):
            return original.repeat_s
        return self._measure_repeat(original)

    @property
    def _first_seed(self) -> int:
        return race.FIRST_SEED + self.main.default.train.seed

    def _repeat(self, original: Trial, seed: int) -> Trial:
        """Return a training of a graph with another seed, and the fold that goes with it."""
        graph, folds = with_seed(original.graph, seed), self.space.search.folds
        fold = None if folds is None else (seed - self._first_seed) % folds
        return self._start(graph, canonical_key(graph), race_of=original.number, fold=fold)

    @property
    def _race_s(self) -> float | None:
        """When the race begins, in seconds of the budget; None without one.

        It is long enough for a new seed of whoever may win, with new teachers.
        """
        end_s, share = self.end_s, self.space.search.race_share
        if end_s is None or not share:
            return end_s
        once_s = min(self._longest_repeat_s(), MOST_OF_RACE * end_s)
        return end_s - max(share * end_s, once_s)

    def _race_allowance_s(self) -> float:
        """Return the device seconds of the whole race: its share of all there are.

        Where the trials are counted, these are what they took and the race itself, else the budget.
        """
        share, end_s = self.space.search.race_share, self.end_s
        if end_s is not None and self.planned is None:
            return share * end_s * self.at_once
        spent_s = sum(trial.train_s for trial in self.trials if trial.race_of is None)
        return share / (1 - share) * spent_s

    def _can_race(self, cost_s: float, allowance_s: float, races: Sequence[Trial]) -> bool:
        """Return whether there is time for another training of the race that takes `cost_s`."""
        end_s = self.end_s
        if end_s is not None and (self.now_s + cost_s > end_s or self.planned is None):
            return self.now_s + cost_s <= end_s
        costs = {trial.number: trial.train_s for trial in self.trials}
        known = sum(
            costs[one.race_of or 0] if one.state == "running" else one.train_s for one in races
        )
        return 0 < known + cost_s <= allowance_s

    def _start(self, graph: Graph, graph_key: str, **known: Any) -> Trial:
        number = self.trials[-1].number + 1 if self.trials else 1
        own, folds = graph.with_needed_weights(), self.space.search.folds
        if folds is not None:  # baselines are compared with each other, so on one fold
            fold = 0 if "baseline" in known else number % folds
            known = {"folds": folds, "fold": fold, **known}
        trial = Trial(number, own, graph_key, metric=self.metric, **known)
        self._add(trial)
        return trial

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._by_key[trial.key] = trial

    def _tell_samplers(self, trial: Trial) -> None:
        """Tell the samplers of a trial; of a baseline only at its full budget, which others lack.

        Another seed of a known graph tells nothing of the space. Where trials have folds, the
        samplers hear of them once the first baseline has told what these are worth.
        """
        if trial.race_of is None:
            self._untold.append(trial)
        first, _, ended = count_fold_runs(self.trials)
        pending = first is not None and first.state in ("running", "finished")
        if pending and ended < (self.space.search.folds or 0):
            return
        for each in self._untold:
            for arm in filter(None, (self.main, self.alone)):
                arm.learn(each, self._judge(each))
        self._untold.clear()
