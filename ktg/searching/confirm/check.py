"""Finds before a confirmation whatever would keep it from its end."""

from ktg.data import Dataset
from ktg.data.index import Progress
from ktg.data.open import open_data, open_test
from ktg.errors import DataError, UserError
from ktg.graph import Data, SearchSpace
from ktg.searching.baselines import baselines
from ktg.searching.confirm.candidates import Candidates
from ktg.searching.preflight import Images, check_graphs, image_spec


def check(chosen: Candidates, decoding: Progress | None) -> tuple[dict[str, str], int]:
    """Open the data and the test split, look for all weights, and return data fingerprints by trial, and test images.

    Raises as `ktg.searching.preflight.check` does, and DataError where the data are not those of
    the search any more.
    """
    opened: dict[Data, Dataset] = {}
    tests: dict[Data, int] = {}
    for candidate in chosen.graphs:
        spec = image_spec(candidate.graph.data)
        if spec not in opened:
            opened[spec] = open_data(spec, progress=decoding)
            tests[spec] = len(open_test(spec, progress=decoding))
    default = image_spec(chosen.space.fill(chosen.space.default()).data)
    searched = chosen.search.tags.get("data.fingerprint")
    if default in opened and searched not in (None, opened[default].fingerprint):
        raise DataError(
            "the data have changed since the search: its graphs would be tested on images they were given"
        )

    def look(data: Data) -> Images:
        dataset = opened[image_spec(data)]
        merged = 0 if data.per_class else len(dataset.val)
        return Images(len(dataset.classes), len(dataset.train) + merged, dataset.train.shape[0])

    for fault in check_graphs([candidate.graph for candidate in chosen.graphs], look).values():
        raise fault
    prints = {each.trial: opened[image_spec(each.graph.data)].fingerprint for each in chosen.graphs}
    return prints, max(tests.values())


def check_test(space: SearchSpace, top: int, decoding: Progress | None = None) -> None:
    """Raise UserError before a search that could not be confirmed: too few graphs, or no test split to be read."""
    most = space.search.trials + (len(baselines(space)) if space.search.baselines else 0)
    if top > most:
        raise UserError(
            f"--confirm: {top} graphs are asked for, and the search trains {most} at most"
        )
    open_test(image_spec(space.fill(space.default()).data), progress=decoding)
