import dataclasses
import hashlib
import http.server
import json
import pickle
import tarfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data.decode import Geometry
from ktg.data.set_names import NAMED_SETS
from ktg.data.torchvision_sets import is_downloaded, read_named
from ktg.errors import DataError

HERE = "http://127.0.0.1:9/nothing-listens-here"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), "red").save(path)


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n")


def dtd(root: Path) -> None:
    for split in ("train", "val", "test"):
        for name in ("b/b_1.jpg", "a/a_1.jpg"):
            picture(root / f"dtd/dtd/images/{name.replace('1', split)}")
        lines(root / f"dtd/dtd/labels/{split}1.txt", f"b/b_{split}.jpg", f"a/a_{split}.jpg")


def food101(root: Path) -> None:
    for split in ("train", "test"):
        lines(
            root / f"food-101/meta/{split}.json",
            json.dumps({name: [f"{name}/{split}"] for name in "ba"}),
        )
        for name in "ba":
            picture(root / f"food-101/images/{name}/{split}.jpg")


def caltech101(root: Path) -> None:
    for name in ("BACKGROUND_Google", "a", "b"):
        picture(root / f"caltech101/101_ObjectCategories/{name}/image_0001.jpg")


def sun397(root: Path) -> None:
    lines(root / "SUN397/ClassName.txt", "/a/a", "/b/b")
    for name in "ba":
        picture(root / f"SUN397/{name}/{name}/sun_1.jpg")


def gtsrb(root: Path) -> None:
    for label in ("00000", "00001"):
        picture(root / f"gtsrb/GTSRB/Training/{label}/1.ppm")
    lines(root / "gtsrb/GT-final_test.csv", "Filename;ClassId", "x.ppm;1")
    picture(root / "gtsrb/GTSRB/Final_Test/Images/x.ppm")


def eurosat(root: Path) -> None:
    for name in "ab":
        picture(root / f"eurosat/2750/{name}/1.jpg")


