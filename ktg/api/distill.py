"""Distils the ensemble of a search's trainings into its target."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.deliver import PAGE
from ktg.api.delivery import find_page_folder, keep_page
from ktg.api.inputs import STORE, check_at_least, check_device
from ktg.api.listener import QUIET, Listener
from ktg.errors import UserError
from ktg.wording import parse_duration

if TYPE_CHECKING:
    from ktg.exporting.distill import Distillation as Distillation
    from ktg.searching.seeds import OnEpoch


def distill(
    experiment: str,
    *,
    out: str | Path | None = None,
    seeds: int = 3,
    budget: str | None = None,
    force: bool = False,
    device: str | None = None,
    tracking_uri: str = STORE,
    listener: Listener = QUIET,
    on_epoch: "OnEpoch | None" = None,
) -> "Distillation":
    """Distil the greedy ensemble of an experiment's last search into its target.

    The target is trained by the ensemble's members as frozen teachers, and beside it alone for as
    long, each with so many seeds; what is better on the validation images is written to the folder
    `out` (default: the experiment's name and `-distilled`), and the comparison is kept with the
    search. budget: wall time such as 10m, after which no further seed is begun.
    """
    from ktg import tracking
    from ktg.api.folder import check_out
    from ktg.api.search import check_budget
    from ktg.exporting.distill import distill_search
    from ktg.searching.history import read_last_search
    from ktg.searching.pool import DISTILLED_FILE

    folder = Path(f"{experiment}-distilled" if out is None else out)
    check_out(folder, force=force)
    check_at_least(1, seeds=seeds)
    check_device(device)
    check_budget(budget)
    search = read_last_search(tracking.find_experiment(experiment, tracking_uri))
    if search.of > 1:
        listener.say(search.sentence)
    found = distill_search(
        search,
        folder,
        seeds=seeds,
        budget_s=None if budget is None else parse_duration(budget),
        device=device,
        on_epoch=on_epoch,
        say=lambda text: listener.say(f"distilling: {text}"),
    )
    with suppress(OSError):  # with --force there may be one, of a model that is gone
        (folder / PAGE).unlink()
    try:
        text = json.dumps(found.to_json(), indent=1)
        tracking.attach(experiment, tracking_uri, search.run.run, DISTILLED_FILE, text)
    except UserError as error:  # the files are there all the same
        listener.warn(f"the comparison could not be kept with its search: {error}")
        return found
    run = search.run.run  # another one may have ended since
    page = find_page_folder(experiment, tracking_uri, run)
    keep_page(experiment, page, tracking_uri, listener, run)
    return found
