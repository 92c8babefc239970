"""Networks in layer groups: a small one to train from scratch, and pretrained ones with a new head.

Every network here maps uint8 pictures [N, 3, S, S] to logits [N, classes] and does its own
scaling and normalising, so nobody can forget it. It is a chain of layer groups, earliest first.
"""

from numbers import Integral

import torch
from torch import Tensor, nn

__all__ = ["LayerGroups", "Normalise", "layer_groups", "pretrained", "small_cnn"]


class LayerGroups(nn.Sequential):
    """A network as a chain of layer groups, earliest first; the last one is the head.

    `about` says which function made it, with which arguments: what a saved model needs.
    Pretrained ones know their old classifier, `imagenet`, and the size, px, it was trained at.
    """

    about: dict
    layers: str  # as they were made: a saved model is built so again
    imagenet: tuple[nn.Module, ...] = ()  # a tuple hides it from torch: it isn't to be trained
    imagenet_size: int = 0


class Normalise(nn.Module):
    """uint8 pictures to floats, by each channel's `mean` and `std`, which are fractions of 255."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, 3, S, S] to float [N, 3, S, S], about -2 to 2; ValueError for activations."""
        if images.ndim != 4:
            raise ValueError(f"This network takes pictures [N, 3, S, S], not {list(images.shape)}.")
        # Channels last: convolutions on a CPU read all channels of a pixel at once.
        pixels = (images.to(self.mean.dtype) - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)


def layer_groups(model: nn.Module) -> list[nn.Module]:
    """The layer groups of `model`, earliest first; any other network is a single group."""
    return list(model) if isinstance(model, LayerGroups) else [model]


def small_cnn(n_classes: int, width: int = 32, seed: int = 0) -> LayerGroups:
    """Six 3×3 convolutions and a linear head, about 0.6 million weights at width 32.

    Small enough to train from scratch on a laptop; for pictures of 16 px a side or more.
    The same seed gives the same initial weights. Raises ValueError for fewer than one class or
    channel.
    """
    if not all(isinstance(n, Integral) and n >= 1 for n in (n_classes, width)):
        raise ValueError(f"n_classes and width are counts from 1 on, not {n_classes} and {width}.")

    def conv(n_in: int, n_out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
        )

    w = width
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # manual_seed would also seed graphics cards
        early = [Normalise((0.5,) * 3, (0.25,) * 3), conv(3, w, 1), conv(w, 2 * w, 2)]
        late = [conv(2 * w, 2 * w, 1), conv(2 * w, 4 * w, 2), conv(4 * w, 4 * w, 1)]
        late += [conv(4 * w, 8 * w, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        head = nn.Linear(8 * w, n_classes)
    model = LayerGroups(nn.Sequential(*early), nn.Sequential(*late), head)
    model.about = {"made_by": "small_cnn", "n_classes": n_classes, "width": width}
    model.layers = repr(model)
    return model.to(memory_format=torch.channels_last)


def pretrained(arch: str, n_classes: int, load_weights: bool = True) -> LayerGroups:
    """A network trained on ImageNet, with a new head for `n_classes` classes, in three groups.

    `tf_efficientnet_lite0` has its weights on this machine already; another timm network needs a
    connection the first time. BatchNorm is folded into the convolutions: with a few hundred
    pictures its statistics must stay as ImageNet left them, and folded they can't do otherwise.
    The head starts at zero, so that all classes are equally likely: what a random one says about
    pictures unlike the training ones is noise that training never removes.
    `load_weights=False` leaves the body's weights random, for a saved model's to replace them.
    Raises ValueError for a name timm doesn't know, no chain of layers, weights out of reach, or
    fewer than one class.
    """
    from lessonkit.networks import backbone  # and with it timm: not needed from scratch

    if not (isinstance(n_classes, Integral) and n_classes >= 1):
        raise ValueError(f"n_classes is a count from 1 on, not {n_classes}.")
    network = backbone.create(arch, load_weights)
    config = network.pretrained_cfg
    imagenet = network.get_classifier()
    layers = backbone.fold_batchnorm(backbone.chain(network))
    early, late = backbone.halves(layers)
    head = nn.Linear(imagenet.in_features, n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    model = LayerGroups(
        nn.Sequential(Normalise(config["mean"], config["std"]), *early), nn.Sequential(*late), head
    )
    model.about = {"made_by": "pretrained", "arch": arch, "n_classes": n_classes}
    model.layers = repr(model)
    model.imagenet, model.imagenet_size = (imagenet,), config["input_size"][-1]
    return model.to(memory_format=torch.channels_last)
