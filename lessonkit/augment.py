"""Data augmentation: small changes of a picture that keep its label, a whole batch at a time.

Flips, turns, rotation, zoom and shift are all *affine*: for each picture, six numbers say where in
the input each output pixel is looked up. So one lookup through one matrix is enough, however many
kinds of change are in use. Brightness and contrast follow in the same pass.

Which changes keep the label depends on what the pictures show. Four presets say so:
`side_on` (photos), `top_down` (satellite), `symbols` (letters, digits) and `none`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Augment", "side_on", "top_down", "symbols", "none", "PRESETS",
    "affine", "in_blocks", "move", "to_uint8",
]  # fmt: skip

PIXELS = 2**16  # at once on each thread: 4 pictures of 128 px, 800 kB as floats


@dataclass(frozen=True)
class Augment:
    """What may change, and by how much at most.

    Calling it with uint8 pictures [N, 3, S, S] gives changed ones of the same shape and type. A
    CPU `generator` makes the draw repeatable; without one, torch's global generator decides.
    Raises ValueError for a switch that isn't True or False, an amount that is no finite number,
    and a zoom of 0 or less; a zoom below 1 shows more than the picture, whose edge is mirrored.
    """

    name: str
    mirror: bool = False  # left and right swapped in half of the pictures
    turns: bool = False  # one of the four quarter turns
    degrees: float = 0.0  # rotation up to this, either way
    max_zoom: float = 1.0  # enlarged by a factor from 1 to this
    shift: float = 0.0  # moved by up to this fraction of the side, in x and in y
    lighting: float = 0.0  # brightness by up to this fraction of 255, contrast by 1 ± this
    half_turns: bool = False  # upside down, by half a turn, in half of the pictures

    def __post_init__(self):
        for name in ("mirror", "turns", "half_turns"):
            if getattr(self, name) not in (True, False):
                raise ValueError(f"{name} is True or False, not {getattr(self, name)!r}.")
        for name in ("degrees", "max_zoom", "shift", "lighting"):
            amount = getattr(self, name)
            is_finite = isinstance(amount, Real) and math.isfinite(amount)
            if not is_finite or (name == "max_zoom" and amount <= 0):
                raise ValueError(f"{name} can't be {amount!r}: see lessonkit.augment.Augment.")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Varied uint8 pictures [N, 3, S, S]; the same tensor if nothing may change.

        Raises ValueError for tensors of another type or shape.
        """
        n = len(_checked(images))
        draws = [self._draw_matrices(n, generator)] if self._moves_pixels() else []
        draws += [torch.rand(2, n, generator=generator).T] if self.lighting else []
        return in_blocks(self._change, images, *draws) if draws else images

    def _change(self, images: Tensor, *draws: Tensor) -> Tensor:
        pixels = move(images, draws[0]) if self._moves_pixels() else images.float()
        return to_uint8(self._relight(pixels, draws[-1]) if self.lighting else pixels)

    def views(self, images: Tensor) -> Iterator[Tensor]:
        """Fixed variants of uint8 pictures [N, 3, S, S] for test-time augmentation (TTA).

        The first is the pictures themselves. fast.ai averaged the original and four *random*
        variants; fixed ones give the same answer every time. ValueError for tensors of another
        type or shape.
        """
        _checked(images)
        # Quarter turns give enough views; without them a slightly enlarged view is worth its time.
        turns = range(4) if self.turns else (0, 2) if self.half_turns else (0,)
        zooms = (1.0,) if self.turns or self.max_zoom == 1.0 else (1.0, self.max_zoom)
        for zoom, turn in product(zooms, turns):
            view = images
            if (turn, zoom) != (0, 1.0):
                matrix = affine(quarter_turns=turn, zoom=zoom).expand(len(images), 2, 3)
                view = in_blocks(lambda *block: to_uint8(move(*block)), images, matrix)
            yield view
            if self.mirror:
                yield view.flip(-1)  # the same pixels: nothing to look up anew

    def _moves_pixels(self) -> bool:
        turned = self.mirror or self.turns or self.half_turns or self.degrees
        return bool(turned or self.max_zoom != 1.0 or self.shift)

    def _draw_matrices(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Random affine matrices, float32 [n, 2, 3]."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(n, generator=generator)

        mirror, turns = (uniform(0, 1) < 0.5) & bool(self.mirror), torch.zeros(n)
        if self.turns:
            turns = uniform(0, 4).floor()
        elif self.half_turns:
            turns = 2 * uniform(0, 2).floor()
        return affine(
            mirror=mirror,
            quarter_turns=turns,
            degrees=uniform(-self.degrees, self.degrees),
            zoom=uniform(1.0, self.max_zoom),
            right=uniform(-self.shift, self.shift),
            down=uniform(-self.shift, self.shift),
        )

    def _relight(self, pixels: Tensor, draw: Tensor) -> Tensor:
        """Relight floats [N, 3, S, S] in place: `draw` [N, 2], from 0 to 1, says how much."""
        draw = (draw * 2 - 1)[..., None, None, None]
        brightness, contrast = 255 * self.lighting * draw[:, 0], 1 + self.lighting * draw[:, 1]
        # Contrast stretches around the picture's own mean, so it doesn't also change brightness.
        mean = pixels.mean((1, 2, 3), keepdim=True)
        return pixels.mul_(contrast).add_(mean * (1 - contrast) + brightness)


def _checked(images: Tensor) -> Tensor:
    what = type(images).__name__
    if isinstance(images, Tensor):
        what = f"{images.dtype} {list(images.shape)}"
        if images.dtype == torch.uint8 and images.shape[1:] == (3, *images.shape[-1:] * 2):
            return images
    raise ValueError(f"Augmentation takes tensors of uint8 pictures [N, 3, S, S], not {what}.")


def side_on(max_zoom: float = 1.1) -> Augment:
    """For photos taken from the side: mirror, ±10°, zoom, small shifts, ±5 % lighting.

    The lesson's `transforms_side_on`. Never upside down: dogs don't stand on their heads.
    Raises ValueError for a `max_zoom` outside 1 to 4.
    """
    if not 1.0 <= max_zoom <= 4.0:
        raise ValueError(f"max_zoom is a factor from 1 to 4 (1.1 is 10 % larger), not {max_zoom}.")
    return Augment("side_on", True, False, 10.0, max_zoom, 0.05, 0.05)


def top_down() -> Augment:
    """For pictures from above: all eight flips and quarter turns, as there is no up or down.

    No lighting: from above, colour is much of what tells a desert from ice.
    """
    return Augment("top_down", mirror=True, turns=True)


def symbols() -> Augment:
    """For letters and digits: ±10°, zoom, small shifts; no flips, which change what they mean."""
    return Augment("symbols", degrees=10.0, max_zoom=1.1, shift=0.05)


def none() -> Augment:
    """No change at all."""
    return Augment("none")


PRESETS = {"side_on": side_on, "top_down": top_down, "symbols": symbols, "none": none}


# --- One matrix a picture ------------------------------------------------------------------------


def affine(
    mirror: bool | Tensor = False,
    quarter_turns: int | Tensor = 0,
    degrees: float | Tensor = 0.0,
    zoom: float | Tensor = 1.0,
    right: float | Tensor = 0.0,
    down: float | Tensor = 0.0,
) -> Tensor:
    """Matrices, float32 [N, 2, 3], from output to input coordinates: -1 to 1 on both axes.

    Each argument is a number or a tensor [N]. A picture is mirrored, then turned (`degrees` and
    quarter turns run counter-clockwise), then enlarged, then moved: `right` and `down` are
    fractions of the side, whatever came before.
    """
    # `atleast_1d` and broadcasting let one function serve a single view and a random batch.
    values = [mirror, quarter_turns, degrees, zoom, right, down]
    values = [torch.atleast_1d(torch.as_tensor(v, dtype=torch.float32)) for v in values]
    mirror, quarter_turns, degrees, zoom, right, down = torch.broadcast_tensors(*values)
    angle = torch.deg2rad(degrees) + quarter_turns * (math.pi / 2)
    side = 1 - 2 * mirror  # -1 mirrors the x axis
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # From output back to input, the shift comes off first: it is turned and mirrored with the rest.
    x, y = 2 * right, 2 * down
    rows = [torch.stack([side * cos, -side * sin, side * (y * sin - x * cos)], 1)]
    rows += [torch.stack([sin, cos, -x * sin - y * cos], 1)]
    return torch.stack(rows, 1)


def move(pixels: Tensor, matrices: Tensor) -> Tensor:
    """Look up pictures [N, 3, S, S] through affine matrices [N, 2, 3]; gives floats, 0 to 255.

    Outside the picture lies its mirror image: black corners would be a clue to learn.
    """
    grid = _grid(matrices, pixels.shape[-1])
    return F.grid_sample(pixels.float(), grid, padding_mode="reflection", align_corners=False)


def _grid(matrices: Tensor, side: int) -> Tensor:
    """Where each output pixel is looked up, [N, side, side, 2]: what `F.affine_grid` gives.

    `F.affine_grid` multiplies by matrices of three columns, which takes half as long as the lookup
    itself. The last digits may differ: one pixel in twenty thousand comes out a shade off.
    """
    ahead = torch.linspace(-1, 1, side, device=matrices.device) * (side - 1) / side
    along_x, along_y, shift = matrices[..., None, None].unbind(2)  # each [N, 2, 1, 1]
    return (along_x * ahead + along_y * ahead[:, None] + shift).permute(0, 2, 3, 1)


def to_uint8(pixels: Tensor) -> Tensor:
    """Floats rounded to uint8, from 0 to 255; `pixels` itself is rounded in place."""
    # By way of int16: PyTorch's direct conversion isn't vectorised and takes several times as long.
    return pixels.round_().clamp_(0, 255).to(torch.int16).to(torch.uint8)


def in_blocks(change: Callable[..., Tensor], images: Tensor, *draws: Tensor) -> Tensor:
    """`change(images, *draws)` of pictures [N, 3, S, S], on a CPU a few pictures at a time.

    Row i of each of `draws` [N, ...] is for picture i. A whole batch of floats fits no processor
    cache, and its memory would have to be asked of the operating system anew in each step.
    """
    n = 1
    if images.device.type == "cpu" and len(images):
        at_once = torch.get_num_threads() * max(1, PIXELS // images[0, 0].numel())
        n = math.ceil(len(images) / at_once)
    tensors = images, *(drawn.to(images.device) for drawn in draws)
    parts = zip(*(tensor.tensor_split(n) for tensor in tensors), strict=True)
    return torch.cat([change(*part) for part in parts])
