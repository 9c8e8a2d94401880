"""Every sampler with every scheduler: on a cheap objective, and on Ray with real training."""

import dataclasses
import heapq
import itertools
from typing import get_args

import pytest
from command import graph_file
from optuna.trial import TrialState

from ktg.errors import SpecError
from ktg.graph import load_space, parse_space
from ktg.graph.space import SamplerName, SchedulerName
from ktg.searching.asha import choose_bracket, plan_brackets, should_stop
from ktg.searching.cluster import start_ray
from ktg.searching.run import search
from ktg.searching.search_queue import SearchQueue
from ktg.tracking import MemoryTracker

SAMPLERS, SCHEDULERS = get_args(SamplerName), get_args(SchedulerName)
EPOCHS = 8
PLAIN = {"alone_share": 0, "race_share": 0}


def space(trials: int = 20, lr=(0.1, 0.03, 0.01, 0.003), **settings):
    gate = {"gate": {"choice": ["cutoff", "through", "linear"]}}
    lrs = {"choice": list(lr)} if isinstance(lr, tuple) else lr
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": EPOCHS, "lr": lrs},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {"label -> n0": {"gate": "through"}, "label -> n1": gate, "n1 -> n0": gate},
            "search": {"trials": trials, "baselines": False, **PLAIN, **settings},
        }
    )


def objective(trial, epoch: int) -> float:
    """Best with lr 0.03 and n1 -> n0 through; it rises with time, and no two graphs are equal."""
    lr = {0.1: 0.2, 0.03: 0.4, 0.01: 0.1, 0.003: 0.0}[trial.values["train.lr"]]
    gate = {"through": 0.3, "linear": 0.15, "cutoff": 0.0}[trial.values["edges.n1.n0.gate"]]
    return (lr + gate + int(trial.key[:4], 16) / 2**20) * epoch / EPOCHS


def played(queue: SearchQueue, slots: int = 3) -> SearchQueue:
    """Play a search to its end, as Ray would."""
    brackets, order, running = plan_brackets(queue.space.search, EPOCHS), itertools.count(), []

    def begin(now: int) -> None:
        trial = queue.propose()
        if trial is not None:
            trial.bracket = choose_bracket(brackets, queue.trials) if brackets else None
            heapq.heappush(running, (now + 1, next(order), trial))

    for _ in range(slots):
        begin(0)
    while running:
        now, _, trial = heapq.heappop(running)
        epoch, value = trial.epoch + 1, objective(trial, trial.epoch + 1)
        stop = brackets and should_stop(brackets, queue.trials, trial, epoch, value)
        queue.record_epoch(trial, epoch, {"val_accuracy": value, "val_loss": 1.0}, 1.0)
        if stop or epoch == EPOCHS:
            queue.close(trial)
            begin(now)
        else:
            heapq.heappush(running, (now + 1, next(order), trial))
    return queue


@pytest.mark.parametrize("judge", SCHEDULERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_pair_spends_its_budget_on_different_graphs_and_finds_a_good_one(sampler, judge):
    trials = 11 if sampler == "gp" else 20  # every point after its first ten costs a fit
    queue = played(SearchQueue(space(trials, sampler=sampler, scheduler=judge, seed=3)))
    graphs = len({trial.key for trial in queue.trials})
    assert graphs == len(queue.trials) == trials
    assert {trial.state for trial in queue.trials} <= {"finished", "stopped"}
    assert {trial.epoch for trial in queue.in_state("stopped")} <= {1, 2, 4}  # the rungs
    assert not queue.sampler._asked
    told = queue.sampler._study.trials
    for trial in queue.trials:
        state = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}[trial.state]
        known = told[trial.sample]
        if known.state is TrialState.FAIL:  # another stands for it, without what did nothing
            acting = queue.space.find_acting(trial.graph)
            assert sampler == "tpe" and not acting >= known.params.keys()
            params = {path: value for path, value in known.params.items() if path in acting}
            known = next(
                one for one in told if (one.params, one.value) == (params, trial.end_score)
            )
        assert (known.state, known.value) == (state, trial.end_score)
        assert known.intermediate_values == (
            {trial.epoch: trial.end_score} if state.name == "PRUNED" else {}
        )
    if judge != "auto":  # what that can prove depends on who has finished
        assert bool(queue.in_state("stopped")) == (judge != "none")
    assert queue.best.values["train.lr"] in (0.03, 0.1)
    again = played(SearchQueue(space(trials, sampler=sampler, scheduler=judge, seed=3)))
    assert [trial.key for trial in again.trials] == [trial.key for trial in queue.trials]


def test_a_grid_asks_every_point_once_and_ends():
    queue = played(SearchQueue(space(trials=1000, sampler="grid", scheduler="none")))
    assert queue.exhausted
    asked = [trial.values for trial in queue.trials] + [
        duplicate.values for duplicate in queue.duplicates
    ]
    assert len(asked) == 4 * 3 * 3
    assert len({tuple(values.values()) for values in asked}) == len(asked)
    # Where n1 -> n0 is cut, n1 is dead; where n1 is untaught it is a teacher trained before.
    assert len(queue.trials) == 4 * (1 + 2 * 3)


def test_a_grid_that_goes_on_asks_for_nothing_again():
    first = played(SearchQueue(space(trials=15, sampler="grid", scheduler="none")))
    past = {trial.number: dataclasses.replace(trial, sample=None) for trial in first.trials}
    known = [dataclasses.replace(one, of=past[one.of.number]) for one in first.duplicates]
    assert known
    whole = space(trials=1000, sampler="grid", scheduler="none")
    queue = played(SearchQueue(whole, list(past.values()), known))
    check_all_is_asked_once(queue)
    running = [dataclasses.replace(one, state="running") for one in past.values()]
    queue = SearchQueue(whole, running, known)
    assert [queue.propose() for _ in running] == running
    while queue.propose():
        pass
    check_all_is_asked_once(queue)


def check_all_is_asked_once(queue: SearchQueue) -> None:
    assert len(queue.trials) == len({trial.key for trial in queue.trials}) == 4 * (1 + 2 * 3)
    asked = [tuple(one.values.values()) for one in (*queue.trials, *queue.duplicates)]
    assert len(asked) == len(set(asked)) == 4 * 3 * 3
    assert queue.exhausted


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"lr": {"log": [0.01, 0.1]}},
            r"^search.sampler: grid tries every value, and train.lr is a continuum",
        ),
        ({"lr": {"int": [1, 20_000]}}, r"^search.sampler: grid would try all 180,000 graphs"),
    ],
)
def test_a_grid_without_end_is_refused(settings, said):
    with pytest.raises(SpecError, match=said):
        SearchQueue(space(sampler="grid", **settings))


@pytest.fixture(scope="module")
def ray():
    with start_ray(cpus=2):
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "judge"), [("grid", "hyperband"), ("gp", "asha"), ("random", "none")]
)
def test_on_ray_too(ray, tiny, tmp_path, sampler, judge):
    graph_file(
        tmp_path / "space.yaml",
        tiny,
        train={"lr": {"choice": [0.05, 0.01, 0.001]}, "epochs": 3},
        nodes={"n0": {"model": "resnet8"}},
        edges={"label -> n0": {}},
        search={"trials": 3, "sampler": sampler, "scheduler": judge, "baselines": False} | PLAIN,
    )
    result = search(load_space(tmp_path / "space.yaml"), "pair", MemoryTracker())
    assert result.best is not None
    assert result.finished + result.stopped == 3
