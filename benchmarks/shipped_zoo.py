"""Makes the network that comes with ktg, zoo/fractals: ktg/zoo/shipped.

A ResNet20 learns to tell pictures apart that are drawn by formulas (FractalDB, preset tiny): no
photographs, so no licence but ktg's own. Its card holds the graph, the seed and the versions.

    python benchmarks/shipped_zoo.py      # six minutes on one idle core; again: takes up the result

It is trained as `ktg source pretrain fractaldb --preset tiny --model resnet20 --name fractals`
does, in the user's zoo, and copied from there.
"""

import dataclasses
import shutil

import torch
from options import make_parser

from ktg.graph import Data, Graph
from ktg.pretraining.pretrain import pretrain
from ktg.pretraining.recipe import build_recipe
from ktg.tracking import MemoryTracker
from ktg.training import EpochMetrics
from ktg.zoo import default_zoo, shipped_zoo
from ktg.zoo.staging import STAGING

NAME, MODEL, LICENCE = "fractals", "resnet20", "Apache-2.0"
LARGEST = 1_500_000  # bytes of the file of weights


def main() -> None:
    """Train and copy."""
    make_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    made = pretrain(
        make_graph(), NAME, MemoryTracker(), device="cpu", replace=True, on_epoch=show
    ).card
    file = default_zoo().find_weights(NAME, MODEL)
    if file.stat().st_size > LARGEST:
        raise SystemExit(f"{file}: {file.stat().st_size:,} bytes are more than {LARGEST:,}")
    origin = f"{made.origin}, benchmarks/shipped_zoo.py, by the ktg authors"
    card = dataclasses.replace(made, licence=LICENCE, origin=origin)
    zoo = shipped_zoo()
    zoo.add(card, file, replace=True)
    for left in (".lock", STAGING):  # what only a zoo that is written to needs
        shutil.rmtree(zoo.folder / left, ignore_errors=True)
        (zoo.folder / left).unlink(missing_ok=True)
    for path in zoo.folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(f"{file.stat().st_size:,} bytes, validation accuracy {card.accuracy:.3f}: {zoo.folder}")


def make_graph() -> Graph:
    """Return the graph of one node that is trained."""
    return build_recipe(Data(name="fractaldb"), MODEL, "tiny")


def show(epoch: EpochMetrics, epochs: int) -> None:
    """Print how far it is."""
    print(f"epoch {epoch.number} of {epochs}: {epoch.nodes['n0'].val_accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
