"""Networks: what they map to what, that folding changes nothing, that the weights are real."""

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize

from lessonkit import models
from lessonkit.course.datasets import embedded
from lessonkit.images.as_pictures import read_pictures
from lessonkit.networks import backbone
from lessonkit.recipe import familiarity

ARCH = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def network():
    return models.pretrained(ARCH, 3).eval()


@pytest.fixture(scope="module")
def creatures():
    paths = sorted(embedded.creatures_folder().glob("*/*.jpg"))
    return {path.stem: path for path in paths}


def noise(n=4, size=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("size", [16, 28, 64])
def test_small_cnn_takes_pictures_of_any_size(size):
    model = models.small_cnn(7, width=4)
    assert model(noise(2, size)).shape == (2, 7)
    assert len(models.layer_groups(model)) == 3


@pytest.mark.parametrize("counts", [(-1,), (0,), (2.5,), (3, 0), ("3",)])
def test_a_network_has_a_class_and_a_channel_at_least(counts):
    with pytest.raises(ValueError, match="n_classes and width are counts from 1 on"):
        models.small_cnn(*counts)


@pytest.mark.parametrize("n_classes", [-1, 0, 2.5, "3"])
def test_a_pretrained_network_has_a_class_at_least(n_classes):
    with pytest.raises(ValueError, match="n_classes is a count from 1 on"):
        models.pretrained(ARCH, n_classes)


def test_one_class_and_one_channel_are_enough():
    assert models.small_cnn(1, 1)(noise(2, 16)).shape == (2, 1)


def test_a_small_cnn_has_32_channels_unless_others_are_asked_for():
    shapes = (
        [p.shape for p in m.parameters()] for m in (models.small_cnn(3), models.small_cnn(3, 32))
    )
    assert next(shapes) == next(shapes)


def test_small_cnn_depends_on_its_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (models.small_cnn(3, 4, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one[-1].weight, same[-1].weight)
    assert not torch.equal(one[-1].weight, other[-1].weight)
    unasked, zero = models.small_cnn(3, 4), models.small_cnn(3, 4, 0)
    assert torch.equal(unasked[-1].weight, zero[-1].weight)


def test_small_cnn_halves_the_picture_three_times():
    seen = []
    late = models.small_cnn(3, 4)[1]
    pool = next(part for part in late if isinstance(part, nn.AdaptiveAvgPool2d))
    pool.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    model = models.small_cnn(3, 4)
    late(model[0](noise(2, 64)))
    assert seen == [(2, 32, 8, 8)]


def test_a_network_without_an_old_classifier_is_not_asked():
    model = models.small_cnn(3, 4)
    assert (model.imagenet, model.imagenet_size) == ((), 0)
    with pytest.raises(ValueError, match="old classifier"):
        familiarity(model, torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


def test_what_lessonkit_has_not_made_has_no_old_classifier_either():
    with pytest.raises(ValueError, match="old classifier"):
        familiarity(nn.Linear(3, 3), torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


def test_any_other_network_is_one_group():
    assert len(models.layer_groups(nn.Linear(2, 2))) == 1


def test_a_layer_that_stands_in_two_places_is_a_group_in_both():
    shared = nn.ReLU()
    groups = [nn.Linear(3, 8), shared, nn.Linear(8, 8), shared, nn.Linear(8, 2)]
    assert models.layer_groups(models.LayerGroups(*groups)) == groups


@torch.no_grad()
def test_folding_batchnorm_changes_no_activation(network):
    untouched = backbone.create(ARCH, True)
    config = untouched.pretrained_cfg
    inputs = models.Normalise(config["mean"], config["std"])(noise())
    expected = untouched.forward_head(untouched.forward_features(inputs), pre_logits=True)
    found = network[:-1](noise())
    assert (found - expected).norm() < 1e-4 * expected.norm()


def test_nothing_is_left_that_training_mode_would_change(network):
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network.train()
    first, second = network[:-1](noise()), network[:-1](noise())
    network.eval()
    assert torch.equal(first, second) and torch.equal(first, network[:-1](noise()))


def test_a_new_head_thinks_all_classes_equally_likely(network):
    assert torch.equal(network(noise()).softmax(1), torch.full((4, 3), 1 / 3))


def test_the_weights_are_imagenets(network, creatures):
    """The old classifier knows the animals; the numbers are ImageNet's classes."""
    known = {
        "zebra": {340}, "lion_2": {291}, "elephant": {101, 385, 386}, "gorilla": {366},
        "tiger": {292}, "koala": {105}, "wombat": {106}, "beaver": {337}, "ostrich": {9},
        "peacock": {84}, "pelican": {144}, "penguin": {145}, "pink_flamingo": {130}, "bison": {347},
        "dromedary": {354}, "orca": {148}, "marmot": {336},
    }  # fmt: skip
    pictures = read_pictures([creatures[name] for name in known], 224)
    with torch.no_grad():
        top = network.imagenet[0](network[:-1](pictures)).argmax(1).tolist()
    right = sum(found in classes for found, classes in zip(top, known.values(), strict=True))
    assert right >= 12, dict(zip(known, top, strict=True))


def test_photos_are_more_familiar_than_tiles_and_noise(network, creatures):
    photos = read_pictures(list(creatures.values())[::4], 128)
    tiles = torch.from_numpy(embedded.earth_tiles().images[::120].copy()).permute(0, 3, 1, 2)
    values = [familiarity(network, x) for x in (photos, tiles, noise(20))]
    assert 1 >= values[0] > 0.3 > values[1] > 0 and values[2] < 0.3


def test_an_unknown_name_gets_a_sentence_with_others():
    with pytest.raises(ValueError, match=r"did you mean.*resnet18"):
        models.pretrained("resnet18x", 2)


def test_a_network_that_is_no_chain_of_layers_is_refused():
    with pytest.raises(ValueError, match="isn't a chain of layers"):
        backbone.chain(backbone.create("vit_tiny_patch16_224", False))


def test_another_chain_works_without_its_weights():
    network = models.pretrained("resnet18", 4, load_weights=False)
    assert network(noise()).shape == (4, 4) and len(models.layer_groups(network)) == 3


def test_pictures_go_in_as_bytes_and_are_normalised_inside():
    grey = torch.full((1, 3, 8, 8), 128, dtype=torch.uint8)
    inside = models.Normalise((0.5,) * 3, (0.25,) * 3)(grey)
    assert inside.abs().max() < 0.01 and inside.dtype == torch.float32
    assert Image.MAX_IMAGE_PIXELS is not None  # nobody has switched Pillow's own guard off


def test_pictures_are_normalised_as_torchvision_does_it():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = normalize(noise() / 255, mean, std)
    torch.testing.assert_close(models.Normalise(mean, std)(noise()), expected, rtol=1e-5, atol=1e-6)


def test_small_cnn_sees_black_as_minus_two_and_white_as_two():
    shades = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    seen = models.small_cnn(3, 4)[0][0](shades)
    assert torch.equal(seen, torch.tensor([-2.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 16, 16))


def test_all_channels_of_a_pixel_lie_together(network):
    together = {"memory_format": torch.channels_last}
    assert models.Normalise((0.5,) * 3, (0.25,) * 3)(noise()).is_contiguous(**together)
    for model in (network, models.small_cnn(3, 4)):
        filters = [p for p in model.parameters() if p.ndim == 4]
        assert filters and all(p.is_contiguous(**together) for p in filters)
