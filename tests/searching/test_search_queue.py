"""Whole searches replayed without training: nothing twice, nothing lost, the right winner."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace, parse_space
from ktg.graph.canonical import (
    canonical_key,
    check_trainable,
    seedless_key,
    teachers,
    with_seed,
)
from ktg.reporting.cost import sum_costs
from ktg.searching.baselines import FEWEST_TRIALS
from ktg.searching.baselines import baselines as baselines_of
from ktg.searching.budget import Reserve
from ktg.searching.history import read_last_search
from ktg.searching.race import FEWEST_ROUNDS
from ktg.searching.recorder import SearchRecorder
from ktg.searching.result import summarize_search
from ktg.searching.resume import ResumedSearch
from ktg.searching.sampler import Outcome
from ktg.searching.search_queue import MOST_LATE, SearchQueue
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import Experiment, MemoryTracker, RunRecord

# Two equal nodes, gates open or cut: with n1 -> n0 cut only label -> n0 is left to train n0; with
# it open, each of the other three edges may be open or not.
GRAPHS = 1 + 2**3
UNTRAINABLE = Outcome("failed", 0.0, 0)
PLAIN = {"alone_share": 0, "race_share": 0}  # the whole space alone, and no race


def space(
    trials: int | None,
    nodes: int = 2,
    *,
    baselines: bool = True,
    gates=("through", "cutoff"),
    epochs=4,
    lr=False,
    **search,
):
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": epochs, **({"lr": {"log": [0.01, 0.1]}} if lr else {})},
            "nodes": {f"n{i}": {"model": "resnet8"} for i in range(nodes)},
            "edges": {
                "label -> any": {"gate": {"choice": list(gates)}},
                "any -> any": {"gate": {"choice": list(gates)}},
            },
            "search": {"trials": trials, "baselines": baselines, **PLAIN, **search},
        }
    )


def accuracy_of(trial) -> float:
    return int(trial.key[:6], 16) / 0xFFFFFF


def run(
    queue: SearchQueue, *, at_once: int = 1, seed: int = 0, ends=("finished", "stopped", "failed")
) -> None:
    """Play a search with trials that end in random order and in random ways."""
    chance, running = random.Random(seed), []
    while True:
        while len(running) < at_once and (trial := queue.propose()):
            running.append(trial)
        if not running:
            return
        trial = running.pop(chance.randrange(len(running)))
        end = "finished" if trial.baseline else chance.choice(ends)
        for epoch in range(1, 5 if end == "finished" else 3):
            metrics = {"val_accuracy": accuracy_of(trial), "val_loss": 1.0}
            queue.record_epoch(trial, epoch, metrics, 1.0)
        queue.close(trial, "broken" if end == "failed" else None)
        assert trial.state == end


@pytest.mark.slow
@given(
    seed=st.integers(0, 50), at_once=st.integers(1, 4), sampler=st.sampled_from(["random", "tpe"])
)
def test_no_graph_is_trained_twice_and_every_proposal_is_accounted_for(seed, at_once, sampler):
    queue = SearchQueue(space(6, seed=seed, sampler=sampler))
    run(queue, at_once=at_once, seed=seed)
    assert max(Counter(trial.key for trial in queue.trials).values()) == 1
    assert all(canonical_key(trial.graph) == trial.key for trial in queue.trials)
    assert all(duplicate.of in queue.trials for duplicate in queue.duplicates)
    assert not queue.in_state("running")
    assert not queue.arms._waiting


def test_baselines_come_first_and_the_winner_is_never_worse():
    queue = SearchQueue(space(5))
    run(queue, ends=("finished",))
    assert [trial.baseline for trial in queue.trials[:3]] == [
        "alone",
        "distillation",
        "mutual learning",
    ]
    finished = queue.in_state("finished")
    assert queue.best.accuracy == max(accuracy_of(trial) for trial in finished)
    assert queue.best in finished


def test_the_distilled_ensemble_comes_after_the_other_baselines():
    queue = SearchQueue(space(FEWEST_TRIALS, 3, sampler="random"))
    run(queue, ends=("finished",))
    first = [trial.baseline for trial in queue.trials[:5]]
    assert first == ["alone", "distillation", "mutual learning", "distilled ensemble", None]
    assert len(queue.trials) == queue.planned == FEWEST_TRIALS + 4
    assert not queue.lacks_ensemble
    assert SearchQueue(space(FEWEST_TRIALS - 1, 3)).lacks_ensemble


@pytest.mark.parametrize(
    ("budget_s", "made_s", "fits"),
    [(500, 0, True), (300, 0, False), (500, 30, False), (1500, 30, True)],
)
def test_of_a_budget_the_distilled_ensemble_takes_an_eighth_at_most(budget_s, made_s, fits):
    """A training takes 20 s; three teachers are reckoned as three times `distillation`."""
    queue = SearchQueue(space(None, 3, sampler="random", budget=f"{budget_s}s"))
    play(queue, noisy, epoch_s=5.0, made_s=made_s)
    first = [trial.baseline for trial in queue.trials[:4]]
    assert first[:3] == ["alone", "distillation", "mutual learning"]
    assert (first[3] == "distilled ensemble") is fits
    assert queue.lacks_ensemble is not fits


def test_the_distilled_ensemble_waits_until_it_is_known_what_a_teacher_costs():
    queue = SearchQueue(space(None, 3, sampler="random", budget="1000s"))
    several = [queue.propose() for _ in range(4)]
    assert several[3].baseline is None
    taught = several[1]
    assert taught.baseline == "distillation"
    for epoch in range(1, 5):
        queue.record_epoch(taught, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
    queue.close(taught)
    assert queue.propose().baseline == "distilled ensemble"
    assert queue.propose().baseline is None


def test_of_two_distillations_the_later_one_says_what_their_ensemble_takes():
    found = space(None, 3, sampler="random", budget="1000s")
    before = SearchQueue(found)
    gone = [before.propose() for _ in range(2)][1]
    gone.state, gone.key = "failed", "of weights that are gone"
    queue = SearchQueue(found, [gone])
    assert queue.lost_ensemble
    later = [queue.propose() for _ in range(2)][1]
    assert later.baseline == "distillation"
    finish(queue, later)
    assert not queue.lost_ensemble
    assert [queue.propose().baseline for _ in range(2)] == ["mutual learning", "distilled ensemble"]


@pytest.mark.parametrize(("epoch_s", "dear"), [(2.0, False), (4.0, True)])
def test_mutual_learning_takes_an_eighth_of_a_budget_at_most(epoch_s, dear):
    queue = SearchQueue(space(None, 3, sampler="random", budget="100s"))
    begun = {trial.baseline: trial for trial in (queue.propose() for _ in range(3))}
    assert begun["mutual learning"].graph.train.epochs == 4
    for trial in begun.values():
        queue.record_epoch(trial, 1, {"val_accuracy": 0.5, "val_loss": 1.0}, epoch_s)
    ended = {name for name, trial in begun.items() if queue.is_out_of_time(trial)}
    assert ended == ({"mutual learning"} if dear else set())
    counted = SearchQueue(space(12, 3))
    mutual = [counted.propose() for _ in range(3)][2]
    counted.record_epoch(mutual, 1, {"val_accuracy": 0.5, "val_loss": 1.0}, 1000.0)
    assert not counted.is_out_of_time(mutual)


def test_what_came_before_the_first_epoch_neither_ends_a_training_nor_keeps_others_from_it():
    """Teachers take 100 s to be made, an epoch 5 s: of 360 s there is enough for all baselines."""
    queue = SearchQueue(space(None, 3, sampler="random", budget="360s"))
    first = [queue.propose() for _ in range(2)]
    assert first[1].baseline == "distillation"
    metrics = {"val_accuracy": 0.5, "val_loss": 1.0, "epoch_s": 5.0}
    for now_s, trial, seconds in ((10.0, first[0], 10.0), (110.0, first[1], 105.0)):
        queue.advance(now_s)
        assert not queue.is_out_of_time(trial, 5.0)
        queue.record_epoch(trial, 1, dict(metrics), seconds)
    mutual = queue.propose()
    assert mutual.baseline == "mutual learning"
    queue.record_epoch(mutual, 1, dict(metrics), 60.0)  # its networks were built
    assert not any(queue.is_out_of_time(trial) for trial in queue.trials)
    assert first[1].making_s == 100.0
    whole = SearchQueue(space(None, 3, sampler="random", budget="360s"))
    play(whole, noisy, epoch_s=5.0, at_once=2, made_s=100.0)
    assert {trial.state for trial in whole.trials if trial.baseline} == {"finished"}


def test_a_baseline_that_an_estimate_left_no_time_for_is_not_lost_when_that_was_wrong():
    queue = SearchQueue(space(None, 3, sampler="random", budget="100s"))
    alone = queue.propose()
    metrics = {"val_accuracy": 0.5, "val_loss": 1.0, "epoch_s": 30.0}  # it was compiled
    queue.record_epoch(alone, 1, metrics, 30.0)
    queue.advance(30.0)
    assert (queue.propose(), queue.race_share) == (None, 0)
    assert queue.expects_more  # else its driver would ask no more
    for epoch in (2, 3, 4):
        queue.record_epoch(alone, epoch, {**metrics, "epoch_s": 1.0}, 1.0)
    queue.close(alone)
    queue.advance(33.0)
    assert [queue.propose().baseline for _ in range(2)] == ["distillation", "mutual learning"]


def test_a_small_space_is_exhausted_and_every_graph_in_it_trained_once():
    queue = SearchQueue(space(10_000, baselines=False, sampler="random"))
    run(queue, ends=("finished",))
    assert len(queue.trials) == GRAPHS
    assert (queue.exhausted, queue.ran_dry) == (True, False)


def test_a_space_of_which_most_is_unseen_is_not_exhausted_by_many_draws_in_vain():
    """Where n1 -> n0 is cut, its weight makes no other graph."""
    one = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {
                "label -> any": {},
                "n1 -> n0": {"gate": "cutoff", "weight": {"int": [1, 1_000_000]}},
            },
            "search": {"trials": 12, "baselines": False, "sampler": "random", **PLAIN},
        }
    )
    queue = SearchQueue(one)
    run(queue, ends=("finished",))
    assert len(queue.trials) == 1
    assert (queue.exhausted, queue.ran_dry) == (False, True)


def test_a_duplicate_of_a_running_trial_waits_for_its_result():
    queue = SearchQueue(space(10_000, baselines=False, sampler="random"))
    running = [queue.propose() for _ in range(GRAPHS)]
    assert queue.propose() is None  # everything else is a duplicate of one that runs
    assert queue.duplicates
    for trial in running:
        queue.record_epoch(trial, 4, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        queue.close(trial)
    assert not queue.arms._waiting
    assert not queue.sampler._asked  # the sampler knows of every point what became of it


def test_targets_that_nothing_teaches_are_never_proposed():
    queue = SearchQueue(space(6, baselines=False, sampler="random"))
    run(queue)
    assert len(queue.sampler._study.trials) > len(queue.trials) + len(queue.duplicates)
    for trial in queue.trials:
        assert any(
            target == "n0" and edge.gate != "cutoff"
            for (_, target), edge in trial.graph.edges.items()
        )


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_saved_is_counted(at_once):
    queue = SearchQueue(space(10_000, baselines=False, sampler="random"))
    run(queue, at_once=at_once, ends=("stopped",))
    assert len(queue.in_state("stopped")) == GRAPHS
    assert len(queue.duplicates) > 10


ENDS = ("finished", "stopped", "failed")


class Repeating:
    """A sampler that proposes a script, and takes down what it is told of each proposal."""

    is_grid = True
    has_met_all = True

    def __init__(self, script: list[dict]) -> None:
        self.script = iter(script)
        self.asked: list[dict] = []
        self.told: dict[int, Outcome] = {}

    def ask(self, *, evenly: bool = False):
        point = next(self.script, None)
        if point is None:
            return None
        self.asked.append(point)
        return len(self.asked) - 1, point

    def tell(self, number: int, outcome: Outcome, acting: object = None) -> None:
        assert number < len(self.asked)
        assert number not in self.told
        self.told[number] = outcome

    def add(self, values: dict, outcome: Outcome, acting: object = None) -> None:
        pass


class Stored(Experiment):
    """What a memory tracker holds, as a report reads it from a store."""

    def __init__(self, tracker: MemoryTracker) -> None:
        self.name, self.tracker = "kept", tracker

    def searches(self) -> list[RunRecord]:
        return [self.record(id_) for id_, run in self.tracker.runs.items() if run.parent is None]

    def trials(self, search: RunRecord) -> list[RunRecord]:
        return [
            self.record(id_) for id_, run in self.tracker.runs.items() if run.parent == search.id
        ]

    def history(self, run: RunRecord, metric: str) -> list[tuple[int, float]]:
        return self.tracker.runs[run.id].history(metric)

    def read_artifact(self, run: RunRecord, name: str) -> str:
        return self.tracker.runs[run.id].artifacts[name]

    def record(self, id_: str) -> RunRecord:
        run = self.tracker.runs[id_]
        metrics = {name: value for _, values in run.metrics for name, value in values.items()}
        params = {name: str(value) for name, value in run.params.items()}
        times = {"start_s": 0.0, "end_s": 1.0, "status": "FINISHED"}
        return RunRecord(
            id=id_, run=id_, name=run.name, params=params, tags=run.tags, metrics=metrics, **times
        )


class Played:
    """A scripted search: some trials at once, ending in drawn ways, cut short and resumed."""

    def __init__(self, space, draw, at_once: int) -> None:
        self.space, self.draw, self.at_once = space, draw, at_once
        self.tracker = MemoryTracker()

    def begin(self, script: list[dict], past: ResumedSearch | None = None) -> None:
        self.queue = (
            SearchQueue(self.space, past.trials, past.duplicates)
            if past
            else SearchQueue(self.space)
        )
        self.queue.arms.main.sampler = self.sampler = Repeating(script)
        self.recorder = SearchRecorder(self.tracker, self.queue, "played", {}, past)
        self.running: list = []

    def fill(self) -> None:
        while len(self.running) < self.at_once and (trial := self.queue.propose()):
            self.recorder.on_start(trial)
            self.running.append(trial)

    def step(self) -> None:
        """Train one trial by an epoch, or end it."""
        trial = self.running[self.draw(st.integers(0, len(self.running) - 1))]
        end = (
            "finished"
            if trial.baseline == "alone"
            else self.draw(st.sampled_from((None, None, *ENDS)))
        )
        for _ in range(trial.graph.train.epochs if end == "finished" else 1):
            if trial.epoch < trial.graph.train.epochs and not (
                end == "failed" or self.stops(trial, end)
            ):
                metrics = {"val_accuracy": accuracy_of(trial), "val_loss": 1.0}
                assert self.queue.record_epoch(trial, trial.epoch + 1, metrics, 1.0)
                self.recorder.on_epoch(trial)
        if end is not None or trial.epoch == trial.graph.train.epochs:
            self.running.remove(trial)
            trial.rung = trial.epoch  # as if a scheduler had stopped it
            self.queue.close(trial, "broken" if end == "failed" else None)
            self.recorder.on_end(trial)

    def stops(self, trial, end: str | None) -> bool:
        """Whether a trial is stopped as it is: after at least one epoch, and before its last."""
        return end == "stopped" and 0 < trial.epoch < trial.graph.train.epochs

    def to_the_end(self) -> None:
        self.fill()
        while self.running:
            self.step()
            self.fill()

    def killed(self) -> ResumedSearch:
        """Return what the next process reads: no samples of this one, no unwritten duplicates."""
        again = {trial.number: replace(trial, sample=None) for trial in self.queue.trials}
        written = self.queue.duplicates[: self.recorder._duplicates]
        duplicates = [replace(one, of=again[one.of.number]) for one in written]
        runs = dict(self.recorder._runs)
        stored = StoredSearch(None, Stored(self.tracker).record(self.recorder.parent))
        return ResumedSearch(stored, self.space, list(again.values()), (), duplicates, runs)


@pytest.mark.slow
@settings(max_examples=60)
@given(draw=st.data(), baselines=st.booleans(), at_once=st.integers(1, 5))
def test_a_sampler_that_repeats_itself_costs_nothing_and_the_savings_are_a_plain_recount(
    draw, baselines, at_once
):
    """Duplicates of trials in every state, in a search that may be killed in the middle."""
    one = space(10_000, baselines=baselines, epochs={"choice": [4, 2]})
    points = [
        dict(zip(one.holes, values, strict=True))
        for values in product(*(h.options for h in one.holes.values()))
    ]
    script = draw.draw(
        st.lists(st.sampled_from(points[:: draw.draw(st.sampled_from((1, 3)))]), max_size=40)
    )
    played = Played(one, draw.draw, at_once)
    played.begin(script)
    asked_before = lost = 0
    if draw.draw(st.booleans()):
        for _ in range(draw.draw(st.integers(0, 8))):
            played.fill()
            if played.running:
                played.step()
        asked_before, past = len(played.sampler.asked), played.killed()
        lost = len(played.queue.duplicates) - len(past.duplicates)
        played.begin(script[asked_before:], past)
    played.to_the_end()
    queue, sampler = played.queue, played.sampler

    # nothing is trained twice, and what is trained is what the script names
    expected = {}
    for graph in baselines_of(one).values() if baselines else ():
        expected.setdefault(canonical_key(graph), graph)
    before, after = keys_of(one, script[:asked_before]), keys_of(one, script[asked_before:])
    proposed = before[: len(before) - lost] + after
    assert Counter(trial.key for trial in queue.trials) == Counter({*expected, *proposed})
    assert all(trial.epoch <= trial.graph.train.epochs for trial in queue.trials)
    assert len(queue.duplicates) == len(proposed) - len({*proposed} - expected.keys())

    # every question is answered once, with what became of that graph
    by_key = {trial.key: trial for trial in queue.trials}
    assert sampler.asked == script[asked_before:]
    for number, point in enumerate(sampler.asked):
        graph = bound(one, point)
        expected_outcome = UNTRAINABLE if graph is None else by_key[canonical_key(graph)].outcome
        assert sampler.told[number] == expected_outcome
    assert len(sampler.told) == len(sampler.asked)

    # what was saved is what a plain recount says, and what the report reads from the records
    result = summarize_search(queue, "played", 1.0)
    played.recorder.end(result)
    stopped = sum(e.graph.train.epochs - e.epoch for e in queue.trials if e.state == "stopped")
    repeated = [by_key[k] for k in expected_duplicates(expected, proposed)]
    assert result.duplicates == len(repeated)
    assert result.epochs_saved == stopped + sum(trial.epoch for trial in repeated)
    assert result.epochs == sum(
        len(run.history("val_accuracy")) for run in played.tracker.runs.values()
    )
    if result.best is not None:
        spent = sum_costs(read_last_search(Stored(played.tracker)))
        saved = spent["saved"]
        assert (spent["epochs"], spent["saved"]["duplicates"]["trials"]) == (
            result.epochs,
            result.duplicates,
        )
        assert saved["stopping"]["epochs"] == stopped
        assert saved["stopping"]["epochs"] + saved["duplicates"]["epochs"] == result.epochs_saved


def keys_of(one: SearchSpace, points: list[dict]) -> list[str]:
    """Return the keys of the points whose target is taught."""
    graphs = (bound(one, point) for point in points)
    return [canonical_key(graph) for graph in graphs if graph is not None]


def bound(one: SearchSpace, point: dict) -> Graph | None:
    """Return the graph of a point, None where nothing teaches its target."""
    graph = one.bind(point)
    try:
        check_trainable(graph)
    except SpecError:
        return None
    return graph


def expected_duplicates(known: Iterable[str], proposed: list[str]) -> list[str]:
    """Return the keys of all proposals that are not the first of their kind."""
    seen, found = set(known), []
    for one in proposed:
        if one in seen:
            found.append(one)
        seen.add(one)
    return found


def play(
    queue: SearchQueue, score, epoch_s: float = 1.0, at_once: int = 1, made_s: float = 0.0
) -> None:
    """Play a search by a clock; an epoch takes `epoch_s` in each slot, and ends with `score`.

    It is what Ray does: it asks after each epoch, and again later where nothing is to do yet. Who
    first asks for a teacher makes it in `made_s`, and others that want it wait: one for each seed.
    """
    queue.time.at_once, now, ends, made_at = at_once, 0.0, {}, {}
    while True:
        queue.advance(now)
        while len(ends) < at_once and (trial := queue.propose()):
            wait_s = 0.0
            if made_s and teachers(trial.graph):
                ready = made_at.setdefault(trial.graph.train.seed, now + made_s)
                wait_s = max(0.0, ready - now)
            ends[trial.number] = (now + wait_s + epoch_s, trial, now)
        if not ends:
            assert not queue.expects_more
            return
        now, trial, began = min(ends.values(), key=lambda each: each[0])
        queue.advance(now)
        epochs = trial.graph.train.epochs
        stop = queue.is_out_of_time(trial, epoch_s)
        epoch = min(trial.epoch + 1, epochs)
        metrics = {"val_accuracy": score(trial), "val_loss": 1.0, "epoch_s": epoch_s}
        assert queue.record_epoch(trial, epoch, metrics, now - began)
        ends[trial.number] = (now + epoch_s, trial, now)
        if stop or epoch == epochs:
            del ends[trial.number]
            queue.close(trial)


def noisy(trial) -> float:
    """Return a graph's own quality and the luck of its seed, both up to a half."""
    own = int(trial.key[:6], 16) if trial.race_of is None else trial.race_of * 7919 % 0xFFFFFF
    return (own / 0xFFFFFF + random.Random(trial.key).random()) / 2