def imagenette(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("n01440764", "n02102040"):
            picture(root / f"imagenette2-320/{split}/{name}/1.JPEG")


def country211(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in "ab":
            picture(root / f"country211/{split}/{name}/1.jpg")


def oxford_pets(root: Path) -> None:
    for split in ("trainval", "test"):
        lines(root / f"oxford-iiit-pet/annotations/{split}.txt", "pug_1 2 1 1", "big_cat_1 1 1 1")
    for name in ("pug_1", "big_cat_1"):
        picture(root / f"oxford-iiit-pet/images/{name}.jpg")


def fgvc_aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b/data"
    lines(data / "variants.txt", "a", "b")
    for split in ("train", "val", "test"):
        lines(data / f"images_variant_{split}.txt", "1 b", "2 a")
    for name in "12":
        picture(data / f"images/{name}.jpg")


def flowers102(root: Path) -> None:
    from scipy.io import savemat

    for image in range(1, 4):
        picture(root / f"flowers-102/jpg/image_{image:05d}.jpg")
    savemat(root / "flowers-102/setid.mat", {"trnid": [1, 2], "valid": [1, 3], "tstid": [2, 3]})
    savemat(root / "flowers-102/imagelabels.mat", {"labels": [1, 2, 1]})


def stanford_cars(root: Path) -> None:
    from scipy.io import savemat

    cars = root / "stanford_cars"
    (cars / "devkit").mkdir(parents=True)
    savemat(cars / "devkit/cars_meta.mat", {"class_names": np.array(["a", "b"], dtype=object)})
    for split, path in (
        ("train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        kind = [("class", int), ("fname", object)]
        savemat(cars / path, {"annotations": np.array([(2, "1.jpg"), (1, "2.jpg")], dtype=kind)})
        for name in "12":
            picture(cars / f"cars_{split}/{name}.jpg")


def mnist(root: Path, kind: str) -> None:
    for name, count in (("train", 3), ("t10k", 2)):
        folder = root / kind / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        numbers = np.array([2051, count, 4, 4], ">i4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(numbers + bytes(range(16)) * count)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            np.array([2049, count], ">i4").tobytes() + bytes(range(count))
        )


FILES = {
    "dtd": (dtd, 2, 2, 2), "food101": (food101, 2, None, 2),
    "caltech101": (caltech101, 2, None, None), "sun397": (sun397, 2, None, None),
    "gtsrb": (gtsrb, 2, None, 1), "eurosat": (eurosat, 2, None, None),
    "imagenette": (imagenette, 2, None, 2), "country211": (country211, 2, 2, 2),
    "oxford_pets": (oxford_pets, 2, None, 2), "fgvc_aircraft": (fgvc_aircraft, 2, 2, 2),
    "flowers102": (flowers102, 2, 2, 2), "stanford_cars": (stanford_cars, 2, None, 2),
    "mnist": (partial(mnist, kind="MNIST"), 3, None, 2),
    "fashion_mnist": (partial(mnist, kind="FashionMNIST"), 3, None, 2),
    "kmnist": (partial(mnist, kind="KMNIST"), 3, None, 2),
}  # fmt: skip


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_data_set_in_the_layout_of_torchvision_is_read(
    downloads: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    from torchvision.datasets import Flowers102

    monkeypatch.setattr(Flowers102, "_check_integrity", lambda _: True)  # of the real annotations
    build, train, val, test = FILES[name]
    assert not is_downloaded(name)
    build(downloads / name)
    assert is_downloaded(name)
    found = read_named(name)
    assert len(found.train.images) == len(found.train.labels) == train
    assert (found.val is None) == (val is None)
    assert (found.test is None) == (test is None)
    assert val is None or len(found.val.labels) == val
    assert test is None or len(found.test().labels) == test
    assert max(found.train.labels) < len(found.classes)
    assert all(isinstance(label, str) for label in found.classes)
    side = found.train.images.header(0).sides[0]
    assert side == (4 if "mnist" in name else 6)


def test_labels_follow_their_files(downloads: Path):
    dtd(downloads / "dtd")
    sun397(downloads / "sun397")
    for name in ("dtd", "sun397"):
        found = read_named(name)
        for row, label in enumerate(found.train.labels):
            assert f"/{found.classes[label].split('/')[0]}/" in found.train.images.name(row)


def test_pixels_in_planes_and_pickles_of_cifar(downloads: Path, monkeypatch: pytest.MonkeyPatch):
    from torchvision.datasets import CIFAR10

    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    folder = downloads / "cifar10/cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "batch").write_bytes(
        pickle.dumps({"data": images.reshape(4, -1), "labels": [0, 1, 1, 0]})
    )
    (folder / "meta").write_bytes(pickle.dumps({"label_names": ["plane", "car"]}))
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    for part in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, part, [["batch", md5["batch"]]])
    monkeypatch.setattr(
        CIFAR10, "meta", {"filename": "meta", "key": "label_names", "md5": md5["meta"]}
    )
    found = read_named("cifar10")
    assert found.classes == ("plane", "car")
    assert found.train.labels.tolist() == [0, 1, 1, 0]
    pixels = found.train.images.open(3, Geometry(32, 3))[1]
    np.testing.assert_array_equal(pixels, images[3].transpose(1, 2, 0))


def test_planes_come_last_and_missing_names_are_numbers(
    downloads: Path, monkeypatch: pytest.MonkeyPatch
):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    (downloads / "svhn").mkdir(parents=True)
    lists = {}
    for split in ("train", "test"):
        path = downloads / f"svhn/{split}_32x32.mat"
        savemat(path, {"X": images, "y": [[1], [10], [9], [2]]})
        lists[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", lists)
    found = read_named("svhn")
    assert found.classes == tuple("0123456789")
    assert found.train.labels.tolist() == [1, 0, 9, 2]
    np.testing.assert_array_equal(found.train.images.open(1, Geometry(32, 3))[1], images[..., 1])


def test_digits_span_the_grey_values():
    found = read_named("digits")
    assert found.classes == tuple("0123456789")
    assert len(found.train.labels) == 1797
    pixels = np.stack([found.train.images.open(row, Geometry(8, 1))[1] for row in range(50)])
    assert pixels.min() == 0
    assert pixels.max() == 255


@pytest.mark.parametrize("url", ["https://host.invalid/file.tar.gz", HERE])
def test_offline_there_is_one_error_within_two_seconds(
    downloads: Path, monkeypatch: pytest.MonkeyPatch, url: str
):
    monkeypatch.setitem(NAMED_SETS, "cifar10", dataclasses.replace(NAMED_SETS["cifar10"], url=url))
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        read_named("cifar10")
    assert time.monotonic() - start < 2
    for part in (
        "data.name: cifar10",
        "cannot be reached",
        url,
        str(downloads / "cifar10/cifar-10-batches-py"),
    ):
        assert part in str(caught.value)
    assert not downloads.exists()


def test_a_data_set_that_left_the_net_says_where_to_put_it(downloads: Path):
    with pytest.raises(
        DataError, match=r"can no longer be downloaded.*car_dataset\.html.*stanford_cars"
    ):
        read_named("stanford_cars")


def test_a_broken_folder_is_named(downloads: Path):
    (downloads / "dtd/dtd/dtd").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"data.name: dtd in .*downloads/dtd is incomplete or broken"
    ):
        read_named("dtd")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A web server with the archive of DTD, to which torchvision is pointed."""
    from torchvision.datasets import DTD

    dtd(tmp_path / "site")
    path = tmp_path / "site/dtd.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "site/dtd/dtd", "dtd")
    handler = partial(_Quiet, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        url = f"http://127.0.0.1:{server.server_port}/dtd.tar.gz"
        monkeypatch.setitem(NAMED_SETS, "dtd", dataclasses.replace(NAMED_SETS["dtd"], url=url))
        monkeypatch.setattr(DTD, "_URL", url)
        monkeypatch.setattr(DTD, "_MD5", hashlib.md5(path.read_bytes()).hexdigest())
        yield path
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def test_with_a_network_torchvision_downloads(downloads: Path, archive: Path):
    (downloads / "dtd.partial/dtd/dtd").mkdir(parents=True)  # left by a process that was killed
    assert read_named("dtd").classes == ("a", "b")
    assert is_downloaded("dtd")
    assert not (downloads / "dtd.partial").exists()


def test_a_download_that_fails_leaves_nothing(downloads: Path, archive: Path):
    archive.write_bytes(b"not the archive")
    with pytest.raises(DataError, match=r"data\.name: dtd could not be downloaded"):
        read_named("dtd")
    assert not is_downloaded("dtd")
    assert not (downloads / "dtd.partial").exists()
