"""Photographs of solar cells, sound or defective: the pictures of the PyPI package elpv-dataset.

Electroluminescence: under current a cell glows, and where it is cracked or disconnected it stays
dark. Deitsch et al. 2018, arXiv 1807.02894; where they come from is in data/README.md.
"""

import csv
import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lessonkit.files import cache
from lessonkit.images import decode
from lessonkit.images.image_data import DataError
from lessonkit.machine import progress

__all__ = ["Cells", "cell_images", "cell_labels", "split", "stratified"]

PACKAGE = "elpv-dataset==1.0.0.post1"
LABELS = "0abe6fe7700a"  # the SHA-256 of its labels.csv begins so


class Cells(NamedTuple):
    """What is known of each cell: probability of a defect float64 [N], kind of module [N].

    Experts judged each cell: 0, 1/3, 2/3 or 1. A module is "mono" or "poly": of monocrystalline
    or polycrystalline silicon.
    """

    files: list[Path]
    defect: np.ndarray
    kind: np.ndarray


def cell_labels() -> Cells:
    """The 2,624 cells of the package; DataError where it is missing or another edition."""
    found = importlib.util.find_spec("elpv_dataset")  # its code isn't run
    folder = Path(found.origin).parent / "data" if found and found.origin else Path("elpv_dataset")
    way = f"python -m pip install {PACKAGE}"
    try:
        text = (folder / "labels.csv").read_bytes()
    except OSError:
        raise DataError(
            f"The pictures of solar cells come with the package elpv-dataset (90 MB), which isn't "
            f"installed: {way}"
        ) from None
    if not hashlib.sha256(text).hexdigest().startswith(LABELS):
        raise DataError(
            f"{folder} holds another edition of the solar cells than the course was made with: "
            f"{way}"
        )
    rows = list(csv.reader(text.decode().splitlines(), delimiter=" ", skipinitialspace=True))
    paths, defect, kind = zip(*rows, strict=True)
    return Cells([folder / path for path in paths], np.array(defect, float), np.array(kind))


def split(known: Cells, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 [N], 1 for a probability above 1/2, and which quarter to set aside, bool [N]."""
    labels = (known.defect > 0.5).astype(np.int64)
    return labels, stratified(2 * labels + (known.kind == "mono"), 0.25, seed)


def cell_images(files: list[Path], size: int) -> torch.Tensor:
    """The grey pictures uint8 [N, size, size], decoded once and kept in the cache.

    DataError for a file that gives no picture, with how to install the package anew.
    """

    def build(folder: Path) -> None:
        pixels = cache.new_array(folder / "images.npy", np.uint8, (len(files), size, size))
        with progress.bar("reading pictures", len(files), cached=True) as bar:
            for row, file in enumerate(files):
                try:
                    pixels[row] = decode.decode(file, size)[..., 0]  # red, green and blue alike
                except (OSError, decode.Unusable) as error:
                    raise DataError(
                        f"{file} {error}: install the package elpv-dataset anew, by python -m pip "
                        f"install --force-reinstall {PACKAGE}"
                    ) from None
                bar.step()
        pixels.flush()

    return cache.read_array(cache.cached(f"cells-{size}-{LABELS}", build) / "images.npy")


def stratified(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Bool [N], true for `share` of each of the `strata` [N]: drawn by `seed`."""
    generator, drawn = np.random.default_rng(seed), np.zeros(len(strata), bool)
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        drawn[rows[: round(share * len(rows))]] = True
    return drawn
