"""The largest curvature, against matrices that are known."""

import pytest
import torch
from torch import nn

from lessonkit.landscape import largest_curvature


def mean_square(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(40, 5, generator=generator)
    return inputs, torch.randn(40, 1, generator=generator)


def test_it_is_the_exact_largest_eigenvalue_of_a_linear_problem():
    inputs, targets = problem()
    model = nn.Linear(5, 1, bias=False)
    exact = torch.linalg.eigvalsh(2 * inputs.T @ inputs / len(inputs))[-1].item()
    found = largest_curvature(model, mean_square, inputs, targets, tolerance=1e-6)
    assert found == pytest.approx(exact, rel=1e-2)


def test_it_is_the_exact_largest_eigenvalue_of_a_small_network():
    inputs, targets = problem()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
    names = [name for name, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]

    def loss(flat):
        parts = flat.split(sizes)
        weights = {
            n: w.view_as(p) for n, w, p in zip(names, parts, model.parameters(), strict=True)
        }
        return mean_square(torch.func.functional_call(model, weights, (inputs,)), targets)

    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    eigenvalues = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    exact = eigenvalues[eigenvalues.abs().argmax()].item()
    found = largest_curvature(model, mean_square, inputs, targets, steps=200, tolerance=1e-6)
    assert found == pytest.approx(exact, rel=2e-2)


def test_twice_the_loss_has_twice_the_curvature():
    inputs, targets = problem()
    model = nn.Linear(5, 1)
    once = largest_curvature(model, mean_square, inputs, targets)
    twice = largest_curvature(model, lambda o, t: 2 * mean_square(o, t), inputs, targets)
    assert twice == pytest.approx(2 * once, rel=1e-3)


@pytest.mark.parametrize(("factor", "shrinks"), [(0.98, True), (1.02, False)])
def test_gradient_descent_is_stable_up_to_two_over_it(factor, shrinks):
    inputs, targets = problem()
    model = nn.Linear(5, 1, bias=False)
    lr = factor * 2 / largest_curvature(model, mean_square, inputs, targets, tolerance=1e-6)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(300):
        loss = mean_square(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert (losses[-1] < losses[100]) == shrinks
