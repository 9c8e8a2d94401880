import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import Images, Summary
from ktg.data.open import (
    list_formula_settings,
    name_val_images,
    open_data,
    open_test,
    summarize,
)
from ktg.data.undecoded import ImageFiles
from ktg.errors import DataError, SpecError
from ktg.graph import Data, Formula

SPLIT = {"train/a": 4, "train/b": 5, "val/a": 2, "val/b": 2, "test/a": 3, "test/b": 1}
DRAWN = Data(name="fractaldb", size=16, formula=Formula(classes=4, instances=20, points=200))


def spec(root: Path, **fields: object) -> Data:
    return Data(path=str(root), **fields)


def pixels(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.read(range(len(images)))}


def test_stratified_thirds_do_not_overlap_and_leave_nothing_out(make):
    root = make({"a": 10, "b": 20})
    data, test = open_data(spec(root)), open_test(spec(root))
    assert [np.bincount(split.labels).tolist() for split in (data.train, data.val, test)] == [
        [6, 13],
        [2, 3],
        [2, 4],
    ]
    parts = [pixels(split) for split in (data.train, data.val, test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 30


def test_the_split_is_one_for_all_unless_its_seed_changes(make):
    root = make({"a": 10, "b": 20})
    first, again, other = (open_data(spec(root, split_seed=seed)) for seed in (0, 0, 1))
    assert pixels(first.train) == pixels(again.train)
    assert pixels(first.train) != pixels(other.train)
    assert pixels(open_test(spec(root))) != pixels(open_test(spec(root, split_seed=1)))


def test_folders_of_splits_are_taken_as_they_are(make):
    root = make(SPLIT)
    data, test = open_data(spec(root)), open_test(spec(root))
    assert [len(split) for split in (data.train, data.val, test)] == [9, 4, 4]
    assert data.classes == ("a", "b")


@pytest.mark.parametrize("counts", [{"a": 10, "b": 10}, SPLIT])
def test_training_never_reads_a_test_image(make, counts):
    root = make(counts)
    before = open_data(spec(root))
    test = [*root.glob("test/*/*.png")] or _files_of(open_test(spec(root)), root)
    assert test
    for path in test:
        times = path.stat()
        path.write_bytes(b"x" * times.st_size)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    shutil.rmtree(os.environ["KTG_CACHE"])
    after = open_data(spec(root))
    assert after.fingerprint == before.fingerprint
    assert pixels(after.train) == pixels(before.train)
    with pytest.raises(DataError, match=f"{len(test)} of {len(test)} images cannot be read"):
        open_test(spec(root))


def _files_of(images: Images, root: Path) -> list[Path]:
    wanted = pixels(images)
    return [
        path
        for path in root.rglob("*.png")
        if np.asarray(Image.open(path))[:, 1:11].tobytes() in wanted
    ]


def test_test_images_of_an_npz_stay_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from ktg.data import npz

    random = np.random.default_rng(0)
    arrays = {
        f"x_{split}": random.integers(0, 256, (6, 4, 4), dtype=np.uint8)
        for split in ("train", "val", "test")
    }
    labels = {f"y_{split}": [0, 1] * 3 for split in ("train", "val", "test")}
    np.savez(tmp_path / "set.npz", **arrays, **labels)
    loaded, load = [], npz._load
    monkeypatch.setattr(npz, "_load", lambda path, key: (loaded.append(key), load(path, key))[1])
    data = open_data(Data(path="set.npz"), base=tmp_path)
    np.testing.assert_array_equal(data.val.read(range(6))[..., 0], arrays["x_val"])
    assert "x_train" in loaded
    assert "x_test" not in loaded
    np.testing.assert_array_equal(
        open_test(Data(path="set.npz"), base=tmp_path).read([5])[0, ..., 0], arrays["x_test"][5]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cats_dogs", "cifar10_small/cifar10_small.npz"])
def test_decoding_on_the_fly_gives_the_bytes_of_the_cache(shared: Path, tmp_path: Path, name: str):
    root = shared / "data" / name
    if root.is_dir():
        for path in [path for kind in root.iterdir() for path in sorted(kind.iterdir())[:20]]:
            (tmp_path / "set" / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "set" / path.parent.name)
        root = tmp_path / "set"
    kept, flown = (open_data(spec(root, cache=cache, size=48)) for cache in ("always", "never"))
    assert type(kept.train._store) is not type(flown.train._store)
    rows = range(min(len(kept.train), 200))
    np.testing.assert_array_equal(kept.train.read(rows), flown.train.read(rows))
    assert kept.fingerprint == flown.fingerprint
    assert (kept.mean, kept.std) == (flown.mean, flown.std)


def test_few_shot_thins_out_train_alone(make):
    root = make({"a": 10, "b": 20})
    whole, few = open_data(spec(root)), open_data(spec(root, per_class=8))
    assert np.bincount(few.train.labels).tolist() == [6, 8]
    assert pixels(few.train) < pixels(whole.train)
    assert pixels(few.val) == pixels(whole.val)
    assert len(open_data(spec(make(SPLIT, name="split"), per_class=1)).train) == 2


def test_mean_and_deviation_are_over_the_training_images(make):
    data = open_data(spec(make({"a": 10, "b": 20}), per_class=3))
    images = data.train.read(range(len(data.train))) / 255
    np.testing.assert_allclose(data.mean, images.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(data.std, images.std(axis=(0, 1, 2)))


def test_the_fingerprint_tells_content_labels_and_split_and_nothing_else(make, tmp_path: Path):
    root = make({"a": 10, "b": 20})
    first = open_data(spec(root)).fingerprint
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    for path in (tmp_path / "copy").rglob("*.png"):
        path.rename(path.with_name(f"x{path.name}"))
    assert open_data(spec(tmp_path / "copy")).fingerprint == first
    assert open_data(spec(root, batch_size=3)).fingerprint == first
    others = [
        spec(root, split_seed=1),
        spec(root, val_fraction=0.4),
        spec(root, per_class=2),
        spec(root, size=8),
    ]
    prints = {first, *(open_data(other).fingerprint for other in others)}
    (root / "b").rename(root / "c")
    prints.add(open_data(spec(root)).fingerprint)
    Image.new("RGB", (12, 10)).save(root / "a/00.png")
    Image.new("RGB", (12, 10)).save(root / "a/01.png")
    Image.new("RGB", (12, 10)).save(root / "a/02.png")
    prints.add(open_data(spec(root)).fingerprint)
    assert len(prints) == 7


def test_skipped_files_are_reported_and_left_out(make):
    root = make({"a": 10, "b": 10, "c": 3})
    for path in root.glob("a/0[0-3].png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="images cannot be read"):
        open_data(spec(root))
    data, test = open_data(spec(root, corrupt="skip")), open_test(spec(root, corrupt="skip"))
    assert len(data.train) + len(data.val) + len(test) == 19
    assert set(data.skipped) <= {f"a/0{number}.png" for number in range(4)}
    assert data.skipped


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("failing", ["open", "header", "peak"])
def test_a_disk_that_fails_once_takes_no_image_for_good(make, monkeypatch, cache, failing):
    root = make({"a": 10, "b": 10}, mode="I;16" if failing == "peak" else "RGB")
    sound = getattr(ImageFiles, failing)

    def fail(images, row, *more):
        if images.names[row].endswith("3.png"):
            raise OSError(errno.EIO, "Input/output error", images.names[row])
        return sound(images, row, *more)

    wanted = spec(root, corrupt="skip", cache=cache)
    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, failing, fail)
        with pytest.raises(DataError, match=r"/03.png: cannot be read now \(Input/output error\);"):
            open_data(wanted)
    data = open_data(wanted)
    assert (len(data.train) + len(data.val), data.skipped) == (16, ())


def test_train_says_what_it_leaves_out_and_what_is_odd_once(make, caplog):
    root = make({"a": 10, "b": 10, "a/@eaDir": 1})
    for path in root.glob("a/0*.png"):
        path.write_bytes(b"no image")
    (root / "a/10.png").write_bytes((root / "b/00.png").read_bytes())
    (root / "a/11.png").write_bytes((root / "b/01.png").read_bytes())
    (root / "a/12.png").write_bytes((root / "b/02.png").read_bytes())
    for _ in range(2):
        data = open_data(spec(root, corrupt="skip", cache="never"))
        open_test(spec(root, corrupt="skip", cache="never"))
    oddity, left_out, left_out_of_test = (record.getMessage() for record in caplog.records)
    assert oddity.startswith(f"data.path: {root}: passed over in class folders: 1 folder that")
    assert f"{len(data.skipped)} images are left out, which cannot be read: a/0" in left_out
    assert "(not an image of a known format)" in left_out
    assert "test split: " in left_out_of_test


def test_links_to_nothing_and_pipes_end_in_one_sentence(make):
    root = make({"a": 4, "b": 4})
    (root / "a/gone.png").symlink_to("nowhere.png")
    os.mkfifo(root / "b/pipe.png")
    with pytest.raises(DataError, match=r"images cannot be read: .*(a pipe|No such file)"):
        open_data(spec(root, test_fraction=0.1))
    skipped = open_data(spec(root, corrupt="skip", test_fraction=0.1)).skipped
    assert set(skipped) <= {"a/gone.png", "b/pipe.png"}
    assert skipped


def test_a_class_of_which_nothing_is_left(make):
    root = make({"a": 5, "b": 5})
    for path in root.glob("a/*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"at least 2 images in the train split.*a \(0\)"):
        open_data(spec(root, corrupt="skip"))


def test_val_and_test_follow_the_form_of_train(make, tmp_path: Path):
    root = make(SPLIT, mode="L")
    for split in ("val", "test"):
        Image.new("RGB", (40, 30), "red").save(root / split / "a/00.png")
    assert open_data(spec(root)).train.shape == open_data(spec(root)).val.shape == (10, 10, 1)
    assert open_test(spec(root)).shape == (10, 10, 1)


def test_summary_counts_as_the_splits_turn_out_and_decodes_nothing(make, cache: Path):
    for root in (make({"a": 10, "b": 20}), make(SPLIT, name="split")):
        counted = summarize(spec(root, per_class=3))
        assert not cache.exists()
        data, test = open_data(spec(root, per_class=3)), open_test(spec(root))
        found = {"train": data.train, "val": data.val, "test": test}
        assert counted == Summary(
            ("a", "b"), {k: tuple(np.bincount(v.labels).tolist()) for k, v in found.items()}
        )
        shutil.rmtree(cache)


def test_summary_of_a_data_set_that_is_not_here():
    assert summarize(Data(name="cifar10")) is None
    assert sum(summarize(Data(name="digits")).counts["test"]) == pytest.approx(0.2 * 1797, abs=10)


def test_digits():
    data, test = open_data(Data(name="digits")), open_test(Data(name="digits"))
    assert data.train.shape == (8, 8, 1)
    assert len(data.train) + len(data.val) + len(test) == 1797
    assert min(np.bincount(test.labels)) > 30


def test_data_that_are_found_have_no_settings_of_a_formula(tiny):
    assert list_formula_settings(Data(path=str(tiny))) == {}


def read_all(images):
    return images.read(np.arange(len(images)))


def test_splits_share_no_picture_and_hold_every_class():
    dataset, test = open_data(DRAWN), open_test(DRAWN)
    assert dataset.classes == ("00000", "00001", "00002", "00003")
    splits = {"train": dataset.train, "val": dataset.val, "test": test}
    counts = {split: tuple(np.bincount(images.labels).tolist()) for split, images in splits.items()}
    assert counts == {"train": (13,) * 4, "val": (3,) * 4, "test": (4,) * 4}
    assert summarize(DRAWN).counts == counts
    seen = [picture.tobytes() for images in splits.values() for picture in read_all(images)]
    assert len(set(seen)) == len(seen) == 80
    assert dataset.train.shape == (16, 16, 3)


def test_statistics_are_those_of_the_recipe():
    dataset = open_data(DRAWN)
    assert (dataset.mean, dataset.std) == ((0.2,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("name", ["ofdb", "onep"])
def test_the_one_picture_of_a_class_is_in_every_split(name):
    spec = Data(name=name, size=16, formula=Formula(classes=3, points=200))
    dataset = open_data(spec)
    for images in (dataset.val, open_test(spec)):
        np.testing.assert_array_equal(read_all(images), read_all(dataset.train))
        assert images.labels.tolist() == [0, 1, 2]


def test_svd_has_as_many_pictures_as_are_asked_for():
    assert summarize(Data(name="svd", formula=Formula(classes=2, instances=1500))).counts[
        "train"
    ] == (960, 960)


def test_drawn_pictures_that_per_class_leaves_out_are_the_unlabelled_ones():
    few = replace(DRAWN, per_class=3)
    dataset, more = open_data(few), open_data(replace(few, unlabelled=("auto",)))
    assert dataset.unlabelled is None
    assert (len(more.train), len(more.unlabelled)) == (12, 4 * (13 - 3))
    assert set(more.unlabelled.labels) == {-1}
    assert summarize(replace(few, unlabelled=("auto",))).unlabelled == 40
    assert more.labelled_fingerprint == dataset.fingerprint != more.fingerprint
    # Labelled and unlabelled pictures are those of training without per_class, each once.
    every = open_data(DRAWN).train
    pixels = [images.read(range(len(images))) for images in (more.train, more.unlabelled, every)]
    seen = [sorted(image.tobytes() for image in part) for part in pixels]
    assert sorted(seen[0] + seen[1]) == seen[2]
    with pytest.raises(SpecError, match=r"data\.unlabelled: auto: data\.per_class leaves out no"):
        open_data(replace(DRAWN, unlabelled=("auto",)))
    with pytest.raises(SpecError, match=r"data\.unlabelled: more: of pictures drawn by a formula"):
        open_data(replace(few, unlabelled=("more",)))


def test_only_some_classes_are_drawn():
    whole, some = open_data(DRAWN), open_data(replace(DRAWN, only=("00001", "00003")))
    assert some.classes == ("00001", "00003")
    assert some.train.labels.tolist() == [0] * 13 + [1] * 13
    kept = {picture.tobytes() for picture in read_all(some.train)}
    wanted = read_all(whole.train)[np.isin(whole.train.labels, [1, 3])]
    assert kept == {picture.tobytes() for picture in wanted}


def test_few_shot_keeps_pictures_of_the_training_split():
    few = open_data(replace(DRAWN, per_class=2))
    assert few.train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    whole = {picture.tobytes() for picture in read_all(open_data(DRAWN).train)}
    assert {picture.tobytes() for picture in read_all(few.train)} <= whole


CHANGES = {
    "size": {"size": 20},
    "split": {"split_seed": 1},
    "val": {"val_fraction": 0.4},
    "few": {"per_class": 3},
    "only": {"only": ("00000", "00001")},
    "name": {"name": "svd"},
    "seed": {"formula": replace(DRAWN.formula, seed=1)},
    "points": {"formula": replace(DRAWN.formula, points=201)},
    "scale": {"formula": replace(DRAWN.formula, scale=0.1)},
    "point": {"formula": replace(DRAWN.formula, patch=False)},
    "classes": {"formula": replace(DRAWN.formula, classes=5)},
    "instances": {"formula": replace(DRAWN.formula, instances=21)},
}


def test_the_fingerprint_is_that_of_the_pictures():
    prints = {
        name: open_data(replace(DRAWN, **change)).fingerprint for name, change in CHANGES.items()
    }
    assert len({open_data(DRAWN).fingerprint, *prints.values()}) == 1 + len(CHANGES)
    same = replace(
        DRAWN, batch_size=3, augment="none", formula=replace(DRAWN.formula, scale=0.4, patch=True)
    )
    assert open_data(same).fingerprint == open_data(DRAWN).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 12}, r"data\.size: expected at least 13"),
        (
            {"formula": Formula(classes=1001)},
            r"data\.formula\.classes: 1,001 is more than the 1,000 categories",
        ),
        (
            {"formula": Formula(instances=1001)},
            r"data\.formula\.instances: 1,001 is more than the 1,000 of fractaldb",
        ),
        (
            {"formula": Formula(instances=2)},
            r"data\.formula\.instances: 2 of each class cannot fill",
        ),
        (
            {"name": "onep", "formula": Formula(instances=5)},
            r"instances: 5 is more than the 1 of onep",
        ),
        (
            {"name": "svd", "formula": Formula(scale=0.1)},
            r"scale: is a setting of fractaldb and ofdb, not of svd",
        ),
        (
            {"only": ("00001", "00009")},
            r"data\.only\[1\]: '00009' is not a class of data\.name: fractaldb",
        ),
    ],
)
def test_what_cannot_be_drawn(change, message):
    with pytest.raises(SpecError, match=message):
        open_data(replace(DRAWN, **change))


def test_folds_hold_out_every_image_but_those_of_the_test_split_once_from_one_cache(make):
    root = make({"a": 10, "b": 20})
    decoded = []
    opened = [
        open_data(spec(root, folds=3, fold=fold), progress=lambda *at: decoded.append(at))
        for fold in range(3)
    ]
    every = pixels(opened[0].train) | pixels(opened[0].val)
    assert [done for done, _ in decoded] == [*range(1, len(every) + 1)]
    assert every.isdisjoint(pixels(open_test(spec(root))))
    held = [pixels(one.val) for one in opened]
    assert set.union(*held) == every
    assert sum(map(len, held)) == len(every) == 24
    for one in opened:
        assert pixels(one.train) == every - pixels(one.val)
        assert np.bincount(one.val.labels).min() >= 2
    assert len({one.fingerprint for one in opened}) == 3
    counts = summarize(spec(root, folds=3, fold=1)).counts
    assert sum(counts["val"]) == len(opened[1].val)
    names = name_val_images(spec(root, folds=3, fold=1), range(len(opened[1].val)))
    shown = {np.asarray(Image.open(root / name)).tobytes() for name in names}
    assert len(shown) == len(opened[1].val)


def test_folds_keep_few_shot_training_out_of_what_is_held_out(make):
    one = open_data(spec(make({"a": 10, "b": 20}), folds=4, fold=2, per_class=3))
    assert np.bincount(one.train.labels).tolist() == [3, 3]
    assert pixels(one.train).isdisjoint(pixels(one.val))


@pytest.mark.parametrize("read", [open_data, summarize])
def test_folds_are_refused_where_there_is_a_val_split_or_too_few_images(make, read):
    with pytest.raises(DataError, match="val split of their own; leave out the folds"):
        read(spec(make(SPLIT), folds=2))
    with pytest.raises(DataError, match=r"data.folds: 9 are more than there are images .*, 6"):
        read(spec(make({"a": 4, "b": 4}, name="small"), folds=9))


def test_wrong_labels_are_those_of_training_and_never_of_the_test_split(make):
    root = make({"a": 40, "b": 60, "c": 20})
    clean, noisy = open_data(spec(root)), open_data(spec(root, label_noise=0.5))
    assert clean.fingerprint != noisy.fingerprint
    truth = {each.tobytes(): label for each, label in _labelled(clean)}
    said = {each.tobytes(): label for each, label in _labelled(noisy)}
    assert truth.keys() == said.keys()
    wrong = np.mean([truth[image] != said[image] for image in truth])
    assert 0.35 < wrong < 0.65
    np.testing.assert_array_equal(
        open_test(spec(root)).labels, open_test(spec(root, label_noise=0.5)).labels
    )
    counts = summarize(spec(root, label_noise=0.5)).counts
    assert counts["train"] == tuple(np.bincount(noisy.train.labels))


def _labelled(found):
    return [
        (image, label)
        for part in (found.train, found.val)
        for image, label in zip(part.read(range(len(part))), part.labels, strict=True)
    ]


def test_a_test_image_that_is_moved_to_its_right_class_makes_other_test_images(make):
    root = make(SPLIT)
    before = open_data(spec(root)), open_test(spec(root))
    (root / "test" / "a").mkdir(exist_ok=True)
    wrong = sorted((root / "test" / "a").iterdir())[0]
    wrong.rename(root / "test" / "b" / "moved.png")
    after = open_data(spec(root)), open_test(spec(root))
    assert after[0].fingerprint == before[0].fingerprint  # no choice is made by test images
    assert len(after[1]) == len(before[1])
    assert after[1].fingerprint_with_labels != before[1].fingerprint_with_labels


@pytest.mark.parametrize("fields", [{"per_class": 2}, {"val_fraction": 0.6}])
def test_a_class_of_which_training_would_use_no_label_is_refused(make, fields):
    root = make({"a": 12, "b": 12})
    lines = [f"{name}/{row:02d}.png,{name}" for name in "ab" for row in range(12)]
    weights = [1] * 12 + [1, 1, 1] + [0] * 9  # of b three labels are used
    table = [f"{line},{weight}" for line, weight in zip(lines, weights, strict=True)]
    (root / "labels.csv").write_text("\n".join(["file,label,weight", *table]))
    said = []
    for seed in range(20):
        data = spec(root, labels="labels.csv", split_seed=seed, **fields)
        try:
            train = open_data(data).train
        except DataError as error:
            assert "(labels of weight 0 do not count); too few: b (" in str(error)
            said.append(str(error))
        else:
            assert set(train.labels[train.used_rows]) == {0, 1}
    assert any("at least 1 image in the train split" in each for each in said)
    assert len(said) < 20
