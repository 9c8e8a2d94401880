"""Every sampler with every scheduler: on a cheap objective without Ray, and on Ray with real training."""

import dataclasses
import heapq
import itertools
from types import SimpleNamespace
from typing import get_args

import pytest
from command import graph_file
from optuna.trial import TrialState

from ktg.errors import SpecError
from ktg.graph import Search, load_space, parse_space
from ktg.graph.search_settings import SamplerName, SchedulerName
from ktg.searching.cluster import cluster
from ktg.searching.ray_adapter import scheduler, shares
from ktg.searching.run import search
from ktg.searching.trials import Ledger
from ktg.tracking import MemoryTracker

SAMPLERS, SCHEDULERS = get_args(SamplerName), get_args(SchedulerName)
EPOCHS = 8


def space(trials: int = 20, lr=(0.1, 0.03, 0.01, 0.003), **settings):
    gate = {"gate": {"choice": ["cutoff", "through", "linear"]}}
    lrs = {"choice": list(lr)} if isinstance(lr, tuple) else lr
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": EPOCHS, "lr": lrs},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {"label -> n0": {"gate": "through"}, "label -> n1": gate, "n1 -> n0": gate},
            "search": {"trials": trials, "baselines": False, **settings},
        }
    )


def objective(entry, epoch: int) -> float:
    """Best with lr 0.03 and n1 -> n0 through; it rises with time, and no two graphs are equal."""
    lr = {0.1: 0.2, 0.03: 0.4, 0.01: 0.1, 0.003: 0.0}[entry.values["train.lr"]]
    gate = {"through": 0.3, "linear": 0.15, "cutoff": 0.0}[entry.values["edges.n1.n0.gate"]]
    return (lr + gate + int(entry.key[:4], 16) / 2**20) * epoch / EPOCHS


def played(ledger: Ledger, slots: int = 3) -> Ledger:
    """Play a search to its end, as Ray would."""
    judge, order, running = scheduler(ledger.space.search, EPOCHS), itertools.count(), []

    def begin(now: int) -> None:
        entry = ledger.propose()
        if entry is not None:
            trial = SimpleNamespace(trial_id=entry.name, config={"baseline": entry.baseline or ""})
            judge.on_trial_add(None, trial)
            heapq.heappush(running, (now + 1, next(order), entry, trial))

    for _ in range(slots):
        begin(0)
    while running:
        now, _, entry, trial = heapq.heappop(running)
        epoch, value = entry.epoch + 1, objective(entry, entry.epoch + 1)
        ledger.report(entry, epoch, {"val_accuracy": value, "val_loss": 1.0}, 1.0)
        done = epoch == EPOCHS
        result = {"epoch": epoch, "val_accuracy": value, "training_iteration": epoch, "done": done}
        if done or judge.on_trial_result(None, trial, result) == "STOP":
            judge.on_trial_complete(None, trial, result)
            ledger.close(entry)
            begin(now)
        else:
            heapq.heappush(running, (now + 1, next(order), entry, trial))
    return ledger


@pytest.mark.parametrize("judge", SCHEDULERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_pair_spends_its_budget_on_different_graphs_and_finds_a_good_one(sampler, judge):
    trials = 11 if sampler == "gp" else 20  # every point after its first ten costs a fit
    ledger = played(Ledger(space(trials, sampler=sampler, scheduler=judge, seed=3)))
    graphs = len({entry.key for entry in ledger.entries})
    assert graphs == len(ledger.entries) == trials
    assert {entry.state for entry in ledger.entries} <= {"finished", "stopped"}
    assert {entry.epoch for entry in ledger.in_state("stopped")} <= {1, 2, 4}  # the rungs
    assert not ledger.sampler._asked
    told = ledger.sampler._study.trials
    for entry in ledger.entries:
        state = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}[entry.state]
        assert (told[entry.asked].state, told[entry.asked].value) == (state, entry.accuracy)
        assert told[entry.asked].intermediate_values == (
            {entry.epoch: entry.accuracy} if state.name == "PRUNED" else {}
        )
    assert bool(ledger.in_state("stopped")) == (judge != "none")
    assert ledger.best.values["train.lr"] in (0.03, 0.1)
    again = played(Ledger(space(trials, sampler=sampler, scheduler=judge, seed=3)))
    assert [entry.key for entry in again.entries] == [entry.key for entry in ledger.entries]


def test_a_grid_asks_every_point_once_and_ends():
    ledger = played(Ledger(space(trials=1000, sampler="grid", scheduler="none")))
    assert ledger.exhausted
    asked = [entry.values for entry in ledger.entries] + [
        duplicate.values for duplicate in ledger.duplicates
    ]
    assert len(asked) == 4 * 3 * 3
    assert len({tuple(values.values()) for values in asked}) == len(asked)
    # Where n1 -> n0 is cut, n1 is dead; where n1 is untaught it is a teacher trained before.
    assert len(ledger.entries) == 4 * (1 + 2 * 3)


def test_a_grid_that_goes_on_asks_for_nothing_again():
    first = played(Ledger(space(trials=5, sampler="grid", scheduler="none")))
    read_back = [dataclasses.replace(entry, asked=None) for entry in first.entries]
    ledger = played(Ledger(space(trials=1000, sampler="grid", scheduler="none"), read_back))
    assert len(ledger.entries) == len({entry.key for entry in ledger.entries}) == 4 * (1 + 2 * 3)


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
        Ledger(space(sampler="grid", **settings))


@pytest.mark.parametrize("at_once", [1, 2, 300])
def test_hyperband_gives_each_bracket_its_share_and_the_same_one_every_time(at_once):
    judge = scheduler(Search(scheduler="hyperband", grace_epochs=1, reduction_factor=2), EPOCHS)
    assert [bracket._rungs[-1][0] for bracket in judge._brackets] == [1, 2, 4]
    trials = [SimpleNamespace(trial_id=str(i), config={"baseline": ""}) for i in range(300)]
    chosen = []
    for number, trial in enumerate(trials):
        judge.on_trial_add(None, trial)
        chosen.append(judge._brackets.index(judge._trial_info[trial.trial_id]))
        if number >= at_once - 1:
            ended = {
                "epoch": EPOCHS,
                "val_accuracy": 0.5,
                "training_iteration": EPOCHS,
                "done": True,
            }
            judge.on_trial_complete(None, trials[number - at_once + 1], ended)
    for bracket, share in enumerate(shares(3, 2)):
        assert abs(chosen.count(bracket) - 300 * share) <= 1
    assert sum(shares(5, 3)) == pytest.approx(1)


@pytest.fixture(scope="module")
def ray():
    with cluster(cpus=2):
        yield


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
        search={"trials": 3, "sampler": sampler, "scheduler": judge, "baselines": False},
    )
    result = search(load_space(tmp_path / "space.yaml"), "pair", MemoryTracker())
    assert result.best is not None
    assert result.finished + result.stopped == 3
