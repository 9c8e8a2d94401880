"""Finds the affinity score that best predicts how well pretrained weights fine-tune.

Fine-tunes the eight candidates of benchmarks/spaces/affinity.yaml on five small data sets with
three seeds: photographs of cats and dogs, of flowers (all five classes, and roses and tulips
alone), CIFAR-10 and handwritten digits, the last two enlarged. An entry `fractaldb` of the zoo for
MobileNetV2-0.35 is a ninth candidate. The data sets are in the developers' shared folder. Finished
trainings are read from $KTG_CACHE, so an interrupted study continues, and a new candidate costs its
own trainings only.

    python benchmarks/affinity_study.py --threads 1              # two hours on one core
    python benchmarks/affinity_study.py cats_dogs rose_tulip     # these data sets only
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measure
import torch
from options import make_parser

from ktg.affinity.candidate import Candidate, list_candidates
from ktg.affinity.correlation import BASELINES, correlate, orient
from ktg.affinity.plots import draw_correlations, draw_scatter
from ktg.affinity.study import StudyRow, Target, format_table, study
from ktg.affinity.table import LEAST_ROWS, parse_table
from ktg.graph import Data, Node, load_space
from ktg.graph.holes import DEFAULT_SCORE
from ktg.models.resolve import list_zoo_sources
from ktg.tracking import MemoryTracker

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data"
NAME = "affinity_study"
SEEDS = 3
_FEW = {"size": 96, "val_fraction": 0.15}
_TWO = {**_FEW, "per_class": 60, "batch_size": 16}
TARGETS = ("cats_dogs", "rose_tulip", "flowers", "cifar10", "digits")
# The same question for fewer candidates, because it is easy to tell pretrained weights from none,
# and because only some sources have a head.
QUESTIONS: dict[str, Callable[[StudyRow], bool]] = {
    "all": lambda row: True,
    "pretrained": lambda row: row.candidate.node.source != "none",
    "one architecture, pretrained": lambda row: (
        row.candidate.node.model == "mobilenetv2_100" and row.candidate.node.source != "none"
    ),
    "with a head": lambda row: row.measured is not None and "leep" in row.measured.scores,
}


def make_data(pair: Path) -> dict[str, Data]:
    """Return the data sets by name; roses and tulips are linked into the empty folder `pair`."""
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


def make_targets(data: Mapping[str, Data]) -> list[Target]:
    """Return every data set with its recipe and its candidates."""
    space = load_space(HERE / "spaces" / "affinity.yaml")
    graph = space.bind(space.default())
    competing = list_candidates(space) + find_fractaldb()
    return [
        Target(name, dataclasses.replace(graph, data=one), competing) for name, one in data.items()
    ]


def find_fractaldb() -> list[Candidate]:
    """Return the zoo's own FractalDB weights as candidates, if it has them."""
    model = "mobilenetv2_035"
    found = list_zoo_sources("zoo/fractaldb", model)
    return [Candidate(f"{model}@fractaldb", Node(model=model, source=source)) for source in found]


def print_finished(what: str, done: int, total: int) -> None:
    """Print the name of a training that has finished."""
    if done == total:
        print(what, flush=True)


def answer_questions(rows: list[StudyRow]) -> dict[str, Any]:
    """Return each score's correlation for each question, over all data sets and in each."""
    answers = {}
    for question, asks in QUESTIONS.items():
        chosen = [row for row in rows if asks(row)]
        if len({row.candidate.name for row in chosen}) >= LEAST_ROWS:
            found = correlate(
                parse_table(format_table(chosen, test=False), question, group="dataset")
            )
            best_first = sorted(found, key=lambda name: -orient(name, found[name]))
            answers[question] = {
                "candidates": list(dict.fromkeys(row.candidate.name for row in chosen)),
                "scores": {name: shorten(found[name].to_json()) for name in best_first},
            }
    return answers


def shorten(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the rounded figures of a score, with correlation and regret of each group."""
    groups = plain.pop("groups")
    each = {
        name: [round_all(one["spearman"]), round_all(one["regret"])] for name, one in groups.items()
    }
    return {name: round_all(value) for name, value in plain.items()} | {
        "spearman and regret in each": each
    }


def round_all(value: Any) -> Any:
    """Return a number, or a list of them, with three digits."""
    if isinstance(value, list):
        return [round_all(one) for one in value]
    return None if value is None else round(value, 3)


def write(rows: list[StudyRow]) -> None:
    """Write the table, the correlations, and drawings of all scores and of the default one."""
    text = format_table(rows, test=False)
    (measure.RESULTS / f"{NAME}.csv").write_text(text, encoding="utf-8")
    table = parse_table(text, NAME, group="dataset")
    found = correlate(table)
    (measure.RESULTS / f"{NAME}.svg").write_bytes(
        draw_correlations(found, [name for name in found if name in BASELINES])
    )
    drawn = draw_scatter(table, DEFAULT_SCORE, found[DEFAULT_SCORE])
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
        "questions": answer_questions(rows),
    }
    measure.write(NAME, {"space": "benchmarks/spaces/affinity.yaml", "seeds": SEEDS}, result)


def main() -> None:
    """Run the study and write its results."""
    parser = make_parser(__doc__)
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
            for name, one in make_data(Path(pair)).items()
            if name in (args.targets or TARGETS)
        }
        rows = study(
            make_targets(data), SEEDS, tracker, tracker.start(NAME), progress=print_finished
        )
    print(
        json.dumps(
            {f"{row.dataset}: {row.candidate.name}": row.failed for row in rows if row.failed}
        )
    )
    write(rows)


if __name__ == "__main__":
    main()
