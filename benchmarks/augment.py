"""Measures how many images per second each augmentation makes, in batches on the device.

Every augmentation takes the same batches, in turn, round by round. `over basic` is its time divided
by that of `basic`. On a CPU the seconds are processor time, so images per second are for one core
even if the machine is busy.

    # 32 and 224 pixels, batch 64; about three minutes on one core.
    python benchmarks/augment.py
    python benchmarks/augment.py --device cuda --batch 256
"""

import functools
from collections.abc import Callable

import measure
import torch
from options import make_parser

from ktg.data.augment import augment_batch
from ktg.graph.vocabulary import AugmentName

NAMES: tuple[AugmentName, ...] = (
    *("none", "basic", "crop", "randaugment", "augmix", "pspnet", "cutmix_or_mixup"),
)


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result: dict[str, object] = {}
    for size in args.sizes:
        steps = {name: step(name, size, args.batch, args.device) for name in NAMES}
        times = measure.interleaved(steps, args.rounds, clock=measure.clock_of(args.device))
        for name in NAMES:
            seconds = measure.spread(times[name])
            result[f"{name}, {size} pixels"] = {
                "images_per_s": round(args.batch / seconds["median"]),
                "over basic": measure.ratio(times, name, "basic"),
                "seconds": seconds,
            }
    measure.write(f"augment_{args.device}", vars(args), result)


def step(name: AugmentName, size: int, batch: int, device: str) -> Callable[[], object]:
    """Return a function that augments one batch."""
    generator = torch.Generator(device).manual_seed(0)
    pixels = torch.randint(
        0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8, device=device
    )
    return functools.partial(augment_batch, pixels, name, generator)


if __name__ == "__main__":
    main()