def test_a_third_of_the_trials_goes_to_the_target_alone():
    queue = SearchQueue(space(9, 3, alone_share=1 / 3, sampler="random", lr=True))
    play(queue, noisy)
    searched = queue.searched
    assert len(searched) == 9
    assert [trial.arm for trial in searched] == 3 * [None, None, "tuned alone"]
    assert queue.tuned_alone in queue.in_state("finished")
    assert not [trial for trial in queue.trials if trial.race_of]


def test_the_race_spends_its_quarter_on_new_seeds_of_the_best_and_of_rivals():
    queue = SearchQueue(space(20, 3, race_share=0.25, alone_share=0.2, sampler="random", lr=True))
    play(queue, noisy)
    by_number = {trial.number: trial for trial in queue.trials}
    raced = [trial for trial in queue.trials if trial.race_of is not None]
    spent = sum(trial.train_s for trial in queue.trials)
    assert 0.15 < sum(trial.train_s for trial in raced) / spent <= 0.25
    for trial in raced:
        original = by_number[trial.race_of]
        assert with_seed(trial.graph, original.graph.train.seed) == original.graph
        assert trial.graph.train.seed >= 101
    assert any(by_number[trial.race_of].is_guaranteed for trial in raced)
    assert len({trial.key for trial in queue.trials}) == len(queue.trials)
    winner = next(one for one in queue.contestants if one.number == queue.best.number)
    assert winner.runs > 0
    assert winner.mean == max(one.mean for one in queue.contestants if one.runs >= winner.runs)


