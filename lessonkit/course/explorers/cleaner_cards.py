"""Suspicious pictures, each with a decision to make: keep it, drop it, or give it another class."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lessonkit.images import cleaning
from lessonkit.images.image_data import ImageData

__all__ = ["Cleaner", "cleaner"]

KEEP, DROP = "keep", "drop"
ROW = {"width": "300px", "margin": "4px"}
TABLE = {"flex_flow": "row wrap", "max_height": "660px", "overflow": "auto"}
COLUMNS = 8  # of the picture for viewers without a kernel


class Cleaner(widgets.VBox):
    """A row for each suspicious picture, with what to do about it, and a button that saves.

    Saving writes the decisions beside the folder `root`; the pictures stay as they are.
    """

    def __init__(self, root: str | Path, images: ImageData, suspects: Mapping[str, str]):
        self.root, self.classes = Path(root), images.classes
        files = images.train_files + images.valid_files
        labels = images.train.labels.tolist() + images.valid.labels.tolist()
        self.label = {file: images.classes[k] for file, k in zip(files, labels, strict=True)}
        n_train = len(images.train_files)
        self._thumbnails = {}
        self.decisions: dict[str, widgets.Dropdown] = {}
        rows = []
        for number, (file, why) in enumerate(suspects.items(), 1):
            place = files.index(file)  # ValueError for a picture that isn't in the set
            split, row = (
                (images.train, place) if place < n_train else (images.valid, place - n_train)
            )
            self._thumbnails[file] = split.images[row]
            self.decisions[file] = self._dropdown(number, file)
            text = widgets.HTML(_row(split.images[row], file, self.label[file], why))
            rows.append(widgets.VBox([text, self.decisions[file]], layout=ROW))
        self.button = widgets.Button(
            description="Save decisions", tooltip="Write them beside the folder"
        )
        self.button.on_click(self.save)
        self.status = widgets.HTML()
        self._say("Nothing is saved yet.")
        super().__init__([widgets.Box(rows, layout=TABLE), self.button, self.status])

    def _dropdown(self, number: int, file: str) -> widgets.Dropdown:
        label = self.label[file]
        others = [name for name in self.classes if name != label]
        options = [(f"keep as {label}", (KEEP, "")), ("drop", (DROP, ""))]
        options += [(f"it is {name}", ("relabel", name)) for name in others]
        style = {"description_width": "initial"}
        return widgets.Dropdown(
            options=options, value=(KEEP, ""), description=f"decision {number}", tooltip=file,
            style=style,
        )  # fmt: skip

    def decide(self, file: str, label: str | None = None) -> None:
        """Give a picture the class `label`, or drop it if there is none; as by hand."""
        self.decisions[file].value = (DROP, "") if label is None else ("relabel", label)

    def cleaning(self) -> cleaning.Cleaning:
        """The decisions as they stand, together with those that were saved before."""
        before = cleaning.read(self.root)
        drop, relabel = set(before.drop), dict(before.relabel)
        for file, dropdown in self.decisions.items():
            what, label = dropdown.value
            if what == DROP:
                drop.add(file)
                relabel.pop(file, None)
            elif what != KEEP:
                relabel[file] = label
        return cleaning.Cleaning(tuple(sorted(drop)), relabel)

    def save(self, button: widgets.Button | None = None) -> None:
        """Write the decisions to the folder's cleaning file."""
        try:
            decided = self.cleaning()
            file = cleaning.write(self.root, decided)
        except (OSError, ValueError) as error:
            self._say(f"Not saved: {error}")
            raise
        n_drop, n_relabel = len(decided.drop), len(decided.relabel)
        self._say(f"Saved in {file.name}: {n_drop} dropped, {n_relabel} relabelled.")

    def _say(self, sentence: str) -> None:
        self.status.value = f'<p role="status">{html.escape(sentence)}</p>'

    def __repr__(self) -> str:
        kinds = [dropdown.value[0] for dropdown in self.decisions.values()]
        return (
            f"cleaner: {len(kinds)} pictures, {kinds.count(DROP)} to drop, "
            f"{kinds.count('relabel')} to relabel"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        png = base64.b64encode(self._picture()).decode()
        return dict(super()._repr_mimebundle_(**kwargs)) | {"image/png": png}

    def _picture(self) -> bytes:
        """A PNG of all rows, for viewers without a kernel."""
        lines = max(1, -(-len(self._thumbnails) // COLUMNS))
        figure = Figure(figsize=(1.15 * COLUMNS, 1.5 * lines), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.subplots(lines, COLUMNS, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, (file, image) in zip(axes.flat, self._thumbnails.items(), strict=False):
            ax.imshow(np.asarray(image).transpose(1, 2, 0))
            ax.set_title(f"{Path(file).stem[:22]}\nas {self.label[file]}", fontsize=7, pad=2)
        png = io.BytesIO()
        canvas.print_png(png)
        return png.getvalue()


def cleaner(root: str | Path, images: ImageData, suspects: Mapping[str, str]) -> Cleaner:
    """Decide about suspicious pictures of `images`, which `from_folder(root)` has read.

    `suspects` gives for each path, as in `images.train_files`, why it is suspicious. ValueError for
    a path that isn't in the set.
    """
    return Cleaner(root, images, suspects)


def _row(image: Tensor, file: str, label: str, why: str) -> str:
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.asarray(image).transpose(1, 2, 0))).save(png, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    text = f"<b>{html.escape(file)}</b>, filed under {html.escape(label)}; {html.escape(why)}"
    return f'<img alt="" width="96" src="{source}" style="vertical-align: middle"> {text}'
