from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.data import open_data
from ktg.data.batches import Batches
from ktg.graph import Data

CPU = torch.device("cpu")
ROWS = torch.tensor([[3, 1, 4], [1, 5, 9]])


@pytest.fixture
def images(make):
    return open_data(Data(path=str(make({"a": 20, "b": 20})))).train


@pytest.mark.parametrize(("resident_bytes", "workers"), [(2**31, 0), (0, 0), (0, 1)])
def test_batches_are_the_rows_asked_for_on_every_path(images, resident_bytes: int, workers: int):
    batches = Batches(images, CPU, resident_bytes=resident_bytes, workers=workers)
    for rows in (ROWS, [torch.tensor([7, 0, 2]), torch.tensor([6])], ROWS.flip(0)):
        got = list(batches(rows))
        assert len(got) == len(rows)
        for (pixels, labels), chosen in zip(got, rows, strict=True):
            np.testing.assert_array_equal(
                pixels.permute(0, 2, 3, 1).numpy(), images.read(chosen.numpy())
            )
            assert pixels.dtype == torch.uint8
            assert pixels.is_contiguous()
            assert labels.dtype == torch.int64
            assert labels.tolist() == images.labels[chosen.numpy()].tolist()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pass_that_is_broken_off_does_not_spoil_the_next(images, workers: int):
    batches = Batches(images, CPU, resident_bytes=0, workers=workers)
    next(batches(torch.arange(20)[:, None]))
    assert [labels.tolist() for _, labels in batches(ROWS)] == [
        images.labels[row.numpy()].tolist() for row in ROWS
    ]


def test_no_steps_no_batches(images):
    assert list(Batches(images, CPU)([])) == []


def test_resident_is_decided_by_the_bytes_of_the_split(images):
    assert Batches(images, CPU, resident_bytes=images.nbytes)._resident is not None
    assert Batches(images, CPU, resident_bytes=images.nbytes - 1)._resident is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("resident_bytes", [2**31, 0])
def test_on_a_gpu_the_same_batches(images, resident_bytes: int):
    device = torch.device("cuda")
    batches = Batches(images, device, resident_bytes=resident_bytes)
    torch.cuda.set_sync_debug_mode("error" if resident_bytes else "default")
    got = list(batches(ROWS.pin_memory()))
    torch.cuda.set_sync_debug_mode("default")
    for (pixels, labels), (expected, wanted) in zip(got, Batches(images, CPU)(ROWS), strict=True):
        assert torch.equal(pixels.cpu(), expected)
        assert torch.equal(labels.cpu(), wanted)


def test_images_on_the_fly_through_workers(make, tmp_path: Path):
    root = make({"a": 20, "b": 20})
    kept, flown = (
        open_data(Data(path=str(root), cache=cache)).train for cache in ("always", "never")
    )
    (want, _), (got, _) = (
        next(Batches(split, CPU, resident_bytes=0, workers=1)(ROWS)) for split in (kept, flown)
    )
    assert torch.equal(want, got)
