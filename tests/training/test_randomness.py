"""Seeds that depend on what they are made of, and batch orders that visit everything."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.training.randomness import balanced_rows, derive_seed, endless_rows, epoch_rows, use_seed

parts = st.lists(
    st.one_of(st.integers(0, 5), st.sampled_from(["order", "weights", "n0"])),
    min_size=1,
    max_size=3,
)


@given(parts, parts)
def test_different_parts_give_different_seeds_and_equal_parts_equal_ones(one, other):
    assert (derive_seed(*one) == derive_seed(*other)) is (
        list(map(str, one)) == list(map(str, other))
    )
    assert 0 <= derive_seed(*one) < 2**63


def test_the_block_has_its_own_random_numbers_and_gives_the_old_ones_back():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with use_seed(1, torch.device("cpu")):
        first = torch.rand(4)
    assert torch.equal(torch.rand(2), expected)
    with use_seed(1, torch.device("cpu")):
        assert torch.equal(torch.rand(4), first)


@given(
    images=st.integers(1, 60),
    batch=st.integers(1, 20),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
)
def test_an_epoch_sees_no_image_twice_and_leaves_out_less_than_a_batch(images, batch, seed, epoch):
    rows = epoch_rows(images, batch, seed, epoch)
    assert rows.shape == (images // batch, batch)
    assert len(rows.unique()) == rows.numel()
    assert images - rows.numel() < batch


def test_epochs_and_seeds_have_orders_of_their_own():
    assert torch.equal(epoch_rows(50, 5, 0, 0), epoch_rows(50, 5, 0, 0))
    assert not torch.equal(epoch_rows(50, 5, 0, 0), epoch_rows(50, 5, 0, 1))
    assert not torch.equal(epoch_rows(50, 5, 0, 0), epoch_rows(50, 5, 1, 0))


@given(
    images=st.integers(1, 40),
    batch=st.integers(1, 20),
    steps=st.integers(1, 4),
    epochs=st.integers(1, 4),
)
def test_endless_rows_pass_over_all_images_before_any_comes_again(images, batch, steps, epochs):
    rows = torch.cat(
        [endless_rows(images, batch, steps, 0, epoch).flatten() for epoch in range(epochs)]
    )
    assert len(rows) == epochs * steps * batch
    for one_pass in torch.split(rows, images):
        assert len(one_pass.unique()) == len(one_pass)
    assert torch.equal(
        endless_rows(images, batch, steps, 0, epochs - 1).flatten(), rows[-steps * batch :]
    )


@given(
    counts=st.lists(st.integers(0, 20), min_size=2, max_size=5).filter(lambda each: sum(each) > 3),
    batch=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_balanced_rows_show_classes_equally_and_all_images_of_one_before_any_again(
    counts, batch, epoch
):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    rows = balanced_rows(labels, batch, 0, epoch)
    assert rows.shape == (len(labels) // batch, batch)
    shown = labels[rows.flatten()].bincount(minlength=len(counts))[torch.tensor(counts) > 0]
    assert int(shown.max() - shown.min()) <= 1
    for label in range(len(counts)):
        times = rows.flatten()[labels[rows.flatten()] == label].bincount(minlength=len(labels))
        assert int(times[labels == label].max() if counts[label] else 0) <= 1 + int(
            times[labels == label].min() if counts[label] else 0
        )


def test_balanced_epochs_and_seeds_have_orders_of_their_own():
    labels = torch.arange(40) % 4
    assert torch.equal(balanced_rows(labels, 5, 0, 0), balanced_rows(labels, 5, 0, 0))
    assert not torch.equal(balanced_rows(labels, 5, 0, 0), balanced_rows(labels, 5, 0, 1))
    assert not torch.equal(balanced_rows(labels, 5, 0, 0), balanced_rows(labels, 5, 1, 0))