def test_without_a_share_there_is_no_race_even_where_time_is_left():
    queue = SearchQueue(space(None, sampler="grid", budget="1000s"))
    play(queue, noisy)
    assert queue.exhausted
    assert queue.now_s < 100
    assert not [trial for trial in queue.trials if trial.race_of is not None]
    assert queue.best.score == max(trial.score for trial in queue.in_state("finished"))


def test_a_race_has_three_rounds_though_each_of_them_makes_teachers():
    queue = SearchQueue(space(40, 3, race_share=0.25, sampler="random"))
    play(queue, taught_well, made_s=6.0)
    by_number = {trial.number: trial for trial in queue.trials}
    begun = Counter(trial.race_of for trial in queue.trials if trial.race_of is not None)
    assert any(teachers(by_number[number].graph) for number in begun)
    assert min(begun.values()) >= FEWEST_ROUNDS


def test_graphs_that_differ_in_their_seed_alone_race_as_one():
    """The seeds of the search reach those that a race begins with where there is one seed."""
    gates = {"choice": ["through", "linear", "cutoff"]}
    one = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4, "seed": {"int": [0, 300]}},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {"label -> any": {}, "n1 -> n0": {"gate": gates}},
            "search": {"trials": 30, "sampler": "random", "alone_share": 0, "race_share": 0.4},
        }
    )
    queue = SearchQueue(one)
    play(queue, noisy)
    by_number = {trial.number: trial for trial in queue.trials}
    graphs = {seedless_key(trial.graph) for trial in queue.searched}
    assert len(graphs) < len(queue.searched)
    raced = [trial for trial in queue.trials if trial.race_of is not None]
    starters = {trial.race_of for trial in raced}
    assert len({by_number[number].seedless_key for number in starters}) == len(starters) > 1
    assert len({trial.key for trial in queue.trials}) == len(queue.trials)
    assert min(trial.seed for trial in raced) > 300


