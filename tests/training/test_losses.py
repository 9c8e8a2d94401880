"""Losses against their definitions, at the extremes where naive forms break."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ktg.training.losses import (
    LOG_ZERO,
    attention,
    bootstrap,
    ce,
    correlate,
    dist,
    dkd,
    embedding,
    feature,
    gce,
    js,
    kl,
    log_probabilities,
    match_sizes,
    sce,
    weigh_by_uncertainty,
)

NODE_LOSSES = {"kl": kl, "js": js}


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 16, 7, generator=generator, dtype=torch.float64) * 3)


def test_ce_equals_torch_with_and_without_smoothing(pair):
    logits, labels = pair[0], torch.arange(16) % 7
    for smoothing in (0.0, 0.1):
        expected = nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )
        torch.testing.assert_close(ce(log_probabilities(logits), labels, smoothing), expected)


def test_kl_and_js_equal_their_definitions(pair):
    p, q = (logits.softmax(1) for logits in pair)
    log_p, log_q = map(log_probabilities, pair)
    mean = (p + q) / 2
    torch.testing.assert_close(kl(log_p, log_q), (p * (p / q).log()).sum(1))
    expected = ((p * (p / mean).log()).sum(1) + (q * (q / mean).log()).sum(1)) / 2
    torch.testing.assert_close(js(log_p, log_q), expected)


@pytest.mark.parametrize("name", NODE_LOSSES)
def test_a_node_loss_is_zero_with_zero_gradient_only_where_the_two_agree(pair, name):
    student = pair[0].clone().requires_grad_()
    loss = NODE_LOSSES[name](log_probabilities(pair[0]), log_probabilities(student))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-12, rtol=0)
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-12, rtol=0)
    assert (NODE_LOSSES[name](*map(log_probabilities, pair)) > 0).all()


def test_kl_from_a_certain_teacher_is_cross_entropy(pair):
    labels = torch.arange(16) % 7
    certain = log_probabilities(nn.functional.one_hot(labels, 7).double() * 1e6)
    student = log_probabilities(pair[0])
    torch.testing.assert_close(kl(certain, student), ce(student, labels))


def test_js_is_symmetric_and_at_most_log_2(pair):
    log_p, log_q = map(log_probabilities, pair)
    torch.testing.assert_close(js(log_p, log_q), js(log_q, log_p))
    far = (
        log_probabilities(torch.tensor([[500.0, 0.0]])),
        log_probabilities(torch.tensor([[0.0, 500.0]])),
    )
    assert js(*far).item() == pytest.approx(math.log(2))


def test_kl_is_exact_at_a_logit_gap_of_60_in_float32():
    teacher, student = torch.tensor([[60.0, 0.0]]), torch.tensor([[0.0, 60.0]], requires_grad=True)
    loss = kl(log_probabilities(teacher), log_probabilities(student))
    loss.sum().backward()
    assert loss.item() == pytest.approx(60.0, rel=1e-7)
    torch.testing.assert_close(student.grad, torch.tensor([[-1.0, 1.0]]))  # q - p: not vanished


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NODE_LOSSES)
def test_half_precision_logits_give_finite_losses_and_gradients(dtype, name):
    largest = torch.finfo(torch.float16).max
    teacher = torch.tensor([[60.0, 0.0], [largest, -largest]], dtype=dtype)
    student = torch.tensor([[0.0, 60.0], [-largest, largest]], dtype=dtype, requires_grad=True)
    loss = NODE_LOSSES[name](log_probabilities(teacher), log_probabilities(student))
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    assert student.grad.isfinite().all()


def test_dkd_equals_its_two_parts_by_direct_formula(pair):
    labels = torch.arange(16) % 7
    p, q = (logits.softmax(1) for logits in pair)
    rows = torch.arange(16)
    binary_p, binary_q = (
        torch.stack([each[rows, labels], 1 - each[rows, labels]], 1) for each in (p, q)
    )
    tckd = (binary_p * (binary_p / binary_q).log()).sum(1)
    others = nn.functional.one_hot(labels, 7) == 0
    rest_p, rest_q = (
        each[others].view(16, 6) / each[others].view(16, 6).sum(1, keepdim=True) for each in (p, q)
    )
    nckd = (rest_p * (rest_p / rest_q).log()).sum(1)
    log_p, log_q = map(log_probabilities, pair)
    for alpha, beta in ((1.0, 8.0), (1.0, 0.0), (0.0, 1.0), (0.3, 2.0)):
        torch.testing.assert_close(
            dkd(log_p, log_q, labels, alpha, beta), alpha * tckd + beta * nckd
        )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd_is_kl_where_the_others_weigh_as_much_as_they_are_probable(pair, temperature):
    labels = torch.arange(16) % 7
    student = pair[1].clone().requires_grad_()
    log_p, log_q = log_probabilities(pair[0], temperature), log_probabilities(student, temperature)
    rest = 1 - log_p.exp()[torch.arange(16), labels]
    both = dkd(log_p, log_q, labels, 1.0, rest), kl(log_p, log_q)
    torch.testing.assert_close(*both)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss.sum(), student, retain_graph=True)[0] for loss in both)
    )


def test_dkd_of_two_classes_has_nothing_but_the_label_against_the_other(pair):
    log_p, log_q = (log_probabilities(logits[:, :2]) for logits in pair)
    torch.testing.assert_close(dkd(log_p, log_q, torch.arange(16) % 2, 1.0, 8.0), kl(log_p, log_q))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_dkd_is_finite_where_a_node_is_certain(dtype):
    largest = torch.finfo(torch.float16).max
    teacher = torch.tensor([[60.0, 0.0, -60.0], [largest, -largest, 0.0]], dtype=dtype)
    student = (-teacher).requires_grad_()
    for label in range(3):
        loss = dkd(
            log_probabilities(teacher),
            log_probabilities(student),
            torch.full((2,), label),
            1.0,
            8.0,
        )
        (grad,) = torch.autograd.grad(loss.sum(), student)
        assert loss.isfinite().all()
        assert grad.isfinite().all()


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of two networks: 5 channels of 8 x 8, and 3 of 4 x 4."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, 8, 8, generator=generator), torch.randn(
        6, 3, 4, 4, generator=generator
    )


def test_attention_equals_its_formula_by_hand(maps):
    known, student = maps
    for i, loss in enumerate(attention(known, student)):
        one = (known[i] ** 2).mean(0).view(4, 2, 4, 2).mean((1, 3)).flatten()
        other = (student[i] ** 2).mean(0).flatten()
        torch.testing.assert_close(loss, ((one / one.norm() - other / other.norm()) ** 2).sum())
    torch.testing.assert_close(attention(*maps), attention(*reversed(maps)))


def test_attention_knows_neither_scale_nor_sign_nor_channels(maps):
    known, student = maps
    torch.testing.assert_close(
        attention(known, student), attention(-7 * known, torch.cat([student, student], 1))
    )
    torch.testing.assert_close(attention(known, -3 * known), torch.zeros(6), atol=1e-6, rtol=0)
    left, right = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    left[..., 0], right[..., 1] = 1, 1
    torch.testing.assert_close(attention(left, right), torch.tensor([2.0]))


def test_attention_of_dead_maps_is_finite():
    student = torch.zeros(1, 3, 4, 4, requires_grad=True)
    loss = attention(torch.ones(1, 3, 4, 4), student)
    loss.sum().backward()
    assert loss.item() == pytest.approx(1.0)
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_feature_equals_its_formula_by_hand(maps):
    known, student = maps[0], torch.randn(6, 5, 4, 4, generator=torch.Generator().manual_seed(1))
    smaller = known.view(6, 5, 4, 2, 4, 2).mean((3, 5))
    torch.testing.assert_close(feature(known, student), ((smaller - student) ** 2).mean((1, 2, 3)))
    assert torch.equal(feature(known, known), torch.zeros(6))


def test_maps_of_one_size_are_not_touched(maps):
    assert all(
        one is other
        for one, other in zip(match_sizes(maps[0], maps[0]), (maps[0], maps[0]), strict=True)
    )


def test_a_learned_weight_ends_where_theory_says():
    losses = torch.tensor([0.2, 0.5, 1.1], dtype=torch.float64)
    log_variance = torch.zeros((), dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(
        weigh_by_uncertainty(losses, log_variance), losses
    )  # it begins as if there were none
    optimizer = torch.optim.SGD([log_variance], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        weigh_by_uncertainty(losses, log_variance).mean().backward()
        optimizer.step()
    assert log_variance.exp().item() == pytest.approx(2 * losses.mean().item())


def test_temperature_divides_the_logits(pair):
    torch.testing.assert_close(log_probabilities(pair[0], 4.0), (pair[0] / 4).log_softmax(1))


def test_dist_is_one_minus_the_correlations_of_images_and_of_classes(pair):
    """By NumPy's correlation matrix, which shares nothing with the code."""
    p, q = (logits.softmax(1).numpy() for logits in pair)
    rows = [1 - np.corrcoef(one, other)[0, 1] for one, other in zip(p, q, strict=True)]
    columns = [1 - np.corrcoef(one, other)[0, 1] for one, other in zip(p.T, q.T, strict=True)]
    found = dist(*map(log_probabilities, pair))
    expected = torch.tensor([row + np.mean(columns) for row in rows])
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    assert found.mean().item() == pytest.approx(np.mean(rows) + np.mean(columns))


