"""Defines what a graph says of its images, as plain frozen data."""

from dataclasses import dataclass
from typing import Literal

from ktg.graph.fields import rule
from ktg.graph.vocabulary import AugmentName


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A data set drawn by a formula, as published; `Data.size` is the side of its images."""

    classes: int = rule("Classes to draw; of fractaldb and ofdb there are 1,000.", 1000, at_least=2)
    instances: int | None = rule(
        "Pictures of each class, for all splits together; default: 1,000 of fractaldb and svd, 1 "
        "of ofdb and onep, which is then training, validation and test picture in one.",
        None,
        at_least=1,
    )
    points: int = rule("Points in the walk of a picture.", 100_000, at_least=1, below=2**27)
    scale: float | None = rule(
        "How far the variants of a class lie apart: fractaldb 0.4, ofdb 0.1.", None
    )
    patch: bool | None = rule("fractaldb, ofdb: 3x3 masks (true), or single pixels.", None)
    colour: bool | None = rule("fractaldb, ofdb, svd: in colour; by default only svd is.", None)
    seed: int = rule("Seed of what the formula leaves to chance.", 0, at_least=0)


@dataclass(frozen=True, kw_only=True)
class Data:
    """The labelled images: where they are, how they are split, and how a batch is made of them."""

    name: str | None = rule(
        "A data set known by name, for example digits or cifar100, or drawn by a formula: "
        "fractaldb, ofdb, onep, svd.",
        None,
    )
    path: str | None = rule(
        "A folder with one folder per class (or train/ val/ test/ of them), one with a table of "
        "labels, or an .npz.",
        None,
    )
    labels: str | None = rule(
        "A table of labels (.csv, .tsv, .jsonl), in the folder `path` or beside it: a column file, "
        "a column label and, if wanted, columns split (train, val, test) and weight: from 0 (the "
        "label is not used) on, how much the label counts against others in every loss that reads "
        "it and in probes; scores do not look at it. Of an .npz the files are rows of its arrays. "
        "Default: folders of classes; where there are none labels.csv, metadata.csv or train.csv, "
        "without weights.",
        None,
    )
    groups: str | None = rule(
        "A table (.csv, .tsv, .jsonl) with the columns file and group: a patient, a part, a burst "
        "of photographs. Images of one group are on the same side of every split that is drawn, so "
        "that no network is judged by another exposure of what it was trained on. Images that are "
        "not in the table are by themselves.",
        None,
    )
    size: int | None = rule(
        "Side in pixels of the square images kept in the cache; default: their own size if all "
        "share one, else 224.",
        None,
        at_least=4,
        at_most=2048,
    )
    val_fraction: float = rule(
        "Share of the training images held out to choose by, when the data has no val split.",
        0.2,
        above=0,
        below=1,
    )
    folds: int | None = rule(
        "In place of `val_fraction`: cut the training images into this many stratified parts, of "
        "which one is held out to choose by. Not for data with a val split.",
        None,
        at_least=2,
    )
    fold: int = rule("Which of the `folds` is held out, from 0.", 0, at_least=0)
    test_fraction: float = rule(
        "Share of all images kept for the final test, when the data has no test split.",
        0.2,
        above=0,
        below=1,
    )
    only: tuple[str, ...] | None = rule("Keep these classes, numbered from 0; default: all.", None)
    formula: Formula | None = rule("What is drawn, where `name` is a formula.", None)
    unlabelled: tuple[str, ...] | None = rule(
        "More images, without labels: a folder (at any depth in it), an archive (.zip, .tar), a "
        "list of files (.txt, .csv), several of these, or auto: what else the data have, the "
        "images that `per_class` leaves out included. They reach edges between nodes, but not "
        "those of which loss or gate asks for the label: ce, dkd, correct, small_loss. Files that "
        "are validation or test images are left out.",
        None,
    )
    unlabelled_share: float = rule(
        "Share of images without labels among those of a step; by default as many as labelled "
        "ones, which are always `batch_size`.",
        0.5,
        above=0,
        below=1,
    )
    per_class: int | None = rule(
        "Few-shot: keep this many training images of each class; default: all.", None, at_least=1
    )
    label_noise: float = rule(
        "For studies of wrong labels: this share of the labels to train with is replaced by other "
        "classes, drawn with `split_seed`, those of the validation images cut from them included. "
        "The test split keeps its own.",
        0.0,
        at_least=0,
        below=1,
    )
    batch_size: int = rule("Images per training step.", 64, at_least=1)
    resize: Literal["crop", "stretch"] = rule(
        "How an oblong image becomes a square: crop keeps its centre, stretch squeezes all of it. "
        "Where what matters lies at the border, as defects do, stretch.",
        "crop",
    )
    augment: AugmentName = rule(
        "basic: flip and padded crop below 64 pixels, random resized crop and flip above; crop: a "
        "square of 224/362 of the side at a random place, as FractalDB is pretrained on; "
        "randaugment, augmix: on top of basic; pspnet: mirror, resize, rotate, blur and crop; "
        "cutmix_or_mixup: one of the two in each batch, on top of basic, for all nodes alike.",
        "basic",
    )
    views: int | None = rule(
        "Draw this many augmented views of each image once, the same for all nodes, and show them "
        "in turn: what teachers answer is then computed once, and kept for all trainings; default: "
        "new views in every epoch.",
        None,
        at_least=1,
    )
    balance: Literal["none", "loss", "sampling"] = rule(
        "For classes of unequal size. loss: the edges from `label` weigh each image by how rare "
        "its class is, 1 in the mean; sampling: every batch has the classes in equal shares, so "
        "that images of rare ones are shown more often. Both balance the probe of a head, too.",
        "none",
    )
    split_seed: int = rule(
        "Seed of the stratified split; one data set, one split for every trial.", 0, at_least=0
    )
    corrupt: Literal["error", "skip"] = rule(
        "What to do with files that are not readable images.", "error"
    )
    cache: Literal["auto", "always", "never"] = rule(
        "Keep decoded images in a memory-mapped cache; auto: unless they would not fit on the "
        "disk.",
        "auto",
    )
