"""What the pages of a search and of its trials say in MLflow."""

from dataclasses import replace

import pytest

from ktg.graph import parse
from ktg.searching.run_description import describe_trial
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue


def a_trial(**known) -> tuple[TrialQueue, Trial]:
    """Return a trial of a taught target, beside a node that nothing leads from, and its queue."""
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4},
            "nodes": {
                "small": {"model": "resnet8"},
                "large": {"model": "resnet14", "source": "fractaldb", "epochs": 9},
                "idle": {"model": "resnet20"},
            },
            "edges": {
                "label -> small": {"gate": "linear"},
                "label -> idle": {},
                "large -> small": {"temperature": 2.0, "weight": 0.5},
                "idle -> small": {"gate": "cutoff"},
            },
        }
    )
    queue = TrialQueue(planned=1)
    queue.trials.append(Trial(7, graph, "key", **known))
    return queue, queue.trials[0]


def test_a_finished_trial_says_what_it_trained_and_how_it_ended():
    queue, trial = a_trial()
    queue.record_epoch(trial, 4, {"val_accuracy": 0.9512, "val_loss": 0.2}, 61.0)
    queue.close(trial)
    said = describe_trial(trial, "birds")
    assert said.startswith("**95.12 % accuracy** on the validation split: one training, 4 epochs")
    assert "| small, the target | resnet8 | none | 4 |" in said
    assert "| large | resnet14 | fractaldb | 9 |" in said
    assert "- `label -> small`: ce, gate linear\n" in said
    assert "- `large -> small`: kl, gate through, temperature 2, weight 0.5" in said
    assert "idle" not in said  # what changes nothing was not trained
    assert "with another seed" not in said
    assert "`birds`" in said


def test_a_weight_that_is_learned_is_told_as_such():
    queue, trial = a_trial()
    pair = ("large", "small")
    learned = replace(trial.graph.edges[pair], weight="learned")
    trial.graph = replace(trial.graph, edges={**trial.graph.edges, pair: learned})
    queue.close(trial)
    told = "- `large -> small`: kl, gate through, temperature 2, weight learned"
    assert told in describe_trial(trial, "birds").splitlines()


@pytest.mark.parametrize(
    ("reason", "begins"),
    [
        ("out of memory at data.batch_size 16; try 8", "**Failed** after 2 epochs in 3 s: out of"),
        (None, "**Stopped** after 2 epochs in 3 s, of 4."),
    ],
)
def test_a_trial_that_ended_early_says_why(reason, begins):
    queue, trial = a_trial(race_of=3)
    queue.record_epoch(trial, 2, {"val_accuracy": 0.5, "val_loss": 0.7}, 3.0)
    queue.close(trial, reason)
    said = describe_trial(trial, "birds")
    assert said.startswith(begins)
    assert "This is trial-0003 with another seed." in said
