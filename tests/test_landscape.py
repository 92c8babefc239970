"""Slices and curvature, against landscapes that are known."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lessonkit import landscape, models
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


def test_a_network_that_is_frozen_has_no_curvature_to_ask_for():
    inputs, targets = problem()
    with pytest.raises(ValueError, match="All weights are frozen"):
        largest_curvature(relu_network().requires_grad_(False), mean_square, inputs, targets)


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


@torch.no_grad()
def test_the_way_is_there_for_tied_weights_too():
    inputs, targets = torch.rand(6, 3), torch.rand(6, 3)
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    start = copy.deepcopy(model.state_dict())
    end = {name: 2 * weight for name, weight in start.items()}
    way = interpolate(model, mean_square, inputs, targets, start, end, [0, 1])
    twice = inputs @ (2 * model[0].weight).T @ (2 * model[0].weight).T
    expected = [mean_square(outputs, targets).item() for outputs in (model(inputs), twice)]
    np.testing.assert_allclose(way, expected, rtol=1e-5)


def trained_a_little(seed):
    """A small network whose BatchNorm layers have seen other pictures for each seed."""
    model = models.small_cnn(3, width=4, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(1 + seed):
        model(torch.randint(0, 100 * (1 + seed), (6, 3, 16, 16), generator=generator).byte())
    return model.eval()


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.3, 1.0, 1.5])
def test_batchnorms_statistics_are_mixed_and_its_count_is_left_alone(share):
    pictures = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    one, other = trained_a_little(0), trained_a_little(1)
    start, end = one.state_dict(), other.state_dict()
    mixed = copy.deepcopy(one)
    for name, value in mixed.state_dict().items():  # its own tensors: changed in place
        if value.is_floating_point():
            value.copy_((1 - share) * start[name] + share * end[name])
    seen = []

    def loss(outputs, targets):
        seen.append(outputs)
        return nn.functional.cross_entropy(outputs, targets)

    [found] = interpolate(one, loss, pictures, labels, start, end, [share])
    with torch.no_grad():
        expected = mixed(pictures)
    torch.testing.assert_close(seen[0], expected)
    assert found == pytest.approx(nn.functional.cross_entropy(expected, labels).item())
    statistics = [name for name in start if "running" in name]
    assert statistics and not any(torch.equal(start[name], end[name]) for name in statistics)


def test_a_plane_may_reach_further_to_one_side():
    inputs, targets = problem()
    model = nn.Linear(5, 1)
    across, up = random_direction(model, 0), random_direction(model, 1)
    given = model, mean_square, inputs, targets
    wide = slice_2d(*given, across, up, DISTANCES, [0.5])
    assert wide.shape == (1, 5) and wide.dtype == np.float64
    np.testing.assert_allclose(wide[0], slice_2d(*given, across, up, [*DISTANCES, 0.5])[5, :5])


def test_losses_are_float64_whatever_the_weights_are():
    inputs, targets = problem()
    model = nn.Linear(5, 1)
    whole = {name: p.detach() for name, p in model.named_parameters()}
    half = {name: p.bfloat16() for name, p in whole.items()}
    found = []
    for weights, kind in ((whole, torch.float32), (half, torch.bfloat16)):
        given = model.to(kind), mean_square, inputs.to(kind), targets.to(kind)
        found.append(slice_1d(*given, weights, DISTANCES))
        found.append(interpolate(*given, weights, {n: w * 2 for n, w in weights.items()}, [0, 1]))
    assert {losses.dtype for losses in found} == {np.dtype(np.float64)}
    np.testing.assert_allclose(found[2], found[0], rtol=0.05)
    np.testing.assert_allclose(found[3], found[1], rtol=0.05)


def test_a_direction_is_the_draw_of_its_seed_and_of_the_kind_of_the_weights():
    model = nn.Linear(5, 3).double()
    drawn = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).double()
    direction = random_direction(model)
    assert {part.dtype for part in direction.values()} == {torch.float64}
    cosines = nn.functional.cosine_similarity(direction["weight"], drawn)
    torch.testing.assert_close(cosines, torch.ones(3).double())
    assert not any(part.requires_grad for part in direction.values())


def test_pictures_go_where_the_weights_are():
    there = landscape._beside(iter([torch.empty(1, device="meta")]), torch.ones(2), torch.ones(3))
    assert [(part.device.type, len(part)) for part in there] == [("meta", 2), ("meta", 3)]


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


def power_iteration(matrix, steps, tolerance, seed=0):
    """λ of a matrix, by the definition."""
    direction = torch.randn(1, len(matrix), generator=torch.Generator().manual_seed(seed))[0]
    found = 0.0
    for _ in range(steps):
        direction = direction / direction.norm()
        product = matrix @ direction
        before, found = found, (product @ direction).item()
        if abs(found - before) <= tolerance * abs(found):
            break
        direction = product
    return found


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    "how", [{}, {"steps": 1}, {"steps": 2, "seed": 5}, {"steps": 7, "tolerance": 0.0}, {"seed": 3}]
)
def test_it_takes_as_many_products_as_power_iteration_does(how, scale):
    inputs, targets = problem()
    model = nn.Linear(5, 1, bias=False)
    matrix = scale * 2 * inputs.T @ inputs / len(inputs)
    expected = power_iteration(matrix, **{"steps": 50, "tolerance": 1e-3, **how})
    found = largest_curvature(model, lambda o, t: scale * mean_square(o, t), inputs, targets, **how)
    assert found == pytest.approx(expected, rel=1e-4)


def test_it_goes_on_for_50_products_at_most(monkeypatch):
    inputs, targets = problem()
    products, real = [], torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *a, **k: (products.append(1), real(*a, **k))[1]
    )
    largest_curvature(nn.Linear(5, 1), mean_square, inputs, targets, tolerance=-1.0)
    assert len(products) == 1 + 50  # the gradient itself, once


def test_it_is_found_in_the_precision_of_the_weights():
    inputs, targets = (part.double() for part in problem())
    found = largest_curvature(nn.Linear(5, 1).double(), mean_square, inputs, targets, 200, 1e-12)
    padded = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)  # the bias
    exact = torch.linalg.eigvalsh(2 * padded.T @ padded / len(inputs))[-1].item()
    assert found == pytest.approx(exact, rel=1e-9)


def test_its_first_product_is_in_the_precision_of_the_weights_too():
    inputs, targets = (part.double() for part in problem())
    model = nn.Linear(5, 1, bias=False).double()
    drawn = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))[0].double()
    exact = drawn @ (2 * inputs.T @ inputs / len(inputs)) @ drawn / (drawn @ drawn)
    found = largest_curvature(model, mean_square, inputs, targets, steps=1)
    assert found == pytest.approx(exact.item(), rel=1e-12)


def test_a_flat_place_has_none():
    inputs, targets = problem()
    model = nn.Linear(5, 1, bias=False)
    nn.init.zeros_(model.weight)
    assert largest_curvature(model, lambda o, t: (o**3).mean(), inputs, targets) == 0.0


def test_frozen_weights_are_no_directions_to_go():
    inputs, targets = problem()
    model = nn.Linear(5, 1)
    model.weight.requires_grad_(False)
    # By the bias alone a mean square has the second derivative 2.
    assert largest_curvature(model, mean_square, inputs, targets) == pytest.approx(2.0, rel=1e-5)


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