def test_a_race_that_was_cut_short_goes_on_with_the_seeds_that_are_left():
    settings = {"race_share": 0.4, "sampler": "random", "lr": True}
    whole = SearchQueue(space(8, **settings))
    play(whole, noisy)
    raced = [trial for trial in whole.trials if trial.race_of is not None]
    cut = whole.trials[: whole.trials.index(raced[1])]
    again = SearchQueue(space(8, **settings), [replace(trial, sample=None) for trial in cut])
    play(again, noisy)
    assert [trial.key for trial in again.trials] == [trial.key for trial in whole.trials]
    assert again.best.key == whole.best.key


@pytest.mark.parametrize(("reserve", "at_once"), [(None, 1), (Reserve(1.0, 5.0), 2)])
def test_a_search_with_a_budget_ends_in_time_and_leaves_what_is_reserved(reserve, at_once):
    settings = {"budget": "200s", "race_share": 0.25, "alone_share": 1 / 3, "lr": True}
    queue = SearchQueue(space(None, 3, sampler="random", **settings), reserve=reserve)
    play(queue, noisy, epoch_s=2.0, at_once=at_once)
    end_s = 200 - (0 if reserve is None else reserve.needed_s(queue.best.repeat_s))
    assert end_s - 2 * 12 <= queue.now_s <= end_s
    stopped = queue.in_state("stopped")
    assert len(stopped) <= at_once  # what had begun, and was longer than was to be expected
    raced = [trial for trial in queue.trials if trial.race_of is not None]
    assert raced
    assert sum(trial.train_s for trial in raced) <= 0.35 * at_once * end_s


