"""One picture under each transform, and what a preset and a network make of it."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from lessonkit.augment import PRESETS, Augment, affine, move, to_uint8
from lessonkit.course.explorers.explorer import Explorer, controls, data_address
from lessonkit.images.image_data import ImageData

__all__ = ["augmentations", "transformed"]

NAMES = ["the picture", "mirror", "quarter turn", "half turn", "rotate", "zoom", "shift", "light"]
GAP = 0.12  # between two pictures, as a fraction of a picture's side
NEAR = 8  # pictures at hand around the chosen one: all that a page has


def augmentations(
    images: ImageData, predict: Callable[[Tensor], Tensor] | None = None, picture: int = 0
) -> Explorer:
    """One validation picture of `images` under each transform, whose strength you set.

    Below each stands whether the preset you choose ever makes that change: whether it is meant to
    keep the label. With `predict`, such as a learner's `predict` (uint8 [N, 3, S, S] to
    probabilities [N, classes]), also what that network takes it for.
    """
    first = images.augment.name if images.augment.name in PRESETS else "none"
    last = len(images.valid.labels) - 1
    changes = {"picture": {"max": last}, "preset": {"options": list(PRESETS)}}
    made = controls("augmentations", changes, picture=picture, preset=first)
    of = _Versions(images, predict)
    return Explorer("augmentations", made, of.tell, of.draw, answer=of.answer, size=(10, 2.1))


class _Versions:
    """What the explorer says and draws of a picture's changed versions; its values are keywords."""

    def __init__(self, images: ImageData, predict: Callable[[Tensor], Tensor] | None):
        self.images, self.predict = images, predict
        self.shown = cache(self._shown)

    def tell(self, picture: int, preset: str, **strength: float) -> str:
        allowed, truth = _allowed(PRESETS[preset](), **strength), self.shown(picture)["truth"]
        listed = [name for name, does in zip(NAMES[1:], allowed[1:], strict=True) if does]
        told = f"Picture {picture}, {truth}, and seven changes of it. "
        told += f"{preset} allows {', '.join(listed) or 'none of them'}."
        if self.predict is not None:
            kept = sum(name == truth for name, _ in self._guesses(picture, **strength))
            told += f" The network says {truth} to {kept} of the 8."
        return told

    def draw(self, ax: Axes, picture: int, preset: str, **strength: float) -> None:
        truth, below = self.shown(picture)["truth"], []
        for does in _allowed(PRESETS[preset](), **strength):
            below.append(f"{preset}: {'yes' if does else 'no'}")
        if self.predict is not None:
            said = self._guesses(picture, **strength)
            marks = [f"{'✓' if name == truth else '✗'} {name}, {sure:.0%}" for name, sure in said]
            below = [f"{line}\n{mark}" for line, mark in zip(below, marks, strict=True)]
        changed = transformed(self.images.valid.images[picture], **strength)
        _draw_row(ax, changed, _titles(**strength), below)
        ax.set_title(f"the truth: {truth}", fontsize="medium")

    def answer(self, picture: int, preset: str, **strength: float) -> dict[str, Any]:
        n = len(self.images.valid.labels)
        start = max(0, min(picture - NEAR // 2, n - NEAR))
        near = {str(i): self.shown(i) for i in range(start, min(start + NEAR, n))}
        presets = {name: asdict(preset()) for name, preset in PRESETS.items()}
        data = {"presets": presets, "pictures": near}
        if self.predict is not None:
            values = {"picture": picture, **strength}
            data["asked"] = {"values": values, "guesses": self._guesses(picture, **strength)}
        return data

    def _shown(self, number: int) -> dict[str, str]:
        truth = self.images.classes[self.images.valid.labels[number]]
        image = self.images.valid.images[number]
        lossless = image.shape[-1] < 64  # small ones keep every pixel
        address = data_address(image, "WEBP", quality=92, lossless=lossless)
        return {"truth": truth, "address": address}

    def _guesses(self, picture: int, **strength: float) -> list[tuple[str, float]]:
        sure, best = self.predict(transformed(self.images.valid.images[picture], **strength)).max(1)
        names = [self.images.classes[i] for i in best.tolist()]
        return list(zip(names, sure.tolist(), strict=True))


def transformed(
    image: Tensor,
    degrees: float = 10.0,
    zoom: float = 1.1,
    shift: float = 0.05,
    light: float = 0.05,
) -> Tensor:
    """A uint8 picture [3, S, S] and seven changed ones, as uint8 [8, 3, S, S].

    Itself, mirrored, turned by 90° and 180°, rotated, enlarged, moved right and down by `shift` of
    its side, and lighter by `light` of the range.
    """
    ways = [
        affine(),
        affine(mirror=True),
        affine(quarter_turns=1),
        affine(quarter_turns=2),
        affine(degrees=degrees),
        affine(zoom=zoom),
        affine(right=shift, down=shift),
        affine(),
    ]
    pixels = move(image.float().expand(len(ways), *image.shape), torch.cat(ways))
    pixels[-1] += 255 * light
    return to_uint8(pixels)


def _allowed(
    preset: Augment, degrees: float, zoom: float, shift: float, light: float
) -> list[bool]:
    """Whether `preset` ever makes each of the changes of `transformed`."""
    tiny = 1e-9  # a slider's 0.05 may be a little more
    return [
        True,
        preset.mirror,
        preset.turns,
        preset.turns,
        abs(degrees) <= preset.degrees + tiny or (preset.turns and degrees % 90 == 0),
        zoom <= preset.max_zoom + tiny,
        abs(shift) <= preset.shift + tiny,
        abs(light) <= preset.lighting + tiny,
    ]


def _titles(degrees: float, zoom: float, shift: float, light: float) -> list[str]:
    strengths = [f" {degrees:g}°", f" × {zoom:.3g}", f" {shift:.0%}", f" {light:+.0%}"]
    return [name + strength for name, strength in zip(NAMES, [""] * 4 + strengths, strict=True)]


def _draw_row(ax: Axes, changed: Tensor, above: list[str], below: list[str]) -> None:
    """Pictures uint8 [N, 3, S, S] side by side in one image, with words above and below them."""
    n, _, side, _ = changed.shape
    gap = max(1, round(GAP * side))
    row = np.full((side, n * side + (n - 1) * gap, 3), 255, np.uint8)
    for i, picture in enumerate(changed):
        left = i * (side + gap)
        row[:, left : left + side] = picture.permute(1, 2, 0).numpy()
        middle = left + side / 2
        ax.text(middle, -0.06 * side, above[i], ha="center", fontsize=9)
        ax.text(middle, 1.06 * side, below[i], ha="center", va="top", fontsize=9)
    ax.imshow(row, interpolation="nearest")
    ax.set_ylim((1.25 + 0.15 * below[0].count("\n")) * side, -0.2 * side)
    ax.set_axis_off()
