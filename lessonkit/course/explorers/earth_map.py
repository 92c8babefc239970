"""A map to click on: the spot's tile, and what a network makes of it."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from lessonkit.course.datasets import embedded
from lessonkit.course.datasets.earth_painting import COLOURS, tiles
from lessonkit.course.explorers.live_figure import LiveFigure
from lessonkit.course.explorers.slider import Slider

__all__ = ["click_map"]

PX_PER_DEGREE = 15  # of the embedded map
SIZE = 9.2, 3.9  # inches, of 100 pixels
# Left, bottom, width and height of the map, the spot and the bars, as fractions of the picture.
PLACES = [(0.062, 0.13, 0.68, 0.802), (0.838, 0.632, 0.1272, 0.3), (0.838, 0.13, 0.1272, 0.38)]
BARS_Y = len(COLOURS) - 0.4, -0.6


def click_map(predict: Callable[[Tensor], Tensor]) -> LiveFigure:
    """The Blue Marble; a click on it, or the sliders, choose a spot for `predict` to classify.

    `predict` is a learner's: uint8 pictures [N, 3, 64, 64] to probabilities [N, 8].
    """
    picture, climates = embedded.earth_map()
    east, north = {"min": -180, "max": 179.5, "step": 0.5}, {"min": -89.5, "max": 90, "step": 0.5}
    controls = {
        "longitude": Slider(value=10.0, description="longitude, degrees", **east),
        "latitude": Slider(value=23.0, description="latitude, degrees", **north),
    }

    def draw(axes: np.ndarray, longitude: float, latitude: float) -> str:
        row = min(int((90 - latitude) * PX_PER_DEGREE), len(picture) - 1)
        column = int((longitude + 180) * PX_PER_DEGREE)
        tile = tiles(picture, np.array([[row, column]]))
        probabilities = predict(tile)[0].numpy()
        climate = int(climates[row, column]) - 1
        _draw_world(axes, picture)
        _draw_spot(axes, longitude, latitude, tile[0].permute(1, 2, 0).numpy())
        _draw_bars(axes[2], probabilities, climate)
        return _sentence(longitude, latitude, probabilities, climate)

    figure = LiveFigure("click_map", controls, draw, columns=3, size=SIZE)

    def clicked(change: dict) -> None:
        x, y, _ = change["new"]
        world = figure.axes[0]
        pixel = figure.figure.bbox.width * x, figure.figure.bbox.height * (1 - y)
        if world.bbox.contains(*pixel):
            east, north = world.transData.inverted().transform(pixel)
            figure.put(longitude=round(east, 1), latitude=round(north, 1))

    figure.image.observe(clicked, names="clicked")
    figure.image.clickable = True
    return figure


def _draw_world(axes: np.ndarray, picture: np.ndarray) -> None:
    """The map, and places for the spot and the bars."""
    axes[0].figure.set_layout_engine("none")
    for ax, place in zip(axes, PLACES, strict=True):
        ax.set_position(place)
    small = Image.fromarray(picture).resize((626, 313), Image.Resampling.BOX)
    flat = small.quantize(64).convert("RGB")  # few colours make a small file, quick to send
    axes[0].imshow(flat, extent=(-180, 180, -90, 90), interpolation="nearest", aspect="auto")
    axes[0].set(xticks=range(-180, 181, 90), yticks=range(-90, 91, 45))
    axes[0].set(xlabel="longitude, degrees", ylabel="latitude, degrees")
    axes[0].yaxis.labelpad = -4
    axes[1].set(xticks=[], yticks=[])
    axes[2].set(xlabel="probability", xticks=[0, 0.5, 1])
    axes[2].set_yticks(range(len(COLOURS)), list(COLOURS), fontsize="small")


def _draw_spot(axes: np.ndarray, longitude: float, latitude: float, tile: np.ndarray) -> None:
    for colour, size, width in (("black", 15, 4), ("white", 14, 2)):  # seen on sand and on ice
        style = {"color": colour, "markersize": size, "markeredgewidth": width}
        axes[0].plot(longitude, latitude, "o", fillstyle="none", **style)
    axes[1].imshow(tile, interpolation="nearest", aspect="auto")
    axes[1].plot(31.5, 31.5, "+", color="white", markersize=9)
    axes[1].set_title("what it sees", fontsize="medium")


def _draw_bars(ax: Axes, probabilities: np.ndarray, truth: int) -> None:
    bars = ax.barh(
        range(len(COLOURS)), probabilities, color=list(COLOURS.values()), edgecolor="black"
    )
    ax.set(xlim=(0, 1), ylim=BARS_Y)
    if truth >= 0:
        bars[truth].set_hatch("////")
        ax.set_title("hatched: the truth", fontsize="medium", loc="right")


def _sentence(longitude: float, latitude: float, probabilities: np.ndarray, truth: int) -> str:
    east = f"{abs(longitude):.1f}° {'east' if longitude >= 0 else 'west'}"
    north = f"{abs(latitude):.1f}° {'north' if latitude >= 0 else 'south'}"
    best, names = int(probabilities.argmax()), list(COLOURS)
    said = f"{north}, {east}: the network says {names[best]}, {probabilities[best]:.0%}; the map "
    return said + (f"says {names[truth]}." if truth >= 0 else "says sea, which it has never seen.")
