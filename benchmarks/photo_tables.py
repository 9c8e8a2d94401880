"""Trains all graphs of a space for few labelled photographs, so that searches can be replayed.

Of two sets of real photographs ten of each class have a label; two fifths of those, 20 of flowers
and 28 of rsscn7, are the validation split, as `ktg init` proposes, and 400 more have none. The
graphs are those of spaces/photos.yaml, of the target by itself (the arm `tuned alone`), and the
baselines; each is trained with several seeds. One line for each training, in
results/table_SET.jsonl: which graph it is (`arm`: null for the space, `tuned alone`, or the
baseline's name; `values` of its holes, in their order), its seed, the target's accuracy and loss on
the validation split by epoch, its accuracy on the test split, which of these images were classified
rightly (a bit for each, in their order, as hexadecimal digits), and the seconds of an epoch (one
core; processor time; without what is made once for all trainings, such as teachers).

A replay may draw other validation images from the test split: see worlds.py. All graphs are trained
once before any is trained again, so every part of a file is of use. A second start continues the
first.

    python benchmarks/photo_tables.py SHARED           # a quarter of an hour on a free core

SHARED holds data/ and weights/.
"""

import functools
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import rivals
import torch
import yaml
from lines import Line, append_line, read_lines
from options import make_parser
from table import distinct_graphs

from ktg.data import Dataset, Images
from ktg.data.open import open_data, open_test
from ktg.graph import Data, Graph, SearchSpace, parse_space
from ktg.graph.canonical import canonical_key, live_nodes, with_seed
from ktg.local import cache_folder
from ktg.searching.arms import find_alone_space
from ktg.searching.baselines import baselines
from ktg.searching.trial import TUNED_ALONE
from ktg.training import Training

SPACE = Path(__file__).parent / "spaces" / "photos.yaml"
EPOCHS = {"flowers": 16, "rsscn7": 10}  # of two and three steps
SEEDS = 4
VALIDATION = {"flowers": 20, "rsscn7": 28}  # images
PER_CLASS, UNLABELLED = 10, 400
WEIGHTS = ("imagenet_035", "imagenet_100")


@dataclass(frozen=True)
class Entry:
    """A graph of the table: what it is in the space, and the graph."""

    arm: str | None
    values: tuple[Any, ...]
    graph: Graph

    @property
    def name(self) -> tuple[Any, ...]:
        """Which lines of the file are of this graph."""
        return (self.arm, *self.values)


def main() -> None:
    """Train what the tables lack."""
    parser = make_parser(__doc__, ".", seeds=SEEDS)
    parser.add_argument("--sets", nargs="+", default=list(EPOCHS), choices=EPOCHS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(args.seeds):
        for name in args.sets:
            train_all(args.shared, name, seed, args.output / f"table_{name}.jsonl")


def train_all(shared: Path, name: str, seed: int, output: Path) -> None:
    """Append a line for each graph that lacks one of this seed, in a random order."""
    known = {(row["arm"], *row["values"]) for row in read_lines(output) if row["seed"] == seed}
    entries = list(list_entries(make_space(name, make_photos(shared, name), shared)))
    for entry in random.Random(0).sample(entries, len(entries)):
        if entry.name not in known:
            figures = train(with_seed(entry.graph, seed), *open_both(entry.graph.data))
            keys = {"arm": entry.arm, "values": entry.values, "seed": seed}
            append_line(output, keys | figures)


def list_entries(space: SearchSpace) -> Iterator[Entry]:
    """Yield every graph once: those of the space, of the target by itself, and more baselines."""
    seen = set()
    alone = find_alone_space(space)
    for arm, part in ((None, space), (TUNED_ALONE, alone)):
        for key, (values, graph) in distinct_graphs(part) if part else ():
            if key not in seen:
                seen.add(key)
                yield Entry(arm, tuple(values.values()), graph)
    for name, graph in baselines(space).items():
        # Others that are not in the space train the larger network, at many times the cost.
        if len(live_nodes(graph)) == 1 and canonical_key(graph) not in seen:
            yield Entry(name, (), graph)


def make_space(name: str, photos: Path | None = None, shared: Path | None = None) -> SearchSpace:
    """Return the space of a set; for replays without photographs and weights."""
    plain = yaml.safe_load(SPACE.read_text(encoding="utf-8"))
    plain["name"] = name
    plain["train"]["epochs"] = EPOCHS[name]
    plain["data"]["path"] = str(photos or Path("/") / name)
    if shared is not None:
        used = [rivals.WEIGHTS[one] for one in WEIGHTS]
        files = {one.model: str(shared / "weights" / one.file) for one in used}
        plain["weights"] = {
            model: {"path": file, "mean": [0.5], "std": [0.5]} for model, file in files.items()
        }
    return parse_space(plain)


def make_photos(shared: Path, name: str) -> Path:
    """Return the folder of a set, written once: train/CLASS, test/CLASS and unlabelled."""
    place = cache_folder() / "photo_tables" / name
    photos = place / rivals.LABELLED
    if not place.exists():
        made = place.with_name(f"{name}.new")
        rivals.make_folder(shared, rivals.RealSet(name, per_class=PER_CLASS, unlabelled=True), made)
        more = sorted((made / rivals.UNLABELLED).iterdir())
        for image in random.Random(0).sample(more, len(more) - UNLABELLED):
            image.unlink()
        made.rename(place)
    return photos


@functools.lru_cache(maxsize=1)
def open_both(data: Data) -> tuple[Dataset, Images]:
    """Return training and test images, which stay in memory for the next graph."""
    return open_data(data), open_test(data)


def train(graph: Graph, dataset: Dataset, test: Images) -> Line:
    """Return the figures of one training."""
    training = Training(graph, dataset, device="cpu")
    nodes, seconds, began = [], [], time.process_time()
    for epoch in training:
        nodes.append(epoch.nodes[epoch.target])
        seconds.append(time.process_time() - began)
        began = time.process_time()
    right = training.predict(test).argmax(dim=1).numpy() == test.labels
    return {
        "accuracy": [round(node.val_accuracy or 0.0, 4) for node in nodes],
        "loss": [round(node.val_loss or 0.0, 3) for node in nodes],
        "test": round(float(right.mean()), 4),
        "images": len(right),
        "right": np.packbits(right).tobytes().hex(),
        "epoch_s": round(statistics.median(seconds), 4),
    }


def read_table(name: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return the lines of a table by the key of their graph in `make_space(name)`."""
    keys = {entry.name: canonical_key(entry.graph) for entry in list_entries(make_space(name))}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for line in read_lines(measure.RESULTS / f"table_{name}.jsonl"):
        found.setdefault(keys[line["arm"], *line["values"]], []).append(line)
    return found


if __name__ == "__main__":
    main()
