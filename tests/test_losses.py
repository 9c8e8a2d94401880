"""Losses against their definitions, at the extremes where naive forms break."""

import math

import pytest
import torch
from torch import nn

from ktg.losses import NODE_LOSSES, ce, js, kl, log_probabilities


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 16, 7, generator=generator, dtype=torch.float64) * 3)


def test_ce_equals_torch_with_and_without_smoothing(pair):
    logits, labels = pair[0], torch.arange(16) % 7
    for smoothing in (0.0, 0.1):
        expected = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
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
    taught = pair[0].clone().requires_grad_()
    loss = NODE_LOSSES[name](log_probabilities(pair[0]), log_probabilities(taught))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-12, rtol=0)
    torch.testing.assert_close(taught.grad, torch.zeros_like(taught), atol=1e-12, rtol=0)
    assert (NODE_LOSSES[name](*map(log_probabilities, pair)) > 0).all()


def test_kl_from_a_certain_teacher_is_cross_entropy(pair):
    labels = torch.arange(16) % 7
    certain = log_probabilities(nn.functional.one_hot(labels, 7).double() * 1e6)
    taught = log_probabilities(pair[0])
    torch.testing.assert_close(kl(certain, taught), ce(taught, labels))


def test_js_is_symmetric_and_at_most_log_2(pair):
    log_p, log_q = map(log_probabilities, pair)
    torch.testing.assert_close(js(log_p, log_q), js(log_q, log_p))
    far = log_probabilities(torch.tensor([[500.0, 0.0]])), log_probabilities(torch.tensor([[0.0, 500.0]]))
    assert js(*far).item() == pytest.approx(math.log(2))


def test_kl_is_exact_at_a_logit_gap_of_60_in_float32():
    teacher, taught = torch.tensor([[60.0, 0.0]]), torch.tensor([[0.0, 60.0]], requires_grad=True)
    loss = kl(log_probabilities(teacher), log_probabilities(taught))
    loss.sum().backward()
    assert loss.item() == pytest.approx(60.0, rel=1e-7)
    torch.testing.assert_close(taught.grad, torch.tensor([[-1.0, 1.0]]))  # q - p: not vanished


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NODE_LOSSES)
def test_half_precision_logits_give_finite_losses_and_gradients(dtype, name):
    largest = torch.finfo(torch.float16).max
    teacher = torch.tensor([[60.0, 0.0], [largest, -largest]], dtype=dtype)
    taught = torch.tensor([[0.0, 60.0], [-largest, largest]], dtype=dtype, requires_grad=True)
    loss = NODE_LOSSES[name](log_probabilities(teacher), log_probabilities(taught))
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    assert taught.grad.isfinite().all()


def test_temperature_divides_the_logits(pair):
    torch.testing.assert_close(log_probabilities(pair[0], 4.0), (pair[0] / 4).log_softmax(1))
