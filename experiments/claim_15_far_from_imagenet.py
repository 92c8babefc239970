"""Does unfreezing matter more, the less the pictures look like ImageNet's?"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from experiments import creatures, material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment
from lessonkit.data import ImageData, Split

SIZE, EPOCHS, LR, SPLITS = 64, (2, 4), 1e-3, 2  # as in claim 13
TILES, TILE_SIZE, TILE_EPOCHS = 384, 48, (1, 2)
RATIOS = {"creatures": [0.01, 0.1, 1.0], "tiles": [1.0, 1.0, 1.0]}  # what the recipe chooses
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
    """What unfreezing gains, on each version of the photos for two splits, and on tiles."""
    values: dict[str, Any] = {"trend": []}
    for number in range(SPLITS * seed, SPLITS * (seed + 1)):
        gains = []
        for step, change in STEPS.items():
            head, whole = _on_photos(number, change)
            values.setdefault(f"{step}: head", []).append(head)
            values.setdefault(f"{step}: whole", []).append(whole)
            values.setdefault(f"{step}: gain", []).append(whole - head)
            gains.append(whole - head)
        values["trend"].append(_trend(gains))
    images = material.tiles(seed, TILES, TILE_SIZE).with_augment(augment.top_down())
    head, whole = _head_and_whole(images, images.valid, TILE_EPOCHS, seed, "tiles", 32)
    return values | {"tiles: head": head, "tiles: whole": whole, "tiles: gain": whole - head}


def _trend(gains: list[float]) -> float:
    """Spearman's correlation of the gains with the order of the steps; 0 if all gains are equal."""
    return 0.0 if len(set(gains)) == 1 else float(stats.spearmanr(range(len(gains)), gains)[0])


def _on_photos(number: int, change) -> tuple[float, float]:
    inside, outside = creatures.split(number)
    pictures, labels = creatures.photos(SIZE)
    changed = change(pictures)
    train, test = (Split(changed[rows], labels[rows]) for rows in (inside, outside))
    images = creatures.as_images(train).with_augment(augment.side_on())
    return _head_and_whole(images, test, EPOCHS, number, "creatures", 16)


def _head_and_whole(
    images: ImageData, test: Split, epochs: tuple[int, ...], seed: int, what: str, batch_size: int
) -> tuple[float, float]:
    """Test accuracy of a head on the frozen body, and after training all of it."""
    model = transfer.with_head(images, transfer.features(images.train.images), seed)
    head = training.loss_and_accuracy(model, test)[1]
    whole = transfer.fine_tuned(model, images, LR, epochs, seed, RATIOS[what], batch_size)
    return head, training.loss_and_accuracy(whole, test)[1]


CLAIM = Claim(
    number="15",
    title="Unfreezing matters more, the less the pictures look like ImageNet's",
    lesson="How much of a pretrained network needs training depends on how far the new pictures "
    "are from those that it knows.",
    hypothesis="What unfreezing gains grows as the same photos are moved away from ImageNet's, "
    "and is larger on tiles than on photos.",
    data="creatures, 64 px, in random splits 80:20, two a run: as they are, grey, inverted, as "
    "edges, as edges in shuffled squares; earth, 48 px, 384 tiles",
    network="EfficientNet-Lite0 with ImageNet's weights and a head trained on stored activations",
    varies="the pictures; body frozen or all layers trained",
    fixed="cycles, RAdam, LR 0.001; LRs of earlier groups as the recipe chooses them: 10 times "
    "lower for photos, equal for tiles",
    measure="test accuracy of the whole network less that of the head; Spearman's correlation of "
    "this gain with the order of the versions",
    rows=(
        Row("trend", "correlation of the gain with the distance from photos", "trend", delta=0.2,
            unit="correlation", test_share=creatures.TEST_SHARE,
            refuted="the correlation is surely below .2"),
        Row("furthest", "gain on shuffled edges less gain on photos", "shuffled edges: gain",
            "photo: gain", test_share=creatures.TEST_SHARE),
        Row("photos", "gain on photos as they are", "photo: gain",
            test_share=creatures.TEST_SHARE),
        Row("tiles", "gain on tiles", "tiles: gain"),
    ),
    run=run,
    seeds=(6, 12),
    chapters=("06", "07"),
)  # fmt: skip