def taught_well(trial) -> float:
    """Return a quality that every graph with a teacher has more of."""
    return (noisy(trial) + bool(teachers(trial.graph))) / 2


def test_a_teacher_that_takes_long_costs_neither_the_race_nor_the_time_that_is_left():
    reserve, made_s = Reserve(1.25, 15.0, 50.0), 60.0
    settings = {"budget": "360s", "race_share": 0.25, "alone_share": 1 / 3, "lr": True}
    queue = SearchQueue(space(None, 3, sampler="random", **settings), reserve=reserve)
    play(queue, taught_well, epoch_s=5.0, at_once=2, made_s=made_s)
    best = queue.best
    assert teachers(best.graph)
    assert best.repeat_s == 20
    needed_s = 1.25 * (20 + made_s) + 15
    # Another seed needs a teacher of its own, for which there may be no time any more.
    assert 360 - needed_s - (20 + made_s) <= queue.now_s <= 360 - needed_s
    numbers = {trial.race_of for trial in queue.trials if trial.race_of is not None}
    raced = [trial for trial in queue.trials if trial.number in numbers]
    assert any(teachers(trial.graph) for trial in raced)
    assert any(trial.train_s > 60 for trial in raced)  # also who paid for it
    used = sum(trial.train_s for trial in queue.trials if trial.race_of is not None)
    assert used >= 0.15 * 2 * queue.now_s


