"""Gives damaged and hostile files to ktg's readers, and counts what is not one clear sentence.

Small sound files of each kind (YAML of graphs and spaces, .npz, safetensors, ONNX, folders of
images, tables of labels and scores, cards of a zoo, tracking stores) are mutated: bits, cuts,
repeats, numbers of the ends of their range, headers that lie; so are graphs given as Python data
and the answers of a zoo's web server. Each input is read by the functions that the commands call,
in a process that is watched: an error that is no KtgError is a traceback, ten seconds are a hang,
2 GB are too much.

    python benchmarks/fuzz.py                          # 450 of each kind; about ten minutes
    python benchmarks/fuzz.py --kinds yaml npz --count 1000 --seed 7
    python benchmarks/fuzz.py --count 4 --output fuzz.json

An input is made from its seed, kind and number alone; `--only yaml/17` reads one again, unwatched.
"""

import json
import multiprocessing
import os
import random
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_kinds import read_labels, read_python, read_server, read_store
from mutations import mutate, mutate_text
from options import make_parser

SECONDS, MEGABYTES, FIRST_SECONDS = 10.0, 2048, 120.0
GRAPH = """\
data: {path: %s, batch_size: 8, augment: basic}
train: {epochs: 2, lr: 0.05, seed: 3}
nodes:
  n0: {model: resnet8}
  n1: {model: resnet8, model_args: {}}
edges:
  label -> any: {}
  n1 -> n0: {gate: linear}
"""
SPACE = GRAPH.replace("0.05", "{choice: [0.05, 0.01]}").replace(
    "linear", "{choice: [through, cutoff, linear]}"
)


