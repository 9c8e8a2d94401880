"""The earth mover's distance against exact solvers, and its gradient against differences."""

import numpy as np
import ot
import pytest
import torch

from ktg.training.losses import log_probabilities
from ktg.training.sinkhorn import SHARPNESS, emd

KINDS = ("any", "line", "equal")


def distances(kind: str, classes: int) -> torch.Tensor:
    """Return distances of classes: of points anywhere, of points in a row, or all the same."""
    if kind == "equal":
        return 1 - torch.eye(classes, dtype=torch.float64)
    points = torch.arange(classes, dtype=torch.float64)[:, None]
    if kind == "any":
        points = torch.randn(
            classes, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
    found = torch.cdist(points, points)
    return found / found.amax()


def some(classes: int, count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(0.5, 20, count, dtype=torch.float64)[:, None]
    return tuple(torch.randn(2, count, classes, generator=generator, dtype=torch.float64) * scales)


def exact(p: torch.Tensor, q: torch.Tensor, distance: torch.Tensor) -> list[float]:
    pairs = [
        (one / one.sum(), other / other.sum())
        for one, other in zip(p.numpy(), q.numpy(), strict=True)
    ]
    return [ot.emd2(one, other, distance.numpy()) for one, other in pairs]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 10, 60])
def test_it_is_close_to_the_exact_distance(kind, classes):
    logits, distance = some(classes), distances(kind, classes)
    found = emd(*(log_probabilities(each.float()) for each in logits), distance.float())
    wanted = exact(*(each.softmax(1) for each in logits), distance)
    np.testing.assert_allclose(found.numpy(), wanted, atol=0.035)


@pytest.mark.parametrize("kind", KINDS)
def test_it_tends_to_the_exact_distance_as_entropy_vanishes(kind):
    logits, distance = some(6), distances(kind, 6)
    wanted = np.array(exact(*(each.softmax(1) for each in logits), distance))
    errors = [
        np.abs(
            emd(*map(log_probabilities, logits), distance, sharpness, 200).numpy() - wanted
        ).max()
        for sharpness in (0.1, 0.02, 0.004)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.004


def test_between_equally_distant_classes_it_is_the_total_variation():
    logits = some(10)
    p, q = (each.softmax(1) for each in logits)
    found = emd(*map(log_probabilities, logits), distances("equal", 10), 0.002, 200)
    torch.testing.assert_close(found, (p - q).abs().sum(1) / 2, atol=3e-3, rtol=0)


def test_what_is_moved_between_certain_classes_is_their_distance():
    distance = distances("any", 5).float()
    certain = log_probabilities(100 * torch.eye(5))
    for label in range(5):
        found = emd(certain[label].expand(5, -1), certain, distance)
        torch.testing.assert_close(found, distance[label], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_value(kind):
    one, other = (each[:4].clone() / 4 for each in some(5))
    distance = distances(kind, 5)

    def value(logits: torch.Tensor) -> torch.Tensor:
        return emd(log_probabilities(one), log_probabilities(logits), distance, 0.3, 40)

    assert torch.autograd.gradcheck(value, other.requires_grad_(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_divergence_that_an_independent_solver_finds(kind):
    one, other = (each[:4] / 4 for each in some(5))
    p, q, distance = *(each.softmax(1).numpy() for each in (one, other)), distances(kind, 5).numpy()

    def entropic(a: np.ndarray, b: np.ndarray) -> float:
        plan = ot.sinkhorn(
            a, b, distance, 0.3, method="sinkhorn_log", numItermax=20_000, stopThr=1e-9
        )
        return float((plan * distance).sum() + 0.3 * (plan * np.log(plan / np.outer(a, b))).sum())

    wanted = [
        entropic(a, b) - (entropic(a, a) + entropic(b, b)) / 2 for a, b in zip(p, q, strict=True)
    ]
    found = emd(
        log_probabilities(one), log_probabilities(other), torch.from_numpy(distance), 0.3, 200
    )
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_the_gradient_is_the_exact_potential():
    """Towards the exact distance too: the solution of the dual problem, up to a constant."""
    one, other = (each[:1] / 2 for each in some(5))
    distance = distances("any", 5)
    student = other.clone().requires_grad_()
    emd(log_probabilities(one), log_probabilities(student), distance, 0.002, 200).sum().backward()
    p, q = (each.softmax(1)[0] for each in (one, other))
    _, log = ot.emd2(p.numpy(), q.numpy(), distance.numpy(), return_matrix=False, log=True)
    potential = torch.from_numpy(np.asarray(log["v"]))
    torch.testing.assert_close(
        student.grad[0], q * (potential - (q * potential).sum()), atol=5e-3, rtol=0
    )


def test_agreement_is_the_minimum():
    logits = some(7)[0].requires_grad_()
    loss = emd(log_probabilities(logits.detach()), log_probabilities(logits), distances("any", 7))
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-9, rtol=0)
    assert (emd(*map(log_probabilities, some(7)), distances("any", 7)) > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_certain_and_contrary_nodes_give_finite_losses_and_gradients(dtype):
    largest = torch.finfo(torch.float16).max
    teacher = torch.tensor([[60.0, 0.0, -60.0], [largest, -largest, 0.0]], dtype=dtype)
    student = (-teacher).requires_grad_()
    distance = distances("line", 3).float()
    loss = emd(log_probabilities(teacher), log_probabilities(student), distance)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([1.0, 0.5]), atol=1e-3, rtol=0)
    assert student.grad.isfinite().all()


def test_the_kernel_is_nowhere_zero_in_float32():
    assert torch.exp(torch.tensor(-1 / SHARPNESS)) >= torch.finfo(torch.float32).tiny