def taught_second(trial) -> float:
    """Return a quality by which the target alone is best, and whatever is taught next."""
    alone = 1  # the number of the first baseline
    return 0.9 if alone in (trial.number, trial.race_of) else 0.8 if teachers(trial.graph) else 0.1


def test_less_is_left_for_a_last_training_that_has_all_the_cores():
    settings = {"budget": "360s", "race_share": 0.25, "alone_share": 1 / 3, "lr": True}
    one = space(None, 3, sampler="random", **settings)
    queues = [SearchQueue(one, reserve=Reserve(1.25, 15.0, 50.0)) for _ in range(2)]
    queues[1].time.gain_alone = 1.25
    for queue in queues:
        play(queue, taught_well, epoch_s=5.0, at_once=2, made_s=60.0)
    assert [queue.time.repeat_s for queue in queues] == [80.0, 64.0]
    assert [queue.end_s for queue in queues] == [360 - 15 - 100.0, 360 - 15 - 80.0]
    assert queues[1].end_s - 20 <= queues[1].now_s <= queues[1].end_s


def test_time_is_left_for_whoever_may_yet_win():
    reserve, made_s = Reserve(1.25, 15.0), 60.0
    settings = {"budget": "360s", "race_share": 0.25, "alone_share": 1 / 3, "lr": True}
    queue = SearchQueue(space(None, 3, sampler="random", **settings), reserve=reserve)
    play(queue, taught_second, epoch_s=5.0, at_once=2, made_s=made_s)
    assert queue.best.baseline == "alone"
    assert queue.time.repeat_s == 20  # of the best itself
    assert queue.now_s <= 360 - (1.25 * (20 + made_s) + 15)


