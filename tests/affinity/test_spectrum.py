"""The shared eigendecomposition is the singular value decomposition, whichever side is smaller."""

import pytest
import torch

from ktg.affinity.spectrum import decompose, slices


@pytest.mark.parametrize("shape", [(30, 7), (7, 30), (12, 12)])
@pytest.mark.parametrize("centre", [True, False])
def test_it_rebuilds_the_gram_matrix(shape, centre, monkeypatch):
    monkeypatch.setattr(
        "ktg.affinity.spectrum.slices", lambda length, width: slices(length, width, 8 * width * 4)
    )
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 3
    mean = features.mean(dim=0, dtype=torch.float64) if centre else None
    centred = features.double() - (mean if centre else 0)
    found = decompose(features, mean)
    torch.testing.assert_close(found.u * found.squares @ found.u.T, centred @ centred.T)
    torch.testing.assert_close(
        found.u.T @ found.u, torch.eye(len(found.squares), dtype=torch.float64)
    )
    assert found.squares.tolist() == sorted(found.squares.tolist(), reverse=True)
    assert found.dimensions == shape[1]


def test_directions_without_content_are_left_out():
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    assert (
        len(decompose(torch.hstack([features, features[:, :1], torch.zeros(20, 2)])).squares) == 3
    )
    assert len(decompose(torch.zeros(5, 4)).squares) == 0


def test_slices_cover_everything_even_when_one_row_is_more_than_a_block():
    assert [(part.start, part.stop) for part in slices(5, 10**9)] == [(i, i + 1) for i in range(5)]
    assert sum(part.stop - part.start for part in slices(1000, 12345)) == 1000
