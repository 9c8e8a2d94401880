"""Proposes what a search trains: baselines, points of the space, and a race between the best.

It answers to a budget, too: nothing begins that would not end in time. It knows neither Ray nor the
clock, so that a test can replay a whole search.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key, check_trainable, with_fold, with_seed
from ktg.searching import race
from ktg.searching.arms import STUBBORN, Arm, Arms
from ktg.searching.baselines import (
    COPIES,
    DISTILLATION,
    ENSEMBLE,
    baselines,
    can_distil_ensemble,
    plans_ensemble,
)
from ktg.searching.budget import Reserve, Timetable, measure_repeat
from ktg.searching.contestants import Contestant
from ktg.searching.folds import count_fold_runs
from ktg.searching.preflight import vary_each_hole
from ktg.searching.prior import Prior
from ktg.searching.sampler import Sampler
from ktg.searching.trial import TUNED_ALONE, Duplicate, Trial
from ktg.searching.trials import TrialQueue

MOST_LATE = 2 * STUBBORN  # points of an arm without time for them, after which no more are drawn


class SearchQueue(TrialQueue):
    """The trials of a search: its baselines, points of the space, and a race between the best.

    Nothing is trained twice: a point whose graph has a trial already, by its canonical form, is
    answered with the result of that trial.

    trials, duplicates: those of an earlier process, which this one goes on with; what was running
    then is proposed first, and what its budget cut off, as far as there is time for that now.
    reserve: what is left of the budget for the time after the search.
    prior: what the samplers learn of earlier searches.
    images: how many judge one training, None where not known.
    arms: what its points are drawn from. time: when it ends.
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
        self.images, self.race_share = images, space.search.race_share
        self.time = Timetable(self, space.search.budget_s, reserve or Reserve())
        self.arms = Arms(space, len(trials), prior)
        self.duplicates.extend(duplicates)
        self._by_key: dict[str, Trial] = {}
        self._ensemble = first.pop(ENSEMBLE, None)
        self._baselines = {name: (graph, canonical_key(graph)) for name, graph in first.items()}
        self._opening = deque(space.search.opening)
        again = [one for one in trials if one.state == "running" or self._is_cut_off(one)]
        self._resumed, numbers = deque(again), {one.number for one in again}
        for trial in trials:
            self._add(trial)
            if trial.number not in numbers:
                self.arms.learn(trial, self.trials, self.fold_effects)
        self.arms.meet(self.searched, self.duplicates)

    @property
    def most_epochs(self) -> int:
        """The epochs of the longest training."""
        graphs = (graph for arm in self.arms for graph in vary_each_hole(arm.space))
        return max(graph.train.epochs for graph in graphs)

    @property
    def sampler(self) -> Sampler:
        """The sampler of the whole space."""
        return self.arms.main.sampler

    @property
    def exhausted(self) -> bool:
        """Whether every graph of the space that can be trained was."""
        return self._is_drawn and self.sampler.has_met_all

    @property
    def ran_dry(self) -> bool:
        """Whether no more graphs were drawn, as the last many were known, but maybe not all are."""
        return self._is_drawn and not self.sampler.has_met_all

    @property
    def _is_drawn(self) -> bool:
        return self.arms.main.exhausted and not self.arms.main.late

    def propose(self) -> Trial | None:
        """Return the next trial to train, None when there is nothing new to try (yet)."""
        while self._resumed:
            if self._take_up(trial := self._resumed.popleft()):
                return trial
        for name, (graph, key) in self._baselines.items():
            if key not in self._by_key and self._fits(graph, self.end_s, 0):
                return self._start(graph, key, baseline=name, values=self.space.locate(graph))
        for propose in (self._propose_ensemble, self._propose_fold):
            if (learnt := propose()) is not None:
                return learnt
        for arm in self.arms.take_turns(self.searched):
            if arm.late_since == len(self.closed) or not self._fits_arm(arm.default, arm):
                continue
            drawn = self._propose_opening() if arm is self.arms.main else None
            drawn = drawn or self._propose_of(arm)
            if drawn is not None:
                return drawn
        return self._propose_repeat()

    @property
    def expects_more(self) -> bool:
        """Whether what runs may be worth a place in the race, or the race more time.

        Or whether it may show that there is time for a baseline after all.
        """
        running = any(trial.race_of is None for trial in self.in_state("running"))
        waits = any(key not in self._by_key for _, key in self._baselines.values())
        return running and (self.race_share > 0 or waits)

    def close(self, trial: Trial, reason: str | None = None) -> None:
        """End a trial, and let the samplers learn from it and its duplicates."""
        super().close(trial, reason)
        self.arms.learn(trial, self.trials, self.fold_effects)

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
        """Whether `distilled ensemble` was left out."""
        wanted = self.space.search.baselines and can_distil_ensemble(self.space)
        return wanted and not any(trial.baseline == ENSEMBLE for trial in self.trials)

    @property
    def lost_ensemble(self) -> bool:
        """Whether it was left out as `distillation` failed, by which its time is reckoned.

        Else it would have been too large a part of the search.
        """
        known = self._distillation
        failed = known is not None and known.state == "failed"
        return failed and self.lacks_ensemble and plans_ensemble(self.space)

    @property
    def _distillation(self) -> Trial | None:
        """The baseline `distillation`; of two, as where weights have gone, the later one counts."""
        return next((one for one in reversed(self.trials) if one.baseline == DISTILLATION), None)

    @property
    def late_baselines(self) -> list[str]:
        """The baselines that the budget had no time for: they were left out, or cut off."""
        if self.end_s is None:
            return []
        trials = {name: self._by_key.get(key) for name, (_, key) in self._baselines.items()}
        return [
            name
            for name, trial in trials.items()
            if trial is None or (self._is_cut_off(trial) and not self.time.is_too_dear(trial))
        ]

    @property
    def end_s(self) -> float | None:
        """When the search ends, in seconds of the budget; None without one."""
        return self.time.end_s

    def is_out_of_time(self, trial: Trial, last_s: float = 0.0) -> bool:
        """Return whether another epoch of a trial would end after the budget, or it is too dear."""
        return self.time.is_out_of_time(trial, last_s)

    def _is_cut_off(self, trial: Trial) -> bool:
        """Return whether a trial was stopped by the budget, and not by a scheduler."""
        by_time = self.space.search.budget_s is not None and trial.rung is None
        return by_time and trial.state == "stopped"

    def _take_up(self, trial: Trial) -> bool:
        """Let a trial of an earlier process run again; return whether there is time for it.

        One that was running goes on as if nothing had happened.
        """
        if trial.state == "stopped":
            sampled = trial.baseline is None and trial.race_of is None
            until_s = self.time.race_s if sampled else self.end_s
            if self.time.is_too_dear(trial) or not self.time.fits(trial.trained, until_s):
                self.arms.learn(trial, self.trials, self.fold_effects)
                return False
            trial.state = "running"
        # Compared is only what this process has seen: what it trained before was judged then.
        trial.scores.clear()
        return True

    def _fits(self, graph: Graph, end_s: float | None, fold: int | None) -> bool:
        """Return whether there is time for a graph before `end_s`, on its fold if there are any."""
        return self.time.fits(with_fold(graph, self.space.search.folds, fold), end_s)

    def _fits_arm(self, graph: Graph, arm: Arm) -> bool:
        """Return whether there is time for a graph of an arm before the race."""
        return self._fits(graph, self.time.race_s, self._choose_fold(arm.name))

    def _propose_ensemble(self) -> Trial | None:
        """Return the baseline `distilled ensemble`, None where there is none, or not yet.

        Of a budget it takes a part at most, by what `distillation` took.
        """
        graph, end_s = self._ensemble, self.end_s
        if graph is None:
            return None
        if end_s is not None:
            known = self._distillation
            if known is None or known.state == "running":
                return None
            cost_s = COPIES * measure_repeat(known, [known], self.time.reserve.teachers_s)
            most_s = min(self.time.dear_s, end_s - self.now_s)
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
        wanted = begun < folds and self.time.fits(first.graph, self.end_s)
        return self._repeat(first, self._first_seed + begun) if wanted else None

    def _propose_opening(self) -> Trial | None:
        """Return the next point of `search.opening` whose graph is new, None when all were.

        One that there is no time for is left out: time only gets less.
        """
        while self._opening:
            values = self.space.default() | dict(self._opening.popleft())
            try:
                graph = self.space.bind(values)
                check_trainable(graph)
            except SpecError:  # with other holes at their defaults it contradicts itself
                continue
            key = canonical_key(graph)
            if key not in self._by_key and self._fits_arm(graph, self.arms.main):
                return self._start(graph, key, values=values)
        return None

    def _propose_of(self, arm: Arm) -> Trial | None:
        """Return a trial of an arm whose graph is new and in time, None when none can be found.

        Where too many would come too late, the arm is asked again once another trial has ended.
        """
        most_late = arm.late + MOST_LATE
        for sample, values, graph in arm.samples():
            key = canonical_key(graph)
            known = self._by_key.get(key)
            if known is None:
                if self._fits_arm(graph, arm):
                    return self._start(graph, key, values=values, sample=sample, arm=arm.name)
                arm.pass_over(sample)
                if arm.late == most_late:
                    arm.late_since = len(self.closed)
                    return None
                continue
            if arm is self.arms.main:
                self.duplicates.append(Duplicate(values, known))
            self.arms.learn_duplicate(arm, sample, graph, known, self.fold_effects)
        return None

    def _propose_repeat(self) -> Trial | None:
        """Return the next trial of the race, None when it is over or nothing is known yet."""
        if not self.race_share:
            return None
        races = [trial for trial in self.trials if trial.race_of is not None]
        begun: dict[int, set[int]] = {}
        for trial in races:
            begun.setdefault(trial.race_of or 0, set()).add(trial.graph.train.seed)
        entrants = self._list_entrants(begun)
        starters = race.choose_starters(entrants, self.time.race_allowance_s())
        chosen = race.choose_next(starters, begun, self._first_seed)
        if chosen is None:
            return None
        original = next(one for one in self.trials if one.number == chosen[0].number)
        seed = chosen[1]
        again = with_seed(original.graph, seed)
        again = with_fold(again, self.space.search.folds, self._fold_of_seed(seed))
        return self._repeat(original, seed) if self.time.can_race(original, again, races) else None

    def _list_entrants(self, begun: Collection[int]) -> list[Contestant]:
        """Return who may take part in the race, with the teachers that each new seed of it needs.

        begun: the numbers of those that have new seeds.
        """
        trials, copy_s = {trial.number: trial for trial in self.trials}, self.time.copy_s
        keys = {one.number: trials[one.number].seedless_key for one in self.contestants}
        return [
            replace(
                one,
                teachers=trials[one.number].seeded_teachers,
                making_s=trials[one.number].copies * copy_s,
            )
            for one in race.leave_out_twins(self.contestants, keys, begun)
        ]

    @property
    def _first_seed(self) -> int:
        """The first seed of the race, above all those of the space."""
        hole, seed = self.space.holes.get("train.seed"), self.arms.main.default.train.seed
        highest: int = seed if hole is None else max(hole.options_to_check())
        return race.FIRST_SEED + highest

    def _repeat(self, original: Trial, seed: int) -> Trial:
        """Return a training of a graph with another seed, and the fold that goes with it."""
        graph, fold = with_seed(original.graph, seed), self._fold_of_seed(seed)
        return self._start(graph, canonical_key(graph), race_of=original.number, fold=fold)

    def _fold_of_seed(self, seed: int) -> int | None:
        folds = self.space.search.folds
        return None if folds is None else (seed - self._first_seed) % folds

    def _start(self, graph: Graph, graph_key: str, **known: Any) -> Trial:
        number = self.trials[-1].number + 1 if self.trials else 1
        own, folds = graph.with_needed_weights(), self.space.search.folds
        if folds is not None:  # baselines are compared with each other, so on one fold
            fold = 0 if "baseline" in known else self._choose_fold(known.get("arm"))
            known = {"folds": folds, "fold": fold, **known}
        trial = Trial(number, own, graph_key, metric=self.metric, **known)
        self._add(trial)
        return trial

    def _choose_fold(self, arm: str | None) -> int | None:
        """Return the fold of an arm's next trial, so that each arm meets all folds alike."""
        folds = self.space.search.folds
        if folds is None:
            return None
        return (1 + sum(one.arm == arm for one in self.searched)) % folds

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._by_key[trial.key] = trial
