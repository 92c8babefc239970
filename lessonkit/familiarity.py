"""How much do pictures look like those that a pretrained network has learned from?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lessonkit import distributed
from lessonkit.models import LayerGroups

__all__ = ["familiarity"]


@torch.no_grad()
def familiarity(model: LayerGroups, images: Tensor) -> float:
    """How sure the network's *old* classifier is about pictures: its mean top probability.

    From 0.001, none of ImageNet's 1,000 classes fits better than another, to 1. It is asked about
    100 of the uint8 pictures [N, 3, S, S], at the size that it knows: at others it is too sure of
    itself. Hendrycks & Gimpel 2016 (arXiv 1610.02136) tell unfamiliar pictures this way.
    """
    sample = images[:: max(1, len(images) // 100)][:100].float()
    sides = (model.imagenet_size, model.imagenet_size)
    pictures = F.interpolate(sample, sides, mode="bicubic", antialias=True).clamp(0, 255)
    batches = pictures.to(torch.uint8).split(20)
    device = next(model.parameters()).device
    classifier = model.imagenet[0].to(device)  # hidden from torch, it stayed where it was made
    logits = torch.cat([classifier(model[:-1](batch.to(device))) for batch in batches])
    return distributed.first(lambda: logits.softmax(1).amax(1).mean().item())
