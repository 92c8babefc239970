"""Parts of a mini-batch: nothing is lost or changed by them, and they keep to their size."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lessonkit import Learner, augment
from lessonkit.models import small_cnn
from lessonkit.training import memory
from tests.tiny import coloured

CPU = torch.device("cpu")


@given(n=st.integers(0, 70), side=st.sampled_from([1, 28, 128, 224, 600]), most=st.integers(1, 80))
def test_parts_are_all_of_it_in_its_order(n, side, most):
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 3, side, side)
    parts = list(memory.in_parts(images, most, CPU))
    assert torch.equal(torch.cat(parts), images)
    limit = min(most, max(1, memory.PREDICTED // side**2))
    assert [len(part) for part in parts[:-1]] == [limit] * (len(parts) - 1)
    assert len(parts[-1]) <= limit


def test_on_a_cpu_pictures_of_224_px_go_through_in_parts_of_five():
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(64, 3, 224, 224)
    assert [len(part) for part in memory.in_parts(images, 64, CPU)] == [5] * 12 + [4]


def test_elsewhere_parts_are_as_large_as_asked_for():
    elsewhere = torch.device("meta")
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(50, 3, 224, 224)
    parts = list(memory.in_parts(images, 20, elsewhere))
    assert [len(part) for part in parts] == [20, 20, 10]
    assert all(part.device == elsewhere for part in parts)


@pytest.mark.parametrize(("n_bytes", "fits"), [(100, True), (101, False)])
def test_pictures_are_copied_to_a_card_with_room_for_four_times_as_many(n_bytes, fits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400, 10**9))
    inputs = SimpleNamespace(nbytes=n_bytes, to=lambda device: device)
    card = torch.device("cuda")
    assert memory.all_on(card, inputs) is (card if fits else inputs)
    assert memory.all_on(CPU, inputs) is CPU


def test_activations_go_through_at_once_whatever_their_number_of_features():
    features = torch.zeros(64, 100_000)
    assert [len(part) for part in memory.in_parts(features, 64, CPU)] == [64]


@pytest.mark.parametrize("tta", [False, True])
def test_predictions_do_not_depend_on_the_parts(tta, monkeypatch):
    images = coloured().with_augment(augment.side_on())
    learn = Learner(small_cnn(n_classes=len(images.classes), width=4, seed=0), images, seed=0)
    pictures = images.valid.images
    whole = learn.predict(pictures, tta=tta)
    monkeypatch.setattr(memory, "PREDICTED", 3 * pictures.shape[-1] ** 2)
    assert torch.allclose(learn.predict(pictures, tta=tta), whole, atol=1e-6)


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_as_one_is_what_torch_cat_makes(sizes):
    parts = [torch.rand(n, 4) for n in sizes]
    assert torch.equal(memory.as_one(iter(parts), sum(sizes)), torch.cat(parts))


@pytest.mark.parametrize("sizes", [[2, 1], [3, 2], [2, 9], [9]])
def test_as_one_takes_as_many_rows_as_were_asked_for(sizes):
    said = f"gave {sum(sizes)} rows for 4 inputs"
    with pytest.raises(ValueError, match=said):
        memory.as_one([torch.rand(n, 3) for n in sizes], 4)


def test_as_one_of_nothing_is_nothing():
    assert memory.as_one(iter([]), 0).shape == (0,)


@given(n=st.integers(1, 70), side=st.sampled_from([28, 128, 224, 600]))
def test_a_step_takes_as_many_pictures_as_fit_unless_batchnorm_needs_all(n, side):
    images = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(n, 3, side, side)
    network = small_cnn(n_classes=3, width=4)
    assert memory.pictures_at_once(network.train(), images) == n
    at_once = memory.pictures_at_once(network.eval(), images)
    assert 1 <= at_once <= n and at_once <= memory.PIXELS / side**2 + 1
    assert at_once == n or 2 * at_once > memory.PIXELS / side**2 - 1
    assert memory.pictures_at_once(network, torch.zeros(n, 100_000)) == n