def test_dist_knows_neither_scale_nor_shift_of_probabilities_and_is_at_most_four(pair):
    log_p, log_q = map(log_probabilities, pair)
    one, other = log_p.exp(), log_q.exp()
    torch.testing.assert_close(correlate(one, other, 1), correlate(3 * one + 1, other, 1))
    values = dist(log_p, log_q)
    assert ((values >= 0) & (values <= 4)).all()
    torch.testing.assert_close(dist(log_p, log_p), torch.zeros(16, dtype=torch.float64))


def test_dist_of_two_classes_teaches_by_the_images_alone():
    """Of two classes the correlation over the classes is 1 or -1, without a gradient."""
    generator = torch.Generator().manual_seed(0)
    log_p = log_probabilities(torch.randn(8, 2, generator=generator))
    student = torch.randn(8, 2, generator=generator).requires_grad_()
    log_q = log_probabilities(student)
    own = correlate(log_p.exp(), log_q.exp(), 1)
    torch.testing.assert_close(own.abs(), torch.ones(8))
    (flat,) = torch.autograd.grad(own.sum(), student, retain_graph=True)
    assert flat.abs().max() < 1e-5
    (grad,) = torch.autograd.grad(dist(log_p, log_q).mean(), student)
    assert grad.abs().max() > 1e-3


