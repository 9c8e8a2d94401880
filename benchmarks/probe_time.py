"""Times the fit of a probe on so many images, and tests it: what `ktg.training.probe` rests on.

    python benchmarks/probe_time.py SHARED                  # a minute on two cores
    python benchmarks/probe_time.py SHARED --name before    # of another checkout, by PYTHONPATH

One line is appended for each fit.
SHARED holds data/ and weights/.
"""

import tempfile
import time
from pathlib import Path

import folder
import numpy as np
import rivals
import torch
from lines import append_line
from options import make_parser

from ktg.training.probe import fit_probe

COUNTS = (200, 1000, 2400, 8000)


def main() -> None:
    """Measure each number of images once."""
    parser = make_parser(__doc__, "probe_time.jsonl")
    parser.add_argument("--set", default="cifar10_small", choices=folder.SETS)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--name", default="now")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = rivals.make_folder(args.shared, folder.SETS[args.set], Path(temporary).resolve())
        task = rivals.open_task(place, folder.SIZE)
        network = rivals.make_network(args.shared, rivals.WEIGHTS[rivals.TARGET], 0).eval()
        seen, unseen = (
            torch.from_numpy(rivals.compute_features(network, pixels))
            for pixels in (task.train, task.test)
        )
    order = np.random.default_rng(0).permutation(len(seen))
    for count in args.counts:
        rows, started = order[:count], time.perf_counter()
        weight, bias = fit_probe(seen[rows], task.labels[rows], task.classes)
        seconds = round(time.perf_counter() - started, 2)
        right = (unseen @ weight.T + bias).argmax(1).numpy() == task.truth
        line = {"set": args.set, "name": args.name, "images": count, "seconds": seconds}
        line |= {"accuracy": round(float(right.mean()), 4), "threads": torch.get_num_threads()}
        append_line(args.output, line)
        print(line, flush=True)


if __name__ == "__main__":
    main()