def test_a_budget_below_one_training_still_has_an_end():
    queue = SearchQueue(space(None, 3, budget="3s", race_share=0.25))
    play(queue, noisy, epoch_s=1.0)
    assert queue.now_s == 3
    assert {trial.state for trial in queue.trials} == {"stopped"}


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "loss"])
def test_the_metric_says_who_is_best_and_what_the_sampler_learns(metric):
    queue = SearchQueue(space(3, baselines=False, metric=metric))
    figures = {
        "accuracy": {"val_accuracy": 0.9, "val_balanced_accuracy": 0.1, "val_loss": 2.0},
        "balanced_accuracy": {"val_accuracy": 0.1, "val_balanced_accuracy": 0.9, "val_loss": 2.0},
        "loss": {"val_accuracy": 0.1, "val_balanced_accuracy": 0.1, "val_loss": 1.0},
    }
    trials = {name: queue.propose() for name in figures}
    for name, trial in trials.items():
        for epoch in range(1, 5):
            queue.record_epoch(trial, epoch, dict(figures[name]), 1.0)
        queue.close(trial)
    assert queue.best is trials[metric]
    told = queue.sampler._study.best_trial
    assert told.number == trials[metric].sample


def test_the_opening_is_tried_first_and_counts_as_trials():
    gate = "edges.n1.n0.gate"
    cut, linear = {gate: "cutoff"}, {gate: "linear"}
    found = space(4, gates=("through", "cutoff", "linear"), opening=[cut, linear, cut])
    queue = SearchQueue(found)
    run(queue, ends=("finished",))
    own = [trial for trial in queue.trials if trial.baseline is None]
    first = [trial.graph.edges["n1", "n0"].gate for trial in own[:2]]
    # What a baseline has trained already is not trained again.
    known = {canonical_key(graph) for graph in baselines_of(found).values()}
    wanted = [
        values[gate]
        for values in (cut, linear)
        if canonical_key(found.bind(found.default() | values)) not in known
    ]
    assert first[: len(wanted)] == wanted
    assert "linear" in wanted
    assert len(own) == 4
    assert len({trial.key for trial in queue.trials}) == len(queue.trials)


def test_an_opening_that_nothing_can_be_trained_from_is_passed_over():
    shut = {"edges.label.n0.gate": "cutoff", "edges.n1.n0.gate": "cutoff"}
    queue = SearchQueue(space(2, opening=[shut]))
    run(queue, ends=("finished",))
    assert sum(trial.baseline is None for trial in queue.trials) == 2


def finish(queue: SearchQueue, trial, epoch_s: float = 1.0) -> None:
    """Train a trial to its end, by a clock that stands still."""
    for epoch in range(1, trial.graph.train.epochs + 1):
        queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, epoch_s)
    queue.close(trial)


