"""What a new search learns from stored ones: by path and option, as differences, in its own arm."""

import pytest
from records import written

from ktg.errors import UserError
from ktg.graph import parse_space
from ktg.searching.arms import find_alone_space
from ktg.searching.prior import PastTrial, Prior, gather_prior, list_arm_spaces, read_searches
from ktg.searching.recorder import SearchRecorder
from ktg.searching.search_queue import SearchQueue
from ktg.tracking import MlflowTracker, find_experiment


def space(lr=None, gates=("through", "cutoff", "linear"), nodes=2, **search):
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 2, "lr": lr or {"log": [0.01, 0.1]}},
            "nodes": {f"n{i}": {"model": "resnet8"} for i in range(nodes)},
            "edges": {
                "label -> any": {},
                "any -> any": {"gate": {"choice": list(gates)}},
            },
            "search": {"trials": 4, "alone_share": 0.25, "race_share": 0, **search},
        }
    )


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    """A store with a search of which each trial is 0.01 ahead of the one before."""
    uri = new_store()
    queue = SearchQueue(space())
    with MlflowTracker("past", uri) as tracker:
        recorder = SearchRecorder(tracker, queue, "past", {})
        while trial := queue.propose():
            recorder.on_start(trial)
            for epoch in range(1, trial.graph.train.epochs + 1):
                accuracy = 0.5 + trial.number / 100
                queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
                recorder.on_epoch(trial)
            queue.close(trial)
            recorder.on_end(trial)
        tracker.end(recorder.parent, "finished")
    written(uri, "empty", ("failed", []))
    return uri


def learn(uri, new):
    searches = read_searches([find_experiment("past", uri)])
    return gather_prior(searches, list_arm_spaces(new, find_alone_space(new))), searches[0]


def test_the_same_space_learns_all_but_the_reference_as_differences_to_it(uri):
    prior, past = learn(uri, space())
    finished = [one for one in past.finished if one.baseline != "alone"]
    assert "learns from 6 of 7 finished trials of past, by how far" in prior.told
    first = next(one for one in past.finished if one.baseline == "alone")
    main = [one for one in finished if one.arm is None]
    assert [one.ahead for one in prior.by_arm[None]] == pytest.approx(
        [one.score - first.score for one in main]
    )
    for one, trial in zip(prior.by_arm[None], main, strict=True):
        if trial.baseline is None:
            assert one.values == trial.values
    assert len(prior.by_arm["tuned alone"]) == len(finished) - len(main) == 1


def test_what_a_new_space_lacks_is_left_out_and_what_it_fixes_is_no_hole(uri):
    prior, past = learn(
        uri, space(lr={"choice": [5.0, 6.0]}, gates=("through", "correct"), nodes=3)
    )
    for one in prior.by_arm[None]:
        assert one.values.keys() <= {"edges.n0.n1.gate", "edges.n1.n0.gate"}
        assert set(one.values.values()) <= {"through"}
    used = {one.ahead for one in prior.by_arm[None]}
    assert 0 < len(used) < len(past.finished)


def test_a_gaussian_process_learns_from_whole_points_only(uri):
    assert len(learn(uri, space(sampler="gp"))[0].by_arm[None]) == 5
    assert not learn(uri, space(sampler="gp", nodes=3))[0].by_arm[None]


def test_the_sampler_hears_of_it_once_alone_is_known_and_relative_to_it(uri):
    new = space()
    prior, _ = learn(uri, new)
    queue = SearchQueue(new, prior=prior)
    alone = queue.propose()
    assert not queue.sampler._study.trials
    for epoch in (1, 2):
        queue.record_epoch(alone, epoch, {"val_accuracy": 0.3, "val_loss": 1.0}, 1.0)
    queue.close(alone)
    told = [one.value for one in queue.sampler._study.trials]
    assert told[1:] == pytest.approx([0.3 + one.ahead for one in prior.by_arm[None]])
    again = SearchQueue(new, queue.trials, prior=prior)  # a search that goes on
    assert [one.value for one in again.sampler._study.trials] == pytest.approx(told)


def test_tpe_follows_a_strong_prior_from_its_first_trial():
    new = space(alone_share=0, gates=("through", "cutoff"))
    gates = 20 * [("cutoff", 0.1), ("through", -0.1)]
    known = [PastTrial(new.default() | {"edges.n1.n0.gate": gate}, ahead) for gate, ahead in gates]
    queue = SearchQueue(new, prior=Prior({None: known}, ""))
    while (trial := queue.propose()) and trial.baseline:
        for epoch in (1, 2):
            queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        queue.close(trial)
    drawn = [queue.sampler.ask()[1]["edges.n1.n0.gate"] for _ in range(20)]
    assert drawn.count("cutoff") >= 13


def test_an_experiment_without_results_is_refused(uri):
    with pytest.raises(UserError, match="'empty' has no finished trial"):
        read_searches([find_experiment("empty", uri)])


def test_how_far_a_trial_was_ahead_is_told_without_the_effect_of_its_fold(new_store):
    uri, queue = new_store(), SearchQueue(space(folds=2, trials=8, alone_share=0, race_share=0.3))
    with MlflowTracker("folds", uri) as tracker:
        recorder = SearchRecorder(tracker, queue, "folds", {})
        while trial := queue.propose():
            recorder.on_start(trial)
            for epoch in (1, 2):
                accuracy = 0.5 + 0.2 * trial.fold
                queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
                recorder.on_epoch(trial)
            queue.close(trial)
            recorder.on_end(trial)
        tracker.end(recorder.parent, "finished")
    new = space()
    prior = gather_prior(read_searches([find_experiment("folds", uri)]), {None: new})
    assert {one.fold for one in queue.searched} == {0, 1}
    # A part of an effect is not believed, as with few trainings it may be chance.
    assert max(abs(one.ahead) for one in prior.by_arm[None]) < 0.05
