"""Checks before a confirmation that it can be done: the data, the test split, all weights."""

from ktg.data import Dataset, Images
from ktg.data.image_index import DecodeProgress
from ktg.data.open import open_data, open_test
from ktg.errors import DataError, UserError
from ktg.graph import Data, SearchSpace
from ktg.searching.baselines import baselines
from ktg.searching.confirm.finalists import Finalists
from ktg.searching.confirm.measure import Labels
from ktg.searching.preflight import ImageCounts, check_graphs, select_image_fields
from ktg.searching.score import TEST_IMAGES


def check(
    chosen: Finalists, decoding: DecodeProgress | None
) -> tuple[dict[str, dict[str, str]], Labels]:
    """Open the data and the test split, and look for all weights.

    Returns the tags that name the images of each trial, those it is trained on and those it is
    tested on, and the labels (N,) of the test images. Raises as
    `ktg.searching.preflight.check_space` does, and DataError where the data are no longer those of
    the search.
    """
    opened: dict[Data, Dataset] = {}
    tests: dict[Data, Images] = {}
    specs = {each.trial: select_image_fields(each.graph.data) for each in chosen.graphs}
    for spec in specs.values():
        if spec not in opened:
            opened[spec] = open_data(spec, progress=decoding)
            tests[spec] = open_test(spec, progress=decoding)
    if not chosen.search.has_same_images():
        problem = "its graphs would be tested on images they were given"
        raise DataError(f"the data have changed since the search: {problem}")

    def look(data: Data) -> ImageCounts:
        dataset = opened[select_image_fields(data)]
        merged = 0 if data.per_class else len(dataset.val)
        size, side = len(dataset.train) + merged, dataset.train.shape[0]
        return ImageCounts(len(dataset.classes), size, side)

    for fault in check_graphs([each.graph for each in chosen.graphs], look).values():
        raise fault
    images = {
        spec: {
            "data.fingerprint": opened[spec].fingerprint,
            TEST_IMAGES: test.fingerprint_with_labels,
        }
        for spec, test in tests.items()
    }
    most = max(tests.values(), key=len)
    return {trial: images[spec] for trial, spec in specs.items()}, most.labels


def check_test(space: SearchSpace, top: int, decoding: DecodeProgress | None = None) -> None:
    """Raise UserError before a search that cannot be confirmed: too few graphs, no test split."""
    trials = space.search.most_trials
    most = (trials or top) + (len(baselines(space)) if space.search.baselines else 0)
    if top > most:
        problem = f"{top} graphs are asked for, and the search trains {most} at most"
        raise UserError(f"--confirm: {problem}")
    open_test(select_image_fields(space.fill(space.default()).data), progress=decoding)
