"""Networks trained on ImageNet, taken apart: layers in a chain, BatchNorm folded away.

The networks come from timm; `lessonkit.networks.weights` finds their weights.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lessonkit.networks import weights

__all__ = ["chain", "create", "fold_batchnorm", "halves"]

SMALLEST = (16, 32, 64)  # sides, px, of the smallest pictures that a network may ask for
ODD = 75  # px, to try a chain on: not even, so it finds networks that need multiples of 2 or 32


def create(arch: str, load: bool) -> nn.Module:
    """timm's network `arch` in eval mode, with its ImageNet weights if `load`.

    Raises ValueError for a name that timm doesn't know, a network that can't be used here, and
    weights that can't be had.
    """
    import timm  # slow to import, and needed here only

    weights.check_name(arch)
    if not load:
        return timm.create_model(arch).eval()
    if arch != weights.OWN:
        chain(timm.create_model(arch).eval())  # refused before its weights are fetched, not after
    return weights.pretrained(arch).eval()


@torch.no_grad()
def chain(backbone: nn.Module) -> list[nn.Module]:
    """The backbone, whose classifier is removed, as a list of layers to be run one after the other.

    Raises ValueError unless that gives the same activations [N, features] as the backbone itself
    and its classifier is a linear layer on top of them.
    """
    arch = backbone.pretrained_cfg["architecture"]
    classifier = backbone.get_classifier()
    backbone.reset_classifier(0)
    layers = []
    for child in backbone.children():
        layers += list(child) if isinstance(child, nn.Sequential) else [child]
    smallest = _smallest(backbone)
    if not smallest or not _agree(nn.Sequential(*layers), backbone, classifier):
        working = ", ".join((weights.OWN, *weights.OTHERS))
        raise ValueError(
            f"{arch} isn't a chain of layers that takes pictures of any size and ends in one "
            f"linear classifier, as a network must be here; {working} are."
        )
    return layers if smallest == SMALLEST[0] else [_AtLeast(arch, smallest), *layers]


def _agree(chained: nn.Module, backbone: nn.Module, classifier: nn.Module) -> bool:
    """Whether the chain does what the backbone does, and the classifier fits onto it."""
    try:
        found, expected = chained(_probe(ODD)), backbone(_probe(ODD))
    except Exception:  # sizes that don't fit together, in code of a thousand networks
        return False
    fits = isinstance(classifier, nn.Linear) and found.shape == (1, classifier.in_features)
    return fits and bool((found - expected).norm() <= 1e-4 * expected.norm())


def _smallest(backbone: nn.Module) -> int:
    """The first side, px, in SMALLEST at which the network takes pictures; 0 if at none."""
    for size in SMALLEST:
        try:
            backbone(_probe(size))
            return size
        except Exception:  # after so many halvings nothing is left of the picture
            continue
    return 0


def _probe(size: int) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


class _AtLeast(nn.Module):
    """A first layer that says how large pictures must be, where a later one would fail."""

    def __init__(self, arch: str, side: int):
        super().__init__()
        self.arch, self.side = arch, side

    def forward(self, images: Tensor) -> Tensor:
        if min(images.shape[2:]) < self.side:
            raise ValueError(f"{self.arch} needs pictures of {self.side} px a side or more.")
        return images


def halves(layers: list[nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    """The earlier and the later half of a chain, or less than half where most weights come early.

    The later one is to learn more, so it gets no fewer weights, as far as whole layers allow.
    """
    sizes = [sum(tensor.numel() for tensor in layer.parameters()) for layer in layers]
    middle = len(layers) // 2
    while middle > 1 and sum(sizes[:middle]) > sum(sizes[middle:]):
        middle -= 1
    return layers[:middle], layers[middle:]


def fold_batchnorm(layers: list[nn.Module]) -> list[nn.Module]:
    """The same layers, with every BatchNorm multiplied into the convolution before it.

    In eval mode BatchNorm is y = (x - mean) / sqrt(var + eps) * weight + bias, a fixed scale and
    shift per channel, which a convolution can do on its own: the outputs stay the same. One that
    doesn't follow a convolution stays, frozen.
    """
    from timm.layers import freeze_batch_norm_2d

    root = nn.Sequential(*layers)
    for name, conv in _convolution_before(root).items():
        norm = root.get_submodule(name)
        statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
        parent, _, child = name.rpartition(".")
        # timm's BatchNormAct2d also drops out and activates: keep that part.
        rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
        setattr(root.get_submodule(parent), child, nn.Sequential(*rest))
    return [freeze_batch_norm_2d(layer) for layer in root.children()]


@torch.no_grad()
def _convolution_before(root: nn.Module) -> dict[str, nn.Conv2d]:
    """The name of each BatchNorm whose input is just a convolution's output -> the convolution.

    Found by watching a picture go through: a network may name its layers in another order than it
    runs them in (Res2Net), and names don't tell of a sum in between (ResNet v2).
    """
    made: list[tuple[Tensor, nn.Conv2d]] = []
    found: dict[str, nn.Conv2d] = {}

    def remember(conv: nn.Conv2d, _: tuple, output: Tensor) -> None:
        made.append((output, conv))

    def look_up(name: str, _: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        for output, conv in made:
            if output is inputs[0]:
                found[name] = conv

    hooks = []
    for name, module in root.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(partial(look_up, name)))
    root(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return found