def short_of_time(**search) -> SearchQueue:
    """Return a queue with time for 14 epochs before the race, of a space that offers 28 too."""
    lengths = {"choice": [14, 28]}
    queue = SearchQueue(space(None, epochs=lengths, budget="1000s", race_share=0.25, **search))
    for _ in range(4):
        trial = queue.propose()
        assert trial.baseline is not None
        assert trial.graph.train.epochs == 14
        finish(queue, trial)
    queue.advance(queue.time.race_s - 14)
    return queue


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_what_would_run_into_the_race_is_not_begun(sampler):
    queue = short_of_time(lr=True, sampler=sampler, opening=[{"train.epochs": 28}])
    told = len(queue.sampler._study.trials)
    begun = [queue.propose() for _ in range(20)]
    assert {one.graph.train.epochs for one in begun} == {14}
    assert all(one.sample is not None for one in begun)  # the opening was too long
    since = queue.sampler._study.trials[told:]
    assert sum(one.state.name == "FAIL" for one in since) == queue.arms.main.late > 0
    complete = {one.value for one in since if one.state.name == "COMPLETE"}
    assert complete <= {UNTRAINABLE.score}  # nothing is learnt of what was left out
    assert len(queue.searched) == 20
    waiting = {sample for each in queue.arms._waiting.values() for _, sample, _ in each}
    assert queue.sampler._asked.keys() == {one.sample for one in begun} | waiting


def test_an_opening_that_fits_comes_after_one_that_does_not():
    long, short = {"train.epochs": 28}, {"train.epochs": 14, "train.lr": 0.05}
    queue = short_of_time(lr=True, sampler="random", opening=[long, short])
    first = queue.propose()
    assert (first.graph.train.epochs, first.graph.train.lr, first.sample) == (14, 0.05, None)


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_where_only_long_graphs_are_left_few_are_drawn_until_a_trial_has_ended(sampler):
    queue = short_of_time(sampler=sampler)
    running = []
    while (trial := queue.propose()) is not None and trial.race_of is None:
        running.append(trial)
    assert {one.graph.train.epochs for one in running} == {14}
    assert not queue.exhausted  # half of the space was never trained
    asked, late = len(queue.sampler._study.trials), queue.arms.main.late
    assert late > 0
    queue.propose()
    assert (len(queue.sampler._study.trials), queue.arms.main.late) == (asked, late)
    if sampler == "grid":
        values = {canonical_key(queue.space.bind(one.values)) for one in queue.trials if one.values}
        assert len(values) == GRAPHS
    else:
        finish(queue, running[0])
        queue.propose()
        assert late < queue.arms.main.late <= late + MOST_LATE


def on_folds(trial) -> float:
    """Return a graph's own quality and, far more, that of its fold."""
    own = int(canonical_key(with_seed(trial.graph, 0))[:6], 16) / 0xFFFFFF
    return 0.5 + own / 10 + (0.0 if trial.fold is None else (0.2, -0.2, 0.0)[trial.fold])


def test_each_trial_has_a_fold_and_the_best_is_not_who_had_the_easiest():
    queue = SearchQueue(space(20, 3, folds=3, race_share=0.25, sampler="random", lr=True))
    play(queue, on_folds)
    searched, alone = queue.searched, queue.trials[0]
    assert [one.fold for one in searched] == [one.number % 3 for one in searched]
    assert {one.fold for one in queue.trials if one.baseline} == {0}
    early = [one for one in queue.trials if one.race_of == alone.number][:3]
    assert [one.number for one in early] == [4, 5, 6]  # before the sampler learns anything
    assert [one.fold for one in early] == [0, 1, 2]
    raced = [one for one in queue.trials if one.race_of is not None]
    assert {(one.seed, one.fold) for one in raced} == {
        (s, (s - 101) % 3) for s in {one.seed for one in raced}
    }
    for one in queue.trials:
        assert (one.trained.data.folds, one.trained.data.fold) == (3, one.fold)
        assert one.graph.data.folds is None
    assert queue.fold_effects == pytest.approx({0: 0.2, 1: -0.2, 2: 0.0}, abs=0.05)
    own = [one for one in queue.trials if one.race_of is None]
    assert queue.best in sorted(own, key=lambda one: one.key)[-5:]
    told = [one.value for one in queue.sampler._study.trials if one.value]
    assert len(told) > 15
    assert max(told) - min(told) < 0.25  # the folds alone are 0.4 apart


def test_without_a_fold_of_its_own_nothing_of_a_search_changes():
    plain, other = (SearchQueue(space(9, 3, race_share=0.25, lr=True)) for _ in range(2))
    play(plain, noisy)
    play(other, noisy)
    assert plain.fold_effects == {}
    assert [one.trained for one in plain.trials] == [one.graph for one in other.trials]


def test_each_arm_meets_all_folds_alike():
    queue = SearchQueue(space(18, 3, folds=3, alone_share=1 / 3, sampler="random", lr=True))
    play(queue, on_folds)
    met = Counter((one.arm, one.fold) for one in queue.searched)
    assert len(met) == 6
    for arm in (None, "tuned alone"):
        counts = [met[arm, fold] for fold in range(3)]
        assert max(counts) - min(counts) <= 1
