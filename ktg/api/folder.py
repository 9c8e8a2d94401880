"""Prepares `ktg search FOLDER`: a space for the images, and at once the simplest model of all.

The model is the probe, logistic regression on the frozen features of the target's weights. It takes
one forward pass, so that from the first seconds on there is something to use, with a page about it,
whatever happens later.
"""

import dataclasses
import hashlib
import itertools
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api import inputs
from ktg.api.deliver import FILES, Delivered, deliver_graph, write_early_page
from ktg.api.init import plan_folder, write_space
from ktg.api.listener import Listener
from ktg.errors import DataError, KtgError, UserError, join_names
from ktg.local import cache_folder
from ktg.wording import round_minutes

if TYPE_CHECKING:
    from ktg.proposing.plan import Plan
    from ktg.proposing.wishes import Wishes

SPACE = "space.yaml"


@dataclass(frozen=True)
class PreparedFolder:
    """The space of a folder in a file, and when its budget began, on the monotonic clock.

    budget: as text. teacher_s: the seconds that its teacher takes to be made. probe: the first
    model, with the key of its graph; None where the target has no weights.
    """

    space: Path
    budget: str
    began: float
    teacher_s: float
    probe: Delivered | None = None
    probe_key: str = ""

    @property
    def spent_s(self) -> float:
        """The seconds of the budget that have passed."""
        return time.monotonic() - self.began


def is_images(given: object) -> bool:
    """Return whether something to search is images and not a space: a folder or an .npz."""
    if not isinstance(given, str | Path):
        return False
    path = Path(given).expanduser()
    return path.is_dir() or path.suffix.lower() == ".npz"


def is_result(path: Path) -> bool:
    """Return whether a folder is what a search has left, and no images."""
    return any((path / name).is_file() for name in (SPACE, *FILES))


def choose_out(out: str | Path | None, name: str, images: Path | None) -> Path:
    """Return the folder for what a search delivers, which is made later.

    By default it has the name of the experiment; `-result` is added where the images lie there.
    """
    if out is not None:
        return Path(out)
    place = Path(name)
    if images is not None and place.absolute().resolve() == images.resolve():
        return Path(f"{name}-result")
    return place


def check_outside(out: Path, images: Path) -> None:
    """Raise UserError where results or records would lie among the images, as a class of them.

    Records go to the current folder, where no store is named. Beside train/ and test/ they may lie,
    unless the images are read by a table.
    """
    from ktg.data.split_folders import find_splits

    root, splits = images.resolve(), list[Path]()
    if not root.is_dir():
        return
    with suppress(DataError):  # these folders are read by a table, or are refused with their reason
        splits = [root / name for name in find_splits(root, str(images)).values()]
    for what, place in (("--out", out), ("the current folder", Path())):
        lies = place.absolute().resolve()
        if any(lies.is_relative_to(inside) for inside in splits or [root]):
            problem = f"{lies} lies among the images of {root}, where results must not"
            raise UserError(f"{what}: {problem}; begin from another folder, such as {root.parent}")


def check_out(out: Path, *, force: bool, more: Sequence[str] = ()) -> None:
    """Raise UserError unless a folder can be filled: it is writable and has no model yet.

    more: files besides those of a model that will be written there.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is a file; give the name of a folder")
    there = [name for name in (*more, *FILES) if (out / name).exists()]
    if there and not force:
        problem = f"{out / there[0]} is there already"
        raise UserError(f"--out: {problem}; give --force to overwrite it, or another folder")
    parent = out if out.is_dir() else out.absolute().parent
    if not parent.is_dir():
        raise UserError(f"--out: there is no folder {parent}; create it first")
    inputs.check_writable(parent / FILES[0])


@contextmanager
def claim_out(out: Path, listener: Listener) -> Iterator[Path]:
    """Hold a folder for results: `out`, or a new one with a number where others are in that.

    Another search may have filled it since it was checked, or be about to. Where nothing can be
    written for a lock, none is held.
    """
    from ktg.searching.driver_lock import hold_driver_lock

    own = out if out.name else out.absolute()
    beside = (own.with_name(f"{own.name}-{number}") for number in itertools.count(2))
    with ExitStack() as stack:
        for free in itertools.chain([out], beside):
            place = hashlib.sha256(str(free.absolute().resolve()).encode()).hexdigest()
            with suppress(UserError):  # another process holds it
                lock = cache_folder() / "ray" / f"results-{place[:16]}"
                with suppress(OSError):
                    stack.enter_context(hold_driver_lock(lock))
                taken = [free / name for name in FILES] if free == out else [free]
                if not any(path.exists() for path in taken):
                    break
        if free != out:
            again = shlex.join(["--out", str(free)])
            listener.warn(
                f"{out}: another search has taken it since this one began, so the results go to "
                f"{free}; with --resume give `{again}`"
            )
        yield free


def prepare_folder(
    folder: Path,
    out: Path,
    *,
    name: str,
    wishes: "Wishes",
    budget: str,
    listener: Listener,
) -> PreparedFolder:
    """Write a space for images into `out`, and the probe as a first model; return the space."""
    plan = plan_folder(folder, wishes, listener)
    describe_plan(plan, listener)
    out.mkdir(exist_ok=True)
    file = out / SPACE
    for note in write_space(plan, name, budget, file).notes:
        listener.say(note)
    probe, key = deliver_probe(file, plan.probe_side, out, name, listener)
    if probe is not None:
        write_early_page(name, probe, listener)
    return PreparedFolder(
        file, budget, plan.began, plan.teacher.seconds if plan.teacher else 0.0, probe, key
    )


def describe_plan(plan: "Plan", listener: Listener) -> None:
    """Say in two lines what is about to be searched, and how long one training takes."""
    images, length = plan.images, plan.length
    begins = plan.begins[0] if plan.knows_photographs else "nothing"
    taught = f", taught by {plan.teacher.weights.name}" if plan.teacher else ""
    others = join_names([str(side) for side in plan.sides if side != length.side], 3)
    listener.say(
        f"{images.path.name}: {images.train:,} training images of {len(images.classes)} classes at "
        f"{length.side} pixels{f' (or {others})' if others else ''}; the target is {plan.model} "
        f"from {begins}{taught}"
    )
    if plan.probes:
        shown = [f"{100 * score:.1f} % at {side}" for side, score in sorted(plan.probes.items())]
        listener.say(f"Linear probes of its weights, in pixels: {join_names(shown, 3)}")
    listener.say(
        f"{plan.machine.describe()}: {round_minutes(length.training_s)} for a training of "
        f"{length.epochs} epoch{'s' if length.epochs > 1 else ''}, {plan.machine.slots} at once"
    )


def deliver_probe(
    space: Path, side: int | None, out: Path, name: str, listener: Listener
) -> tuple[Delivered | None, str]:
    """Write the probe as the first model, where the target has weights; return it and its key.

    side: of the images that it sees, one of the space's; None for its default. name: of the
    experiment.
    """
    from ktg.graph.canonical import canonical_key
    from ktg.searching.baselines import PROBE, baselines

    first = baselines(inputs.load_space_file(space)).get(PROBE)
    if first is None:
        return None, ""
    node = first.nodes[first.target]
    seen = dataclasses.replace(node, input_size=side or node.input_size)
    origin = {"experiment": name}
    graph = dataclasses.replace(first, nodes={first.target: seen}, provenance=origin)
    listener.status("Fitting the probe")
    try:
        return deliver_graph(graph, out, PROBE, listener), canonical_key(graph)
    except KtgError as error:  # it is a first model only: the search goes on without it
        listener.warn(f"there is no probe of the target: {error}")
        return None, ""
