"""A canvas for pictures that are drawn again and again: axes, ticks and labels are drawn once.

Most of the time that matplotlib takes for a picture goes into ticks and their labels, and from one
picture of an explorer to the next they mostly stay as they are.
"""

import io

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["QuickCanvas"]


class QuickCanvas:
    """Turns a figure into PNGs, and keeps the axes' frames as long as they look the same."""

    def __init__(self, figure: Figure):
        self.figure, self.canvas = figure, FigureCanvasAgg(figure)
        self._frames: list[tuple] = []
        self._background = None
        self._still: set[Artist] = set()

    def keep(self) -> None:
        """What is in the axes now stays there, and is drawn once, with their frames."""
        titles = {title for ax in self.figure.axes for title in _titles(ax)}
        self._still = {a for ax in self.figure.axes for a in _contents(ax)} - titles

    def empty(self) -> None:
        """Take away what was drawn since `keep`, and let limits follow what comes next.

        Unlike `ax.clear()` it leaves scales, ticks and labels, which take long to be made anew, and
        where something is kept the limits, too.
        """
        for ax in self.figure.axes:
            titles = _titles(ax)
            for artist in self._changing(ax):
                if artist not in titles:
                    artist.remove()
            for title in titles:
                title.set_text("")
            ax.set_prop_cycle(None)
            ax.set_axis_on()
            if not self._still.intersection(_contents(ax)):
                ax.relim()
                ax.autoscale(True)
                for axis in (ax.xaxis, ax.yaxis):
                    axis.set_inverted(False)

    def png(self) -> bytes:
        """The figure as it is now. The first picture lays it out; later ones keep that layout."""
        if self._background is None:
            self.canvas.draw()
            # Laying out takes longer than drawing, and a picture that jumps is hard to compare.
            self.figure.set_layout_engine("none")
        frames = [_frame(ax) for ax in self.figure.axes]
        if frames != self._frames:
            self._frames, self._background = frames, self._draw_frames()
        self.canvas.restore_region(self._background)
        for ax in self.figure.axes:
            for artist in sorted(self._changing(ax), key=Artist.get_zorder):
                ax.draw_artist(artist)
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)  # a smaller file would take longer to make
        return file.getvalue()

    def _draw_frames(self) -> object:
        """Draw the axes without what changes in them; returns a copy of the pixels."""
        titles = [title for ax in self.figure.axes for title in _titles(ax)]
        contents = [a for ax in self.figure.axes for a in self._changing(ax) if a.get_visible()]
        shown = [artist for artist in contents if artist not in titles]
        for artist in shown:
            artist.set_visible(False)
        for title in titles:
            title.set_alpha(0)  # matplotlib finds the place for it only while it is visible
        self.canvas.draw()
        for artist in shown:
            artist.set_visible(True)
        for title in titles:
            title.set_alpha(None)
        return self.canvas.copy_from_bbox(self.figure.bbox)

    def _changing(self, ax: Axes) -> list[Artist]:
        return [artist for artist in _contents(ax) if artist not in self._still]


def _titles(ax: Axes) -> list[Artist]:
    return [ax.title, ax._left_title, ax._right_title]


def _contents(ax: Axes) -> list[Artist]:
    """All that is in the axes but its frame."""
    frame = {ax.xaxis, ax.yaxis, ax.patch, *ax.spines.values()}
    return [artist for artist in ax.get_children() if artist not in frame]


def _frame(ax: Axes) -> tuple:
    """All that decides what the axes look like without their contents."""
    parts = []
    for axis in (ax.xaxis, ax.yaxis):
        ticks = axis.get_majorticklocs()
        labels = axis.get_major_formatter().format_ticks(ticks)
        parts += [axis.get_scale(), axis.get_label_text(), tuple(axis.get_view_interval())]
        parts += [tuple(ticks), tuple(labels), tuple(axis.get_minorticklocs())]
    return (ax.axison, ax.get_facecolor(), ax.get_position().bounds, *parts)
