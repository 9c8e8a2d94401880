"""A folder of pictures in the layout of the official FractalDB: 00000/00000_00_count_0_flip0.png."""

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ktg.data.formula.formula import Formula
from ktg.data.formula.png import encode
from ktg.errors import DataError

CARD = "fractal.json"

Settings = Mapping[str, str | int | float | bool]
Progress = Callable[[int], None]


def write_folder(
    formula: Formula,
    folder: Path,
    settings: Settings,
    *,
    resume: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> int:
    """Write every picture of the formula, one folder for each class; return how many were written now.

    A class is written under another name and renamed when it is complete, so that what is there is
    whole. `settings` are kept in a file beside the classes; with `resume`, classes that are there
    are left as they are, provided that the settings are those they were drawn with. `progress` is
    told how many pictures are done each time.
    Raises DataError for a folder that cannot be used and when the disk is full.
    """
    try:
        _begin(folder, dict(settings), resume)
        written = 0
        for label in range(formula.classes):
            if not _class_folder(folder, label).is_dir():
                _write_class(formula, folder, label, threads, progress)
                written += formula.instances
            elif progress is not None:
                progress(formula.instances)
        return written
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{folder}: cannot be written: {reason}; mend that, then go on with --resume"
        ) from error


def _class_folder(folder: Path, label: int) -> Path:
    return folder / f"{label:05d}"


def _begin(folder: Path, settings: dict[str, str | int | float | bool], resume: bool) -> None:
    """Make the folder with its card, or check that the one which is there can be gone on with."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give the name of a folder")
    card = folder / CARD
    if card.is_file():
        if not resume:
            raise DataError(
                f"{folder}: was begun before; add --resume to go on, or give another folder"
            )
        _check_same(folder, _read_card(card), settings)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder}: holds other files; give a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{CARD}.tmp"
    temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    temporary.replace(card)


def _read_card(card: Path) -> dict[str, object]:
    try:
        read = json.loads(card.read_text(encoding="utf-8"))
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise DataError(
            f"{card}: is damaged, so it is not known how the pictures were drawn; give another folder"
        )
    return read


def _check_same(
    folder: Path, before: dict[str, object], now: dict[str, str | int | float | bool]
) -> None:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            got, had = now.get(name), before.get(name)
            raise DataError(
                f"{folder}: was begun with {name} {had}, not {got}; give the same, or another folder"
            )


def _write_class(
    formula: Formula, folder: Path, label: int, threads: int, progress: Progress | None
) -> None:
    target = _class_folder(folder, label)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir()

    def write(instance: int) -> None:
        path = temporary / f"{target.name}_{formula.name(instance)}.png"
        path.write_bytes(encode(formula.draw(label, instance)))

    try:
        _each(write, formula.instances, threads, progress)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _each(
    write: Callable[[int], None], count: int, threads: int, progress: Progress | None
) -> None:
    pool = ThreadPoolExecutor(threads)
    try:
        for done in as_completed([pool.submit(write, instance) for instance in range(count)]):
            done.result()
            if progress is not None:
                progress(1)
    finally:
        pool.shutdown(cancel_futures=True)
