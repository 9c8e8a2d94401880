"""Measures on a GPU what a search spends its time on, one line of JSON for each measurement.

    step ...      a training step of three networks that all teach each other, in float32, in
                  bfloat16, compiled, and replayed as a CUDA graph
    at once ...   how many images a second several trainings that share the GPU see in sum
    teacher ...   forward passes of a frozen teacher
    fractaldb ... pictures that are drawn while a network trains on them

Each measurement has a process of its own, so that one that fails costs no other: its error is then
its result. What is in the output file already, of this kind of machine, is not measured again;
delete a line there to measure it anew.

    python benchmarks/gpu.py                 # about six minutes; run it again to go on
    python benchmarks/gpu.py --tiny --cpu    # tries the script itself, on small networks
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import measure
import numpy as np
import step_time
import torch
from lines import append_line, read_lines
from options import make_parser

from ktg.data import open_data
from ktg.graph import Data, parse
from ktg.training import Training
from ktg.training.schedule import Clock
from ktg.training.training_batches import TrainingBatch

Result = dict[str, Any]
LIMIT_S = 150  # for one measurement


@dataclass(frozen=True)
class Sizes:
    """What is measured: models with their side in pixels and batch size, and how long."""

    small: tuple[str, int, int] = ("resnet32", 32, 128)
    large: tuple[str, int, int] = ("resnet18", 224, 64)
    teacher: tuple[str, int, int] = ("resnet50", 224, 128)
    blocks: int = 10
    steps: int = 10
    seconds: float = 8.0
    classes: int = 20
    instances: int = 100
    points: int = 100_000


TINY = Sizes(
    small=("resnet8", 8, 16),
    large=("resnet8", 16, 16),
    teacher=("resnet8", 16, 16),
    blocks=2,
    steps=2,
    seconds=0.5,
    classes=3,
    instances=20,
    points=500,
)


def main() -> None:
    """Measure what is not in the file yet."""
    args = parse_arguments()
    if not (torch.cuda.is_available() or args.tiny or args.cpu):
        print("gpu.py: torch sees no GPU here; --tiny --cpu tries the script", file=sys.stderr)
        sys.exit(2)
    device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
    sizes = TINY if args.tiny else Sizes()
    if args.worker:
        work(sizes, device)
    elif args.measure:
        print(json.dumps(run(list_measurements(sizes, device)[args.measure], device)))
    else:
        measure_all(args, list(list_measurements(sizes, device)), device)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    parser = make_parser(__doc__)
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "gpu.jsonl")
    parser.add_argument("--minutes", type=float, default=7.5, help="begin nothing after this")
    parser.add_argument(
        "--without", action="append", default=[], metavar="WORD", help="leave out what has it"
    )
    parser.add_argument("--tiny", action="store_true", help="small networks, few steps")
    parser.add_argument("--cpu", action="store_true", help="without the GPU")
    parser.add_argument("--measure", metavar="NAME", help="print one measurement alone")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def list_measurements(sizes: Sizes, device: str) -> dict[str, Callable[[], Result]]:
    """Return all measurements by name, the most wanted first."""
    found: dict[str, Callable[[], Result]] = {}
    step = partial(measure_step, sizes, device=device)
    for what in (sizes.small, sizes.large):
        name = f"step {what[0]} x 3, {what[1]} px, batch {what[2]}"
        found[f"{name}, float32"] = partial(step, what, "float32")
        found[f"{name}, bfloat16"] = partial(step, what, "bfloat16")
        found[f"{name}, bfloat16, CUDA graph"] = partial(step, what, "bfloat16", captured=True)
    for count in (1, 2, 4):
        found[f"at once {count}, {sizes.small[0]} x 3, bfloat16"] = partial(
            measure_sharing, sizes, device, count
        )
    for precision in ("float32", "bfloat16"):
        name = f"teacher {sizes.teacher[0]}, {sizes.teacher[1]} px, {precision}"
        found[name] = partial(measure_teacher, sizes, precision, device)
    found[f"fractaldb {sizes.large[1]} px, {sizes.large[0]}"] = partial(
        measure_fractals, sizes, device
    )
    for what in (sizes.small, sizes.large):
        name = f"step {what[0]} x 3, {what[1]} px, batch {what[2]}, bfloat16, compiled"
        found[name] = partial(step, what, "bfloat16", compiled=True)
    return found


def measure_all(args: argparse.Namespace, wanted: list[str], device: str) -> None:
    """Measure each in a process of its own, and append a line for each that has ended."""
    machine = measure.machine()
    where = {"device": machine["gpu"] if device == "cuda" else "cpu", "tiny": args.tiny}
    done = {
        line["measurement"]
        for line in read_lines(args.output)
        if {key: line.get(key) for key in where} == where
    }
    started = time.perf_counter()
    wanted = [name for name in wanted if not any(word in name for word in args.without)]
    for name in wanted:
        if name in done:
            continue
        if time.perf_counter() - started > 60 * args.minutes:
            print("gpu.py: the time is up; run it again to go on")
            return
        began = time.perf_counter()
        result = run_alone(name, args)
        took = round(time.perf_counter() - began, 1)
        line = {"measurement": name, **where, **result, "took_s": took, "machine": machine}
        append_line(args.output, line)
        shown = result.get("error") or f"{result['images_per_s']:.0f} images/s"
        print(f"{name}: {shown}", flush=True)
    print(f"gpu.py: all {len(wanted)} measurements of this machine are in {args.output}")


def run_alone(name: str, args: argparse.Namespace) -> Result:
    """Return the result of a measurement in a new process, or its error."""
    flags = [flag for flag in ("tiny", "cpu") if getattr(args, flag)]
    command = [sys.executable, __file__, "--measure", name, *(f"--{flag}" for flag in flags)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {LIMIT_S} s"}
    if done.returncode:
        last = (done.stderr.strip() or "nothing").splitlines()[-1]
        return {"error": f"ended with {done.returncode}: {last}"}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def run(measurement: Callable[[], Result], device: str) -> Result:
    """Return what is measured, with the most memory it took on the GPU, or why it failed.

    The cache of decoded images goes when the measurement ends.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KTG_CACHE"] = folder
        try:
            result = measurement()
        except Exception as error:
            text = str(error).strip() or "no message"
            return {"error": f"{type(error).__name__}: {text.splitlines()[0]}"}
    if device == "cuda" and "processes" not in result:
        result["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return result


def make_step(
    what: tuple[str, int, int], precision: str, device: str, *, compiled: bool = False
) -> tuple[Training, Callable[[], object]]:
    """Return a training of three networks that teach each other, and its step on a fixed batch."""
    model, size, batch = what
    args = argparse.Namespace(model=model, batch=batch, precision=precision, compile=compiled)
    with tempfile.TemporaryDirectory() as folder:
        path = step_time.images(Path(folder), size, 10, batch)
        dataset = open_data(Data(path=str(path)))
        training = Training(step_time.all_through(path, args), dataset, device=device)
        pixels, labels = step_time.batch_of(dataset, batch, device)
    for learner in training.learners.values():
        learner.begin_epoch(0)
    fixed = TrainingBatch(dict.fromkeys(training.graph.nodes, pixels), {}, labels)
    return training, lambda: training.step(fixed, Clock(step=50, total=101))


def measure_step(
    sizes: Sizes,
    what: tuple[str, int, int],
    precision: str,
    *,
    device: str,
    compiled: bool = False,
    captured: bool = False,
) -> Result:
    """Return the time of a training step, and images a second.

    The host waits for the device once for each block of steps, as a training does once an epoch.
    """
    training, step = make_step(what, precision, device, compiled=compiled)
    if captured:
        step = capture(training, step)
    for _ in range(sizes.steps):
        step()
    seconds = []
    for _ in range(sizes.blocks):
        measure.synchronise()
        started = time.perf_counter()
        for _ in range(sizes.steps):
            step()
        measure.synchronise()
        seconds.append((time.perf_counter() - started) / sizes.steps)
    return {"step_s": measure.spread(seconds), "images_per_s": what[2] / statistics.median(seconds)}


def capture(training: Training, step: Callable[[], object]) -> Callable[[], object]:
    """Return a function that replays one training step as a CUDA graph.

    The learning rate and the places of gates are those of the moment of capture: this measures what
    a replay would gain, and is no way to train yet. Raises where the step cannot be captured, or
    where its replay changes no weight.
    """
    if training.device.type != "cuda":
        raise RuntimeError("CUDA graphs need a GPU")
    # On another stream first, as torch asks: optimizers and cuDNN allocate in their first steps.
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    weight = next(training.target.parameters())
    before = weight.detach().clone()
    graph.replay()
    if torch.equal(before, weight) or not torch.isfinite(weight).all():
        raise RuntimeError("the replayed graph does not train")
    return graph.replay


def measure_sharing(sizes: Sizes, device: str, count: int) -> Result:
    """Return the images a second of `count` equal trainings that share the device, in sum."""
    flags = (["--tiny"] if sizes == TINY else []) + (["--cpu"] if device == "cpu" else [])
    command = [sys.executable, __file__, "--worker", *flags]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        # All are warm before the first begins, so that they share the device from start to end.
        for worker in workers:
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a training could not start")
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        each = [float(worker.stdout.readline() or "nan") for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    if not np.isfinite(each).all():
        raise RuntimeError("a training ended before its time")
    return {"processes": count, "images_per_s": sum(each), "images_per_s_each": each}


def work(sizes: Sizes, device: str) -> None:
    """Train for some seconds once a line comes in, and print the images a second."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KTG_CACHE"] = folder
        _, step = make_step(sizes.small, "bfloat16", device)
    for _ in range(sizes.steps):
        step()
    measure.synchronise()
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    started = time.perf_counter()
    for block in itertools.count(1):
        for _ in range(sizes.steps):
            step()
        measure.synchronise()
        passed = time.perf_counter() - started
        if passed > sizes.seconds:
            print(block * sizes.steps * sizes.small[2] / passed, flush=True)
            return


def measure_teacher(sizes: Sizes, precision: str, device: str) -> Result:
    """Return the time of a frozen teacher's forward pass, for each image."""
    model, size, batch = sizes.teacher
    with tempfile.TemporaryDirectory() as folder:
        path = step_time.images(Path(folder), size, 10, batch)
        data = {"path": str(path), "batch_size": batch // 2}  # scored in batches twice as large
        teacher = make_single(model, data, precision, device)
        images, seconds = teacher.dataset.train, []
        for _ in range(sizes.blocks + 1):
            started = time.perf_counter()
            teacher.logits(images)  # which waits for the device: they end on the host
            seconds.append((time.perf_counter() - started) / len(images))
    median = statistics.median(seconds[1:])
    return {"image_s": measure.spread(seconds[1:]), "images_per_s": 1 / median}


def measure_fractals(sizes: Sizes, device: str) -> Result:
    """Return the images a second that a training on pictures drawn meanwhile sees.

    Beside it: how many the processor draws alone. Both in the second epoch, when all is compiled.
    """
    model, size, batch = sizes.large
    formula = {"classes": sizes.classes, "instances": sizes.instances, "points": sizes.points}
    data = {"name": "fractaldb", "size": size, "batch_size": batch // 2, "formula": formula}
    training = make_single(model, data, "bfloat16", device)
    first, second = itertools.islice(training, 2)
    images = training.dataset.train
    started = time.perf_counter()
    for rows in np.array_split(np.arange(len(images)), max(1, len(images) // batch)):
        images.read(rows)
    alone = len(images) / (time.perf_counter() - started)
    rates = {"first_epoch": first.images_per_s, "images_per_s": second.images_per_s}
    return {**rates, "drawn_alone_per_s": alone, "cores": os.cpu_count()}


def make_single(model: str, data: dict[str, Any], precision: str, device: str) -> Training:
    """Return the training of one network."""
    graph = parse(
        {
            "data": data,
            "train": {"epochs": 2, "lr": 0.01, "precision": precision},
            "nodes": {"n0": {"model": model}},
            "edges": {"label -> n0": {}},
        }
    )
    return Training(graph, open_data(graph.data), device=device)


if __name__ == "__main__":
    main()
