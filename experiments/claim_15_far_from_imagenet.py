"""Does unfreezing matter more, the less the pictures look like ImageNet's?"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment
from lessonkit.data import ImageData, Split

EPOCHS, LR = (1, 2), 1e-3
PHOTOS, SIZE = 320, 64
TILES, TILE_SIZE = 384, 48
RATIOS = {"trash": [0.01, 0.1, 1.0], "tiles": [1.0, 1.0, 1.0]}  # the lesson's for photos; none
SIDE = 16  # px, of the patches that are shuffled


def _grey(pictures: Tensor) -> Tensor:
    return pictures.float().mean(1, keepdim=True).expand(-1, 3, -1, -1).round().to(torch.uint8)


def _edges(pictures: Tensor) -> Tensor:
    """How steeply brightness changes: white lines on black."""
    grey = _grey(pictures)[:, :1].float()
    across = F.conv2d(grey, torch.tensor([[[[-1.0, 0.0, 1.0]]]]), padding=(0, 1))
    down = F.conv2d(grey, torch.tensor([[[[-1.0], [0.0], [1.0]]]]), padding=(1, 0))
    return (across.square() + down.square()).sqrt().clamp(0, 255).expand(-1, 3, -1, -1).byte()


def _shuffled(pictures: Tensor) -> Tensor:
    """Squares of 16 px in another order, the same in all pictures."""
    n, side = len(pictures), pictures.shape[-1] // SIDE
    patches = F.unfold(pictures.float(), SIDE, stride=SIDE)
    order = torch.from_numpy(np.random.default_rng(2018).permutation(side**2))
    back = F.fold(patches[..., order], pictures.shape[-1], SIDE, stride=SIDE)
    return back.view(n, 3, *pictures.shape[-2:]).byte()


STEPS = {  # each further from a photo than the one before
    "photo": lambda pictures: pictures,
    "grey": _grey,
    "inverted": lambda pictures: 255 - pictures,
    "edges": _edges,
    "shuffled edges": lambda pictures: _shuffled(_edges(pictures)),
}


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """What unfreezing gains, on each version of the photos, and on tiles."""
    values: dict[str, Any] = {"places": material.place_sizes()}
    photos, gains = material.trash(seed, PHOTOS, size=SIZE).with_augment(augment.side_on()), []
    for step, change in STEPS.items():
        parts = (Split(change(images), labels) for images, labels in (photos.train, photos.valid))
        train, valid = parts
        head, whole = _right(replace(photos, train=train, valid=valid), seed, "trash")
        head, whole = head.float().mean().item(), whole.float().mean().item()
        gains.append(whole - head)
        values |= {f"{step}: head": head, f"{step}: whole": whole, f"{step}: gain": whole - head}
    values["trend"] = _trend(gains)
    tiles = material.tiles(seed, TILES, TILE_SIZE).with_augment(augment.top_down())
    head, whole = map(material.by_place, _right(tiles, seed, "tiles"))
    values |= {"tiles: head": head, "tiles: whole": whole}
    return values | {"tiles: gain": [w - h for w, h in zip(whole, head, strict=True)]}


def _trend(gains: list[float]) -> float:
    """Spearman's correlation of the gains with the order of the steps; 0 if all gains are equal."""
    return 0.0 if len(set(gains)) == 1 else float(stats.spearmanr(range(len(gains)), gains)[0])


def _right(images: ImageData, seed: int, what: str) -> tuple[Tensor, Tensor]:
    """Which test pictures a head on the frozen body has right, and the whole network, bool [N]."""
    model = transfer.with_head(images, transfer.features(images.train.images), seed)
    whole = transfer.fine_tuned(model, images, LR, EPOCHS, seed, RATIOS[what])
    return training.right(model, images.valid), training.right(whole, images.valid)


CLAIM = Claim(
    number="15",
    title="Unfreezing matters more, the less the pictures look like ImageNet's",
    lesson="How much of a pretrained network needs training depends on how far the new pictures "
    "are from those that it knows.",
    hypothesis="What unfreezing gains grows as the same photos are moved away from ImageNet's, "
    "and is larger on tiles than on photos.",
    data="trash, 64 px, 320 photos: as they are, grey, inverted, as edges, as edges in shuffled "
    "squares; earth, 48 px, 384 tiles",
    network="EfficientNet-Lite0 with ImageNet's weights and a head trained on stored activations",
    varies="the pictures; body frozen or all layers trained",
    fixed="cycles of 1 and 2 epochs, RAdam, LR 0.001; LRs of earlier groups: 10 times lower for "
    "photos, as the lesson has it, equal for tiles",
    measure="test accuracy of the whole network less that of the head; Spearman's correlation of "
    "this gain with the order of the versions; no row compares tiles with photos, whose LRs differ",
    rows=(
        Row("trend, trash", "correlation of the gain with the distance from photos", "trend",
            delta=0.2, unit="correlation", refuted="the correlation is surely below .2"),
        Row("furthest, trash", "gain on shuffled edges less gain on photos",
            "shuffled edges: gain", "photo: gain"),
        Row("trash", "gain on photos of trash as they are", "photo: gain"),
        Row("tiles", "gain on tiles", "tiles: gain", places=True),
    ),
    run=run,
    seeds=(5, 60),
    minutes=90,
    chapters=("06", "07"),
)  # fmt: skip
