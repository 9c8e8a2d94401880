"""The data sets known by name: a plain dict of plain facts, so that a name is checked without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
class Known:
    """One data set of torchvision: its class, where it comes from, and which of its attributes hold what.

    `images` names an attribute with pixels, or with files; with `labels` None it holds (file,
    label) pairs. `lies` is what the folder of the data set holds once it is complete. `splits` are
    the constructor's arguments for the official train, val and test splits; None where there is no
    such split and a stratified share is taken.
    """

    torchvision: str
    url: str
    lies: str
    images: str
    labels: str | None
    splits: tuple[Arguments, Arguments | None, Arguments | None]
    download: bool = field(default=True)


_VGG = "https://www.robots.ox.ac.uk/~vgg"
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"

KNOWN: dict[str, Known] = {
    "caltech101": Known(
        "Caltech101", "https://data.caltech.edu/records/mzrjq-6wc02", "caltech101/101_ObjectCategories", "index", "y",
        _WHOLE,
    ),
    "cifar10": Known(
        "CIFAR10", "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "cifar-10-batches-py", "data",
        "targets", _FLAG,
    ),
    "cifar100": Known(
        "CIFAR100", "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "cifar-100-python", "data", "targets",
        _FLAG,
    ),
    "country211": Known(
        "Country211", "https://openaipublic.azureedge.net/clip/data/country211.tgz", "country211", "samples", None,
        ({"split": "train"}, {"split": "valid"}, {"split": "test"}),
    ),
    "dtd": Known("DTD", f"{_VGG}/data/dtd/download/dtd-r1.0.1.tar.gz", "dtd/dtd", "_image_files", "_labels", _THREE),
    "eurosat": Known(
        "EuroSAT", "https://huggingface.co/datasets/torchgeo/eurosat", "eurosat/2750", "samples", None, _WHOLE
    ),
    "fashion_mnist": Known(
        "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", "FashionMNIST/raw", "data",
        "targets", _FLAG,
    ),
    "fgvc_aircraft": Known(
        "FGVCAircraft", f"{_VGG}/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz", "fgvc-aircraft-2013b",
        "_image_files", "_labels", _THREE,
    ),
    "flowers102": Known("Flowers102", f"{_VGG}/data/flowers/102/", "flowers-102", "_image_files", "_labels", _THREE),
    "food101": Known(
        "Food101", "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz", "food-101", "_image_files", "_labels", _TWO
    ),
    # Thirty frames of one sign follow each other, so a val split drawn from train shows signs that
    # are trained on.
    "gtsrb": Known(
        "GTSRB", "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/", "gtsrb/GTSRB", "_samples",
        None, _TWO,
    ),
    # The official val split of Imagenette is what papers report, so it takes the place of the test
    # split.
    "imagenette": Known(
        "Imagenette", "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz", "imagenette2-320", "_samples",
        None, ({"split": "train", "size": "320px"}, None, {"split": "val", "size": "320px"}),
    ),
    "kmnist": Known(
        "KMNIST", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/", "KMNIST/raw", "data", "targets", _FLAG
    ),
    "mnist": Known(
        "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/", "MNIST/raw", "data", "targets", _FLAG
    ),
    "oxford_pets": Known(
        "OxfordIIITPet", f"{_VGG}/data/pets/data/", "oxford-iiit-pet", "_images", "_labels",
        ({"split": "trainval"}, None, {"split": "test"}),
    ),
    "stanford_cars": Known(
        "StanfordCars", "https://ai.stanford.edu/~jkrause/cars/car_dataset.html", "stanford_cars", "_samples", None,
        _TWO, download=False,
    ),
    "stl10": Known(
        "STL10", "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz", "stl10_binary", "data", "labels", _TWO
    ),
    "sun397": Known(
        "SUN397", "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz", "SUN397", "_image_files", "_labels",
        _WHOLE,
    ),
    "svhn": Known("SVHN", "http://ufldl.stanford.edu/housenumbers/", "train_32x32.mat", "data", "labels", _TWO),
    "usps": Known("USPS", f"{_LIBSVM}/usps.bz2", "usps.bz2", "data", "targets", _FLAG),
}  # fmt: skip

NAMES: tuple[str, ...] = (DIGITS, *KNOWN)


def check_name(name: str) -> None:
    """Raise SpecError at `data.name` unless `name` is a data set known by name, or a formula that draws one."""
    known = (*NAMES, *FORMULAS)
    if name not in known:
        raise not_one_of("data.name", name, "a known data set", known, most=len(known))
