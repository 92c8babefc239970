"""One picture under each transform, and what a preset and a network make of it."""

from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from lessonkit.augment import PRESETS, Augment, affine, move
from lessonkit.course.explorers.live_figure import LiveFigure, slider
from lessonkit.images.image_data import ImageData

__all__ = ["augmentations", "transformed"]

NAMES = ["the picture", "mirror", "quarter turn", "half turn", "rotate", "zoom", "shift", "light"]
GAP = 0.12  # between two pictures, as a share of a picture's side


def augmentations(
    images: ImageData, predict: Callable[[Tensor], Tensor] | None = None, picture: int = 0
) -> LiveFigure:
    """One validation picture of `images` under each transform, whose strength you set.

    Below each stands whether the preset you choose ever makes that change: whether it is meant to
    keep the label. With `predict`, such as a learner's `predict` (uint8 [N, 3, S, S] to
    probabilities [N, classes]), also what that network takes it for.
    """
    kind = widgets.FloatSlider
    first = images.augment.name if images.augment.name in PRESETS else "none"
    controls = {
        "picture": slider(
            widgets.IntSlider, "picture", picture, 0, len(images.valid.labels) - 1, 1
        ),
        "preset": widgets.Dropdown(options=list(PRESETS), value=first, description="preset"),
        "degrees": slider(kind, "rotate, degrees", 10.0, -180.0, 180.0, 5.0),
        "zoom": slider(kind, "zoom", 1.1, 1.0, 3.0, 0.05),
        "shift": slider(kind, "shift, share of the side", 0.05, -0.5, 0.5, 0.05),
        "light": slider(kind, "light, share of the range", 0.05, -0.6, 0.6, 0.05),
    }

    def draw(ax: Axes, picture: int, preset: str, **strength: float) -> str:
        changed = transformed(images.valid.images[picture], **strength)
        allowed = _allowed(PRESETS[preset](), **strength)
        truth = images.classes[images.valid.labels[picture]]
        below = [f"{preset}: {'yes' if does else 'no'}" for does in allowed]
        verdict = f"{preset} allows {_listed(allowed)}."
        if predict is not None:
            guesses = _guesses(predict(changed), images.classes)
            below = [
                f"{line}\n{'✓' if name == truth else '✗'} {name}, {sure:.0%}"
                for line, (name, sure) in zip(below, guesses, strict=True)
            ]
            kept = sum(name == truth for name, _ in guesses)
            verdict += f" The network says {truth} to {kept} of the 8."
        _draw_row(ax, changed, _titles(**strength), below)
        ax.set_title(f"the truth: {truth}", fontsize="medium", y=1.0)  # a given y costs no search
        return f"Picture {picture}, {truth}, and seven changes of it. {verdict}"

    return LiveFigure("augmentations", controls, draw, size=(10, 2.1))


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
    return pixels.round_().clamp_(0, 255).to(torch.uint8)


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
        abs(degrees) <= preset.degrees + tiny,
        zoom <= preset.max_zoom + tiny,
        abs(shift) <= preset.shift + tiny,
        abs(light) <= preset.lighting + tiny,
    ]


def _listed(allowed: Sequence[bool]) -> str:
    names = [name for name, does in zip(NAMES[1:], allowed[1:], strict=True) if does]
    return ", ".join(names) or "none of them"


def _titles(degrees: float, zoom: float, shift: float, light: float) -> list[str]:
    strengths = [f" {degrees:g}°", f" × {zoom:.3g}", f" {shift:.0%}", f" {light:+.0%}"]
    return [name + strength for name, strength in zip(NAMES, [""] * 4 + strengths, strict=True)]


def _guesses(probabilities: Tensor, classes: Sequence[str]) -> list[tuple[str, float]]:
    """The likeliest class of each picture and its probability."""
    sure, best = probabilities.max(1)
    return [(classes[i], p) for i, p in zip(best.tolist(), sure.tolist(), strict=True)]


def _draw_row(ax: Axes, changed: Tensor, above: list[str], below: list[str]) -> None:
    """Pictures uint8 [N, 3, S, S] side by side in one image: N axes would take N times as long."""
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
    lines = 1 + below[0].count("\n")
    ax.set_ylim((1.1 + 0.15 * lines) * side, -0.2 * side)
    ax.set_axis_off()