def test_dist_and_embedding_are_finite_where_nothing_varies():
    even = torch.zeros(4, 3).requires_grad_()
    loss = dist(log_probabilities(torch.zeros(4, 3)), log_probabilities(even)).sum()
    loss = loss + embedding(torch.zeros(4, 5), even @ torch.ones(3, 5)).sum()
    loss.backward()
    assert loss.isfinite()
    assert even.grad.isfinite().all()


def test_embedding_is_one_minus_the_cosine(pair):
    one, other = pair
    cosine = [
        float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(one.numpy(), other.numpy(), strict=True)
    ]
    torch.testing.assert_close(embedding(one, other), 1 - torch.tensor(cosine, dtype=torch.float64))
    torch.testing.assert_close(embedding(one, 7 * other), embedding(one, other))
    assert embedding(one, one).abs().max() < 1e-12


LABELS = torch.arange(16) % 7


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(labels, 7).double()


def gradient(logits: torch.Tensor, loss) -> torch.Tensor:
    leaf = logits.clone().requires_grad_()
    loss(log_probabilities(leaf)).sum().backward()
    return leaf.grad


def test_gce_is_between_cross_entropy_and_absolute_error(pair):
    log_q = log_probabilities(pair[0])
    right = log_q.gather(1, LABELS[:, None]).squeeze(1).exp()
    torch.testing.assert_close(gce(log_q, LABELS, 1e-7), ce(log_q, LABELS), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gce(log_q, LABELS, 1.0), 1 - right)
    absolute = (log_q.exp() - one_hot(LABELS)).abs().sum(dim=1) / 2
    torch.testing.assert_close(gce(log_q, LABELS, 1.0), absolute)
    for exponent in (0.1, 0.7):
        expected = (1 - right**exponent) / exponent
        torch.testing.assert_close(gce(log_q, LABELS, exponent), expected)
        assert (gce(log_q, LABELS, exponent) <= 1 / exponent).all()


