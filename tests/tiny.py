"""Small sets of pictures for tests: made-up ones that are quick to learn, and a few photos."""

import shutil
from pathlib import Path

import numpy as np

from lessonkit import Learner, augment, data
from lessonkit.course.datasets import embedded
from lessonkit.data import ImageData
from lessonkit.models import LayerGroups


def coloured(
    n: int = 60, size: int = 16, classes: int = 3, how: augment.Augment | None = None, seed: int = 0
) -> ImageData:
    """`n` noisy pictures, each class a colour of its own, a third of them for validation."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    pixels = generator.integers(0, 120, (n, size, size, 3))
    pixels[np.arange(n), :, :, labels] += 100
    valid = np.arange(n) % 9 < 3
    names = [f"class {i}" for i in range(classes)]
    return data._from_arrays(
        f"coloured {seed}", pixels.astype(np.uint8), labels, valid, names, size,
        how or augment.none(), lambda new_size: coloured(n, new_size, classes, how, seed),
    )  # fmt: skip


def save_model(
    path: Path, model: LayerGroups, classes: list[str], size: int, how: augment.Augment
) -> None:
    """A model's file, of a network that no pictures were needed for."""
    learn = Learner(model, None, device="cpu")
    learn.classes, learn.size, learn.augment = classes, size, how
    learn.save(path)


def creatures_folder(root: Path, n: int) -> Path:
    """`root`, with copies of the first `n` photos of each class of creatures."""
    for folder in sorted(path for path in embedded.creatures_folder().iterdir() if path.is_dir()):
        (root / folder.name).mkdir()
        for photo in sorted(folder.iterdir())[:n]:
            shutil.copy(photo, root / folder.name)
    return root
