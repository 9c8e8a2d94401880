"""Lists the data sets known by name, as plain data: a name is checked without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from ktg.errors import not_one_of
from ktg.graph import FORMULAS

Arguments = Mapping[str, str | bool]

DIGITS = "digits"
_FLAG: tuple[Arguments, None, Arguments] = ({"train": True}, None, {"train": False})
_TWO: tuple[Arguments, None, Arguments] = ({"split": "train"}, None, {"split": "test"})
_THREE: tuple[Arguments, Arguments, Arguments] = (
    {"split": "train"},
    {"split": "val"},
    {"split": "test"},
)
_WHOLE: tuple[Arguments, None, None] = ({}, None, None)


@dataclass(frozen=True)
class NamedSet:
    """Describes one data set of torchvision: its class, its host, and which attributes hold what.

    `images` names an attribute with pixels, or with files; with `labels` None it holds (file,
    label) pairs. `marker` exists in the folder of the data set once that is complete. `splits` are
    the constructor's arguments for the official train, val and test splits; None where there is no
    such split and a stratified share is taken. `download` is False where the host is gone.
    """

    torchvision: str
    url: str
    marker: str
    images: str
    labels: str | None
    splits: tuple[Arguments, Arguments | None, Arguments | None]
    download: bool = True


_AWS = "https://s3.amazonaws.com"
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
_VGG = "https://www.robots.ox.ac.uk/~vgg"

NAMED_SETS: dict[str, NamedSet] = {
    "caltech101": NamedSet(
        "Caltech101", "https://data.caltech.edu/records/mzrjq-6wc02",
        "caltech101/101_ObjectCategories", "index", "y", _WHOLE,
    ),
    "cifar10": NamedSet(
        "CIFAR10", "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-batches-py", "data", "targets", _FLAG,
    ),
    "cifar100": NamedSet(
        "CIFAR100", "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "cifar-100-python", "data", "targets", _FLAG,
    ),
    "country211": NamedSet(
        "Country211", "https://openaipublic.azureedge.net/clip/data/country211.tgz",
        "country211", "samples", None,
        ({"split": "train"}, {"split": "valid"}, {"split": "test"}),
    ),
    "dtd": NamedSet(
        "DTD", f"{_VGG}/data/dtd/download/dtd-r1.0.1.tar.gz",
        "dtd/dtd", "_image_files", "_labels", _THREE,
    ),
    "eurosat": NamedSet(
        "EuroSAT", "https://huggingface.co/datasets/torchgeo/eurosat",
        "eurosat/2750", "samples", None, _WHOLE,
    ),
    "fashion_mnist": NamedSet(
        "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "FashionMNIST/raw", "data", "targets", _FLAG,
    ),
    "fgvc_aircraft": NamedSet(
        "FGVCAircraft", f"{_VGG}/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
        "fgvc-aircraft-2013b", "_image_files", "_labels", _THREE,
    ),
    "flowers102": NamedSet(
        "Flowers102", f"{_VGG}/data/flowers/102/",
        "flowers-102", "_image_files", "_labels", _THREE,
    ),
    "food101": NamedSet(
        "Food101", "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
        "food-101", "_image_files", "_labels", _TWO,
    ),
    # Thirty frames of one sign follow each other, so a val split taken from train shows signs that
    # are trained on.
    "gtsrb": NamedSet(
        "GTSRB", "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/",
        "gtsrb/GTSRB", "_samples", None, _TWO,
    ),
    # Papers report the official val split of Imagenette, so it takes the place of the test split.
    "imagenette": NamedSet(
        "Imagenette", f"{_AWS}/fast-ai-imageclas/imagenette2-320.tgz",
        "imagenette2-320", "_samples", None,
        ({"split": "train", "size": "320px"}, None, {"split": "val", "size": "320px"}),
    ),
    "kmnist": NamedSet(
        "KMNIST", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "KMNIST/raw", "data", "targets", _FLAG,
    ),
    "mnist": NamedSet(
        "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "MNIST/raw", "data", "targets", _FLAG,
    ),
    "oxford_pets": NamedSet(
        "OxfordIIITPet", f"{_VGG}/data/pets/data/", "oxford-iiit-pet", "_images", "_labels",
        ({"split": "trainval"}, None, {"split": "test"}),
    ),
    "stanford_cars": NamedSet(
        "StanfordCars", "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        "stanford_cars", "_samples", None, _TWO, download=False,
    ),
    "stl10": NamedSet(
        "STL10", "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "stl10_binary", "data", "labels", _TWO,
    ),
    "sun397": NamedSet(
        "SUN397", "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
        "SUN397", "_image_files", "_labels", _WHOLE,
    ),
    "svhn": NamedSet(
        "SVHN", "http://ufldl.stanford.edu/housenumbers/",
        "train_32x32.mat", "data", "labels", _TWO,
    ),
    "usps": NamedSet("USPS", f"{_LIBSVM}/usps.bz2", "usps.bz2", "data", "targets", _FLAG),
}  # fmt: skip

NAMES: tuple[str, ...] = (DIGITS, *NAMED_SETS)


def check_name(name: str) -> None:
    """Raise SpecError at `data.name` unless `name` is a known data set or a formula."""
    known = (*NAMES, *FORMULAS)
    if name not in known:
        raise not_one_of("data.name", name, "a known data set", known, most=len(known))