def test_the_gradient_of_gce_is_that_of_ce_times_a_power_of_the_probability(pair):
    right = pair[0].softmax(1).gather(1, LABELS[:, None])
    expected = gradient(pair[0], lambda log_q: ce(log_q, LABELS)) * right**0.7
    found = gradient(pair[0], lambda log_q: gce(log_q, LABELS, 0.7))
    torch.testing.assert_close(found, expected)


def test_sce_is_both_cross_entropies(pair):
    log_q = log_probabilities(pair[0])
    logs = one_hot(LABELS).log().clamp(min=LOG_ZERO)
    reverse = -(log_q.exp() * logs).sum(dim=1)
    torch.testing.assert_close(sce(log_q, LABELS, 1.0, 0.0), ce(log_q, LABELS))
    torch.testing.assert_close(sce(log_q, LABELS, 0.0, 1.0), reverse)
    torch.testing.assert_close(sce(log_q, LABELS, 0.1, 2.0), 0.1 * ce(log_q, LABELS) + 2 * reverse)


def test_the_reverse_cross_entropy_is_a_multiple_of_the_absolute_error(pair):
    log_q = log_probabilities(pair[0])
    torch.testing.assert_close(sce(log_q, LABELS, 0.0, 1.0), 4 * gce(log_q, LABELS, 1.0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_certain_mixed_labels_are_hard_ones(pair, smoothing):
    log_q = log_probabilities(pair[0])
    for loss in (
        lambda labels: gce(log_q, labels, 0.7, smoothing),
        lambda labels: sce(log_q, labels, 1.0, 8.0, smoothing),
        lambda labels: bootstrap(log_probabilities(pair[1]), log_q, labels, 0.3, smoothing),
    ):
        torch.testing.assert_close(loss(one_hot(LABELS)), loss(LABELS))


def test_smoothed_gce_is_gce_of_smoothed_labels(pair):
    log_q = log_probabilities(pair[0])
    smoothed = 0.9 * one_hot(LABELS) + 0.1 / 7
    torch.testing.assert_close(gce(log_q, LABELS, 0.7, 0.1), gce(log_q, smoothed, 0.7))


def test_robust_losses_are_finite_where_probabilities_underflow():
    logits = torch.tensor([[1e4, 0.0, 0.0]])
    for loss in (
        lambda log_q: gce(log_q, torch.tensor([1]), 0.7),
        lambda log_q: sce(log_q, torch.tensor([1]), 1.0, 8.0),
    ):
        assert loss(log_probabilities(logits)).isfinite().all()
        assert gradient(logits, loss).isfinite().all()


def test_bootstrap_is_the_cross_entropy_with_a_mixture(pair):
    log_p, log_q = map(log_probabilities, pair)
    torch.testing.assert_close(bootstrap(log_p, log_q, LABELS, 0.0), ce(log_q, LABELS))
    target = 0.3 * log_p.exp() + 0.7 * one_hot(LABELS)
    torch.testing.assert_close(bootstrap(log_p, log_q, LABELS, 0.3), ce(log_q, target))


def test_bootstrap_pulls_as_a_closing_label_edge_and_an_opening_teacher_do(pair):
    log_p = log_probabilities(pair[1])
    found = gradient(pair[0], lambda log_q: bootstrap(log_p, log_q, LABELS, 0.3))
    apart = gradient(pair[0], lambda log_q: 0.7 * ce(log_q, LABELS) + 0.3 * kl(log_p, log_q))
    torch.testing.assert_close(found, apart)


def test_the_mean_of_the_losses_of_several_teachers_teaches_their_ensemble(pair):
    """Of kl, at any temperature: so `aggregate: mean` distils the mean of their probabilities."""
    generator = torch.Generator().manual_seed(1)
    teachers = torch.randn(3, 16, 7, generator=generator, dtype=torch.float64) * 2
    for temperature in (1.0, 4.0):
        logs = [log_probabilities(logits, temperature) for logits in teachers]
        mean = torch.stack([log.exp() for log in logs]).mean(0).log()
        gradients = []
        for sources in (logs, [mean]):
            student = pair[0].clone().requires_grad_()
            log_q = log_probabilities(student, temperature)
            torch.stack([kl(log, log_q) for log in sources]).mean(0).sum().backward()
            gradients.append(student.grad)
        torch.testing.assert_close(*gradients)