def main() -> None:
    """Read all inputs, print the counts of each kind, and end with 1 if anything was wrong."""
    parser = make_parser(__doc__)
    parser.add_argument("--count", type=int, default=450, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--only", metavar="KIND/NUMBER", help="read one input, in this process")
    parser.add_argument("--output", type=Path, help="write counts and faults to this JSON file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        if args.only:
            kind, _, number = args.only.partition("/")
            print(read(Path(name), kind, int(number), args.seed))
            return
        results = [watch(Path(name), kind, args.count, args.seed) for kind in args.kinds]
    faults = [fault for result in results for fault in result["faults"]]
    for fault in faults:
        print(f"{fault['input']}: {fault['what']}: {fault['said']}")
    if args.output:
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(faults))


def prepare(folder: Path) -> None:
    """Make the sound files that are mutated, in `folder`, and keep ktg's caches in it."""
    for variable in ("KTG_CACHE", "KTG_DATA", "KTG_ZOO"):
        os.environ[variable] = str(folder / variable.lower())
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import safetensors.torch
    from PIL import Image

    from ktg import api
    from ktg.exporting.model_file import read_model
    from ktg.exporting.onnx import write_onnx
    from ktg.zoo import Card, default_zoo

    random_ = np.random.default_rng(0)
    pixels = random_.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez(folder / "data.npz", x=pixels, y=np.arange(40) % 2)
    (folder / "graph.yaml").write_text(GRAPH % "data.npz")
    (folder / "space.yaml").write_text(SPACE % "data.npz")
    for number, image in enumerate(pixels):
        file = folder / "photos" / "ab"[number % 2] / f"{number}{('.png', '.jpg')[number // 20]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((16, 16)).save(file)
    model = folder / "model.safetensors"
    api.train(folder / "graph.yaml", weights=model)
    write_onnx(folder / "model.onnx", *read_model(model))
    own = {"classes": ("a", "b"), "mean": (0.5,), "std": (0.5,), "input_size": 8}
    card = Card(name="a", model="resnet8", data="pictures", **own)
    default_zoo().add(card, model)
    lines = [f"m{row},{row / 10},{random_.random():.3f},{random_.random():.3f}" for row in range(9)]
    (folder / "table.csv").write_text("\n".join(["model,accuracy,parc,knn", *lines]) + "\n")
    labels = [f"{file.name},{file.parent.name}" for file in sorted(folder.glob("photos/*/*"))]
    (folder / "labels.csv").write_text("\n".join(["file,label", *labels]) + "\n")
    write_store(f"sqlite:///{folder}/mlflow.db")
    safetensors.torch.save_file(safetensors.torch.load_file(model), folder / "plain.safetensors")


def write_store(uri: str) -> None:
    """Record a search of three trials that is over."""
    from ktg.tracking import MlflowTracker

    tracker = MlflowTracker("birds", uri)
    parent = tracker.start("birds", tags={"kind": "search"})
    for number in range(3):
        tags = {"kind": "trial", "key": str(number), "seed": "0"}
        run = tracker.start(f"trial-{number:04d}", parent=parent, tags=tags)
        tracker.log(run, {"val_accuracy": 0.5, "val_loss": 1.0}, 1)
        tracker.end(run, "finished", {"epoch": "1", "train_s": "1.0"})
    tracker.end(parent, "finished")
    tracker.close(timeout_s=600)


def watch(folder: Path, kind: str, count: int, seed: int) -> dict[str, Any]:
    """Read `count` inputs of a kind in a process of its own; return counts and what was wrong."""
    counts = {"sound": 0, "sentences": 0, "tracebacks": 0, "hangs": 0, "memory": 0}
    faults, started, worker = [], time.perf_counter(), Worker(folder, kind, seed)
    for number in range(count):
        what, said = worker.read(number)
        counts[what] += 1
        if what not in ("sound", "sentences"):
            faults.append({"input": f"{kind}/{number}", "what": what, "said": said})
        if what in ("hangs", "memory"):
            worker = Worker(folder, kind, seed)
    worker.end()
    wall_s = round(time.perf_counter() - started, 1)
    print(
        f"{kind:<12} {', '.join(f'{value} {what}' for what, value in counts.items())}; {wall_s} s"
    )
    return {"kind": kind, "seed": seed, "inputs": count, "wall_s": wall_s, **counts} | {
        "faults": faults
    }


class Worker:
    """A process that reads inputs, one after the other, as they are asked for."""

    def __init__(self, folder: Path, kind: str, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        args = (theirs, folder, kind, seed)
        self._process = context.Process(target=serve, args=args, daemon=True)
        self._process.start()
        self._limit_s = FIRST_SECONDS  # the first input waits for imports too

    def read(self, number: int) -> tuple[str, str]:
        """Return what became of an input, and what was said of it; end the process if it hangs."""
        self._ours.send(number)
        began, self._limit_s, limit_s = time.perf_counter(), SECONDS, self._limit_s
        while not self._ours.poll(0.05):
            if time.perf_counter() - began > limit_s:
                return self._fail("hangs", f"no answer within {limit_s:.0f} s")
            if self._megabytes() > MEGABYTES:
                return self._fail("memory", f"more than {MEGABYTES} MB")
        try:
            what, said = self._ours.recv()
        except EOFError:
            return self._fail("memory", "the process died")
        return what, said

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()

    def _fail(self, what: str, said: str) -> tuple[str, str]:
        self.end()
        return what, said

    def _megabytes(self) -> float:
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):  # it has just died, or this is no Linux
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def serve(numbers: Connection, folder: Path, kind: str, seed: int) -> None:
    """Read the inputs whose numbers come, until nobody asks any more."""
    warnings.simplefilter("ignore")
    while True:
        number = numbers.recv()
        numbers.send(read(folder, kind, number, seed))


def read(folder: Path, kind: str, number: int, seed: int) -> tuple[str, str]:
    """Return what became of one input: sound, sentences (an error of ktg) or tracebacks."""
    from ktg.errors import KtgError

    with tempfile.TemporaryDirectory(dir=folder) as name:
        try:
            KINDS[kind](folder, Path(name), random.Random(f"{seed}/{kind}/{number}"))
        except KtgError as error:
            text = str(error)
            return ("sentences", text) if text and text.isprintable() else ("tracebacks", text)
        except Exception as error:  # whatever else is raised is a traceback on a user's screen
            return "tracebacks", f"{type(error).__name__}: {error}"[:300]
    return "sound", ""


def read_yaml(folder: Path, own: Path, dice: random.Random) -> None:
    """Check a mutated graph or space."""
    from ktg import api

    content = (folder / dice.choice(("graph.yaml", "space.yaml"))).read_bytes()
    (own / "data.npz").symlink_to(folder / "data.npz")
    (own / "mutated.yaml").write_bytes(mutate_text(content, dice))
    api.check(own / "mutated.yaml")


def read_npz(folder: Path, own: Path, dice: random.Random) -> None:
    """Check mutated arrays: half of the time in a sound archive."""
    from ktg import api

    content = (folder / "data.npz").read_bytes()
    if dice.random() < 0.5:
        (own / "mutated.npz").write_bytes(mutate(content, dice))
    else:
        with (
            zipfile.ZipFile(folder / "data.npz") as old,
            zipfile.ZipFile(own / "mutated.npz", "w") as new,
        ):
            for name in old.namelist():
                head, rest = old.read(name)[:128], old.read(name)[128:]
                new.writestr(
                    name, (mutate_text if dice.random() < 0.7 else mutate)(head, dice) + rest
                )
    api.check(own / "mutated.npz")


def read_safetensors(folder: Path, own: Path, dice: random.Random) -> None:
    """Classify with a mutated model file, and read mutated weights; half of them by the header."""
    from ktg.models.state_dicts import read_state

    name = dice.choice(("model.safetensors", "plain.safetensors"))
    content = (folder / name).read_bytes()
    if dice.random() < 0.5:
        (size,) = struct.unpack("<Q", content[:8])
        header = mutate_text(content[8 : 8 + size], dice)
        content = struct.pack("<Q", len(header)) + header + content[8 + size :]
    else:
        content = mutate(content, dice)
    (own / name).write_bytes(content)
    if name.startswith("plain"):
        read_state(own / name)
    else:
        classify(folder, own / name)


def read_onnx(folder: Path, own: Path, dice: random.Random) -> None:
    """Classify with a mutated ONNX file."""
    (own / "mutated.onnx").write_bytes(mutate((folder / "model.onnx").read_bytes(), dice))
    classify(folder, own / "mutated.onnx")


def classify(folder: Path, model: Path) -> None:
    """Load a model on the CPU and classify two images with it."""
    from ktg import api

    classifier = api.load(model, "cpu")
    classifier.predict([folder / "photos/a/0.png", folder / "photos/b/21.jpg"])


def read_folder(folder: Path, own: Path, dice: random.Random) -> None:
    """Check a folder of images, some of them mutated, with odd names, links and splits."""
    from ktg import api

    names = (b"c", b"train", b"caf\xe9", b"a\x1b[2J", b"x" * 250, b"@eaDir", b".hidden", b"a\nb")
    root, another = own / "photos", os.fsdecode(dice.choice(names))
    for file in sorted((folder / "photos").rglob("*.*")):
        target = root / file.parent.name / file.name
        if dice.random() < 0.3:
            target = root / another / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        damaged = dice.random() < 0.02
        target.write_bytes(mutate(file.read_bytes(), dice) if damaged else file.read_bytes())
    some = dice.choice(sorted(path for path in root.rglob("*") if path.is_dir()))
    odd = dice.choice((lambda path: path.symlink_to("."), lambda path: path.symlink_to("gone")))
    dice.choice((odd, os.mkfifo, Path.mkdir, Path.touch))(some / "odd.png")
    api.check(root)


def read_csv(folder: Path, own: Path, dice: random.Random) -> None:
    """Read a mutated table of accuracies and scores."""
    from ktg.api.study import correlate_table

    (own / "mutated.csv").write_bytes(mutate_text((folder / "table.csv").read_bytes(), dice))
    correlate_table(own / "mutated.csv")


def read_zoo(folder: Path, own: Path, dice: random.Random) -> None:
    """Look through a zoo with a mutated card and with mutated weights."""
    import shutil

    from ktg.zoo import Zoo

    shutil.copytree(folder / "ktg_zoo", own / "zoo")
    for ending, change in ((".yaml", mutate_text), (".safetensors", mutate)):
        file = own / f"zoo/a/resnet8{ending}"
        if dice.random() < 0.7:
            file.write_bytes(change(file.read_bytes(), dice))
    zoo = Zoo(own / "zoo")
    zoo.verify()
    zoo.list_cards()
    zoo.find_weights("a", "resnet8")


KINDS: dict[str, Callable[[Path, Path, random.Random], None]] = {
    "yaml": read_yaml,
    "npz": read_npz,
    "safetensors": read_safetensors,
    "onnx": read_onnx,
    "folder": read_folder,
    "csv": read_csv,
    "zoo": read_zoo,
    "labels": read_labels,
    "python": read_python,
    "store": read_store,
    "server": read_server,
}


if __name__ == "__main__":
    main()
