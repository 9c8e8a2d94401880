"""Which score foretells how well pretrained weights fine-tune? Eight candidates, five small data sets, three seeds.

What: benchmarks/spaces/affinity.yaml on photographs of cats and dogs, of flowers (five classes; roses and tulips
alone), on CIFAR-10 and on handwritten digits, both enlarged. An entry `fractaldb` of the zoo for MobileNetV2-0.35 is a
ninth. Where: any machine with the developers' shared folder. How long: two hours on one core. What was trained before
is taken from $KTG_CACHE, so that a run that was cut off goes on, and a new candidate costs its own trainings only.
Example: python benchmarks/affinity_study.py --threads 1
         python benchmarks/affinity_study.py cats_dogs rose_tulip     # these data sets only
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measure
import torch

from ktg.affinity.candidate import Candidate, list_candidates
from ktg.affinity.correlation import BASELINES, correlate, orient
from ktg.affinity.plots import correlations, scatter
from ktg.affinity.study import StudyRow, Target, study, format_table
from ktg.affinity.table import LEAST_ROWS, parse_table
from ktg.graph import Data, Node, load_space
from ktg.graph.holes import DEFAULT_SCORE
from ktg.models.sources import list_zoo_sources
from ktg.tracking import MemoryTracker

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data"
NAME = "affinity_study"
SEEDS = 3
_FEW = {"size": 96, "val_fraction": 0.15}
_TWO = {**_FEW, "per_class": 60, "batch_size": 16}
TARGETS = ("cats_dogs", "rose_tulip", "flowers", "cifar10", "digits")
# The same question of fewer candidates, because to tell weights from none is easy, and not every
# source has a head.
ASKED: dict[str, Callable[[StudyRow], bool]] = {
    "all": lambda row: True,
    "pretrained": lambda row: row.candidate.node.source != "none",
    "one architecture, pretrained": lambda row: (
        row.candidate.node.model == "mobilenetv2_100" and row.candidate.node.source != "none"
    ),
    "with a head": lambda row: row.measured is not None and "leep" in row.measured.scores,
}


def data_sets(pair: Path) -> dict[str, Data]:
    """Return the data sets by name; `pair` is an empty folder, in which roses and tulips are linked together."""
    for name in ("rose", "tulip"):
        (pair / name).symlink_to(SHARED / "flowers" / name)
    cifar10 = SHARED / "cifar10_small" / "cifar10_small.npz"
    return {
        "cats_dogs": Data(path=str(SHARED / "cats_dogs"), **_TWO),
        "rose_tulip": Data(path=str(pair), **_TWO),
        "flowers": Data(path=str(SHARED / "flowers"), per_class=30, batch_size=25, **_FEW),
        "cifar10": Data(path=str(cifar10), per_class=20, batch_size=25, size=96, val_fraction=0.05),
        "digits": Data(name="digits", per_class=10, batch_size=20, **_FEW),
    }


def plans(data: Mapping[str, Data]) -> list[Target]:
    """Return the data sets with their recipe and candidates."""
    space = load_space(HERE / "spaces" / "affinity.yaml")
    graph = space.bind(space.default())
    competing = list_candidates(space) + fractal()
    return [
        Target(name, dataclasses.replace(graph, data=one), competing) for name, one in data.items()
    ]


def fractal() -> list[Candidate]:
    """Return our own FractalDB weights as candidates, if the zoo has them."""
    model = "mobilenetv2_035"
    found = list_zoo_sources("zoo/fractaldb", model)
    return [Candidate(f"{model}@fractaldb", Node(model=model, source=source)) for source in found]


def told(what: str, done: int, total: int) -> None:
    """Print a training that is over."""
    if done == total:
        print(what, flush=True)


def figures(rows: list[StudyRow]) -> dict[str, Any]:
    """Return for each question the correlation of each score: over the data sets, and in each."""
    answers = {}
    for question, asks in ASKED.items():
        chosen = [row for row in rows if asks(row)]
        if len({row.candidate.name for row in chosen}) >= LEAST_ROWS:
            found = correlate(
                parse_table(format_table(chosen, test=False), question, group="dataset")
            )
            best_first = sorted(found, key=lambda name: -orient(name, found[name]))
            answers[question] = {
                "candidates": list(dict.fromkeys(row.candidate.name for row in chosen)),
                "scores": {name: brief(found[name].to_json()) for name in best_first},
            }
    return answers


def brief(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a score, rounded; of the groups Spearman's correlation and the regret."""
    groups = plain.pop("groups")
    each = {
        name: [rounded(one["spearman"]), rounded(one["regret"])] for name, one in groups.items()
    }
    return {name: rounded(value) for name, value in plain.items()} | {
        "spearman and regret in each": each
    }


def rounded(value: Any) -> Any:
    """Return a number, or a list of them, with three digits."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return None if value is None else round(value, 3)


def write(rows: list[StudyRow]) -> None:
    """Write the table, the correlations, and drawings of all scores and of the default one."""
    text = format_table(rows, test=False)
    (measure.RESULTS / f"{NAME}.csv").write_text(text, encoding="utf-8")
    table = parse_table(text, NAME, group="dataset")
    found = correlate(table)
    (measure.RESULTS / f"{NAME}.svg").write_bytes(
        correlations(found, [name for name in found if name in BASELINES])
    )
    drawn = scatter(table, DEFAULT_SCORE, found[DEFAULT_SCORE])
    (measure.RESULTS / f"{NAME}_{DEFAULT_SCORE}.svg").write_bytes(drawn)
    runs = {
        f"{row.dataset}: {row.candidate.name}": [round(run.val_accuracy, 4) for run in row.runs]
        for row in rows
        if row.failed is None
    }
    train_s = sum(run.train_s for row in rows for run in row.runs)
    result = {
        "accuracy of each seed": runs,
        "training hours": round(train_s / 3600, 2),
        "questions": figures(rows),
    }
    measure.write(NAME, {"space": "benchmarks/spaces/affinity.yaml", "seeds": SEEDS}, result)


def main() -> None:
    """Run the study and write its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"Of {', '.join(TARGETS)}; default: all."
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tracker = MemoryTracker()
    with tempfile.TemporaryDirectory() as pair:
        data = {
            name: one
            for name, one in data_sets(Path(pair)).items()
            if name in (args.targets or TARGETS)
        }
        rows = study(plans(data), SEEDS, tracker, tracker.start(NAME), progress=told)
    print(
        json.dumps(
            {f"{row.dataset}: {row.candidate.name}": row.failed for row in rows if row.failed}
        )
    )
    write(rows)


if __name__ == "__main__":
    main()
