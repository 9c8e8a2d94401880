"""Builds the queue of a confirmation: its graphs with each seed, without what is done already."""

from collections.abc import Iterable, Mapping

from ktg.searching.confirm.finalists import Finalists
from ktg.searching.confirm.store import RIGHT_FILE, find_confirmations
from ktg.searching.score import TEST_ACCURACY, TEST_IMAGES, TEST_LOSS
from ktg.searching.seed_queue import SeedQueue, SeedRun
from ktg.searching.worth import read_right
from ktg.tracking import Experiment, RunRecord
from ktg.version import __version__


def build_queue(chosen: Finalists, seeds: int, done: dict[str, SeedRun]) -> SeedQueue:
    """Return the trials of the finalists with as many seeds that the search has not used."""
    graphs = {finalist.what: finalist.graph for finalist in chosen.graphs}
    return SeedQueue(graphs, chosen.seeds(seeds), done)


def read_done(
    experiment: Experiment, images: Iterable[Mapping[str, str]], tested: int
) -> dict[str, SeedRun]:
    """Return, by key, what earlier confirmations have finished on the same images.

    images: the tags that name them, as `ktg.searching.confirm.check` returns them; tested: how many
    the test split has. Trainings of another version of ktg do not count: it may train otherwise.
    """
    known, done = list(images), dict[str, SeedRun]()
    for parent in find_confirmations(experiment):
        for run in experiment.trials(parent):
            tags, is_tested = run.tags, TEST_ACCURACY in run.metrics
            # An older ktg did not record the test images: hours of training are not thrown away
            # for images that are most likely the same.
            same_data = any(
                {TEST_IMAGES: one[TEST_IMAGES], **tags}.items() >= one.items() for one in known
            )
            same_version = tags.get("version.ktg-automl") == __version__
            counts = same_data and same_version and run.state == "finished" and is_tested
            if counts and tags["key"] not in done:
                done[tags["key"]] = read_seed_run(experiment, run)
    return {key: result for key, result in done.items() if len(result.right) == tested}


def read_seed_run(experiment: Experiment, run: RunRecord) -> SeedRun:
    """Return the result of a stored training."""
    return SeedRun(
        seed=int(run.params["seed"]),
        accuracy=run.metrics[TEST_ACCURACY],
        loss=run.metrics[TEST_LOSS],
        train_s=float(run.tags["train_s"]),
        **read_right(experiment.read_artifact(run, RIGHT_FILE)),
    )
