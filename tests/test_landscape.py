"""Slices and curvature, against landscapes that are known."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lessonkit import models
from lessonkit.landscape import interpolate, largest_curvature, random_direction, slice_1d, slice_2d


def mean_square(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def problem(seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(40, 5, generator=generator)
    return inputs, torch.randn(40, 1, generator=generator)


# --- Slices -------------------------------------------------------------------------------------

DISTANCES = np.linspace(-1, 1, 5)


def relu_network(scale=1.0):
    """A network that computes the same for every `scale`, with other weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 1, bias=False))
    with torch.no_grad():
        model[0].weight *= scale
        model[2].weight /= scale
    return model


def test_a_linear_models_slices_are_the_parabolas_that_its_matrix_gives():
    inputs, targets = problem()
    model = nn.Linear(5, 1, bias=False)
    w, matrix = model.weight[0].detach(), 2 * inputs.T @ inputs / len(inputs)
    slope = 2 * inputs.T @ (inputs @ w - targets[:, 0]) / len(inputs)
    base = mean_square(model(inputs), targets).item()
    across, up = random_direction(model, 0), random_direction(model, 1)

    def exact(a, b):
        d = a * across["weight"][0] + b * up["weight"][0]
        return base + (slope @ d + d @ matrix @ d / 2).item()

    plane = slice_2d(model, mean_square, inputs, targets, across, up, DISTANCES)
    expected = [[exact(a, b) for a in DISTANCES] for b in DISTANCES]
    np.testing.assert_allclose(plane, expected, rtol=1e-4)
    line = slice_1d(model, mean_square, inputs, targets, across, DISTANCES)
    np.testing.assert_allclose(line, plane[2], rtol=1e-6)


def test_filters_of_a_direction_are_as_long_as_the_models_and_biases_stay():
    model = models.small_cnn(10, width=4)
    for name, part in random_direction(model).items():
        weight = model.get_parameter(name)
        if weight.ndim > 1:
            lengths = part.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1)
            torch.testing.assert_close(*lengths)
        else:
            assert not part.any()


def test_a_rescaled_network_has_the_same_slice_though_raw_steps_would_show_another():
    inputs, targets = problem()
    normalised, raw = [], []
    for scale in (1.0, 10.0):
        model = relu_network(scale)
        direction = random_direction(model, seed=3)
        normalised.append(slice_1d(model, mean_square, inputs, targets, direction, DISTANCES))
        generator = torch.Generator().manual_seed(3)
        steps = {n: torch.randn(p.shape, generator=generator) for n, p in model.named_parameters()}
        raw.append(slice_1d(model, mean_square, inputs, targets, steps, DISTANCES))
    np.testing.assert_allclose(*normalised, rtol=1e-4)
    assert not np.allclose(*raw, rtol=0.5)


def test_the_same_seed_draws_the_same_direction():
    one, same, other = (random_direction(relu_network(), seed=s)["0.weight"] for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_looking_changes_nothing():
    inputs, targets = problem()
    model = relu_network().train()
    before = copy.deepcopy(model.state_dict())
    direction = random_direction(model)
    slice_2d(model, mean_square, inputs, targets, direction, direction, DISTANCES)
    interpolate(model, mean_square, inputs, targets, before, before, [0.3])
    largest_curvature(model, mean_square, inputs, targets)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training and all(p.grad is None for p in model.parameters())


def test_the_way_between_two_networks_begins_and_ends_with_their_losses():
    inputs, targets = problem()
    model, ends = nn.Linear(5, 1), []
    for _ in range(2):
        model.reset_parameters()
        ends.append((copy.deepcopy(model.state_dict()), mean_square(model(inputs), targets).item()))
    way = interpolate(model, mean_square, inputs, targets, ends[0][0], ends[1][0], [0, 0.5, 1])
    assert way[[0, 2]] == pytest.approx([ends[0][1], ends[1][1]], rel=1e-5)
    assert way[1] <= way[[0, 2]].mean()  # the loss of a linear model is a bowl: no hill between


def test_batchnorms_statistics_are_mixed_and_its_count_is_left_alone():
    torch.manual_seed(0)
    model = models.small_cnn(3, width=4).eval()
    pictures = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    one, other = model.state_dict(), models.small_cnn(3, width=4, seed=1).eval().state_dict()
    way = interpolate(
        model, nn.functional.cross_entropy, pictures, labels, one, other, [0.0, 0.5, 1.0]
    )
    assert np.isfinite(way).all()


# --- Curvature ----------------------------------------------------------------------------------


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
