"""Data augmentation: small changes of a picture that keep its label, a whole batch at a time.

Flips, turns, rotation, zoom and shift are all *affine*: six numbers a picture say where each output
pixel is looked up in the input. So a picture is looked up once, through one matrix, however many
kinds of change are in use. Brightness and contrast follow in the same pass.

Which changes keep the label depends on what the pictures show. Four presets say so:
`side_on` (photos), `top_down` (satellite), `symbols` (letters, digits) and `none`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from lessonkit.affine import affine, in_blocks, move, to_uint8

__all__ = ["Augment", "side_on", "top_down", "symbols", "none", "PRESETS"]


@dataclass(frozen=True)
class Augment:
    """What may change, and by how much at most.

    Calling it with uint8 pictures [N, 3, S, S] gives changed ones of the same shape and type;
    `generator` makes the draw repeatable (without one, torch's global generator decides).
    """

    name: str
    mirror: bool = False  # left and right swapped in half of the pictures
    turns: bool = False  # one of the four quarter turns
    degrees: float = 0.0  # rotation up to this, either way
    max_zoom: float = 1.0  # enlarged by a factor from 1 to this
    shift: float = 0.0  # moved by up to this share of the side, in x and in y
    lighting: float = 0.0  # brightness up to this share of the range, contrast by 1 ± this

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A varied copy of uint8 pictures [N, 3, S, S]; `generator` draws the changes."""
        n = len(images)
        draws = [self._draw_matrices(n, generator)] if self._moves_pixels() else []
        draws += [torch.rand(2, n, generator=generator).T] if self.lighting else []
        return in_blocks(self._change, images, *draws) if draws else images

    def _change(self, images: Tensor, *draws: Tensor) -> Tensor:
        pixels = move(images, draws[0]) if self._moves_pixels() else images.float()
        return to_uint8(self._relight(pixels, draws[-1]) if self.lighting else pixels)

    def views(self, images: Tensor) -> Iterator[Tensor]:
        """Fixed variants of uint8 pictures [N, 3, S, S] for test-time augmentation (TTA).

        The first is the pictures themselves. fast.ai averaged the original and four *random*
        variants; fixed ones give the same answer every time.
        """
        # Quarter turns give enough views; elsewhere a slightly enlarged look is worth having.
        zooms = (1.0,) if self.turns or self.max_zoom == 1.0 else (1.0, self.max_zoom)
        for zoom, turn in product(zooms, range(4) if self.turns else (0,)):
            view = images
            if (turn, zoom) != (0, 1.0):
                matrix = affine(quarter_turns=turn, zoom=zoom).expand(len(images), 2, 3)
                view = in_blocks(lambda *block: to_uint8(move(*block)), images, matrix)
            yield view
            if self.mirror:
                yield view.flip(-1)  # the same pixels: nothing to look up anew

    def _moves_pixels(self) -> bool:
        return bool(self.mirror or self.turns or self.degrees or self.max_zoom != 1.0 or self.shift)

    def _draw_matrices(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Random affine matrices [n, 2, 3]."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(n, generator=generator)

        return affine(
            mirror=(uniform(0, 1) < 0.5) & self.mirror,
            quarter_turns=(uniform(0, 4).floor() if self.turns else torch.zeros(n)),
            degrees=uniform(-self.degrees, self.degrees),
            zoom=uniform(1.0, self.max_zoom),
            right=uniform(-self.shift, self.shift),
            down=uniform(-self.shift, self.shift),
        )

    def _relight(self, pixels: Tensor, draw: Tensor) -> Tensor:
        """Floats [N, 3, S, S], themselves changed, as numbers from 0 to 1, [N, 2], say."""
        draw = (draw * 2 - 1)[..., None, None, None]
        brightness, contrast = 255 * self.lighting * draw[:, 0], 1 + self.lighting * draw[:, 1]
        # Contrast stretches around the picture's own mean, so it doesn't also change brightness.
        mean = pixels.mean((1, 2, 3), keepdim=True)
        return pixels.mul_(contrast).add_(mean * (1 - contrast) + brightness)


def side_on(max_zoom: float = 1.1) -> Augment:
    """For photos taken from the side: mirror, ±10°, zoom, small shifts, ±5 % lighting.

    The lesson's `transforms_side_on`. Never upside down: dogs don't stand on their heads.
    """
    if not 1.0 <= max_zoom <= 4.0:
        raise ValueError(f"max_zoom is a factor from 1 to 4 (1.1 is 10 % larger), not {max_zoom}.")
    return Augment("side_on", True, False, 10.0, max_zoom, 0.05, 0.05)


def top_down() -> Augment:
    """For pictures from above: all eight flips and quarter turns, as there is no up or down.

    No lighting: from above, colour is most of what tells a desert from ice.
    """
    return Augment("top_down", mirror=True, turns=True)


def symbols() -> Augment:
    """For letters and digits: ±10°, zoom, small shifts; no flips, which change what they mean."""
    return Augment("symbols", degrees=10.0, max_zoom=1.1, shift=0.05)


def none() -> Augment:
    """No change at all."""
    return Augment("none")


PRESETS = {"side_on": side_on, "top_down": top_down, "symbols": symbols, "none": none}
