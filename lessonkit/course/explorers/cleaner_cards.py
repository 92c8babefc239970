"""Suspicious pictures, each with a decision to make: keep it, drop it, or give it another class."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lessonkit.course.explorers.explorer import data_address, in_256_colours
from lessonkit.course.said import Said
from lessonkit.files import safe_files
from lessonkit.images import cleaning
from lessonkit.images.folder import find_pictures
from lessonkit.images.image_data import ImageData
from lessonkit.plot import printable

__all__ = ["Cleaner", "cleaner", "short"]

KEEP, DROP = ("keep", ""), ("drop", "")
CARD = {"width": "280px", "margin": "4px", "padding": "4px", "border": "1px solid #8888"}
CARDS = {"flex_flow": "row wrap", "align_items": "stretch"}
NAME = {"description_width": "initial"}
BELOW_ITS_NAME = {"width": "auto", "height": "58px", "flex_flow": "column"}
COLUMNS = 8  # of the picture for viewers without a kernel
WIDEST = 17  # letters above one of its pictures


class Cleaner(widgets.VBox):
    """A card for each suspicious picture, with what to do about it, and a button that saves.

    Saving writes the decisions beside the folder `root`; the pictures stay as they are. What was
    decided before stands in the boxes, and "keep" takes it back.
    """

    def __init__(self, root: str | Path, images: ImageData, suspects: Mapping[str, str]):
        # Absolute, so that it is this folder still when the notebook has gone to another one.
        self.root, self.classes = safe_files.of_user(root).absolute(), images.classes
        files = images.train_files + images.valid_files
        labels = images.train.labels.tolist() + images.valid.labels.tolist()
        self.label = {file: images.classes[k] for file, k in zip(files, labels, strict=True)}
        n_train = len(images.train_files)
        self._thumbnails = {}
        self.decisions: dict[str, widgets.Dropdown] = {}
        cards = []
        for file, why in suspects.items():
            if file not in self.label:
                raise ValueError(
                    f"{file} isn't among these pictures: it was dropped, or isn't there. To decide "
                    "again, read the folder by data.from_folder(..., clean=False)."
                )
            place = files.index(file)
            split, row = (
                (images.train, place) if place < n_train else (images.valid, place - n_train)
            )
            self._thumbnails[file] = split.images[row]
            self.decisions[file] = self._dropdown(file)
            text = widgets.HTML(_card(split.images[row], self.label[file], why))
            cards.append(widgets.VBox([text, self.decisions[file]], layout=CARD))
        self._saved: dict[str, tuple[str, str]] = {}
        before = cleaning.read(self.root)
        self._show(before)
        self.button = widgets.Button(
            description="Save decisions", tooltip="Write them beside the folder"
        )
        self.button.on_click(self.save)
        self.status = Said()
        kept = before.drop or before.relabel
        self._say(f"Saved before: {_told(before)}." if kept else "Nothing is saved yet.")
        for dropdown in self.decisions.values():
            dropdown.observe(self._changed, names="value")
        super().__init__([widgets.Box(cards, layout=CARDS), self.button, self.status])

    def _dropdown(self, file: str) -> widgets.Dropdown:
        label = self.label[file]
        others = [name for name in self.classes if name != label]
        options = [(f"keep as {printable(label)}", KEEP), ("drop", DROP)]
        options += [(f"it is {printable(name)}", ("relabel", name)) for name in others]
        return widgets.Dropdown(
            options=options, value=KEEP, description=printable(file), tooltip=printable(file),
            style=NAME, layout=BELOW_ITS_NAME,
        )  # fmt: skip

    def _show(self, decided: cleaning.Cleaning) -> None:
        """Put the boxes to what has been decided."""
        in_folder = self._classes_in_folder()
        for file in self.decisions:
            label = decided.relabel.get(file, in_folder.get(file))
            if label not in self.classes:  # its only picture was relabelled when this was read
                label = self.label[file]
            self.decide(file, None if file in decided.drop else label)
            self._saved[file] = self.decisions[file].value

    def decide(self, file: str, label: str | None = None) -> None:
        """Give a picture the class `label`, or drop it if there is none; as by hand.

        ValueError for a class that there isn't.
        """
        if label not in (None, *self.classes):
            raise ValueError(f"{label!r} is none of the classes {', '.join(self.classes)}.")
        kept = KEEP if label == self.label[file] else ("relabel", label)
        self.decisions[file].value = DROP if label is None else kept

    def _classes_in_folder(self) -> dict[str, str]:
        """Each picture's class by its folder: another than in `label` if it was relabelled."""
        return {picture.path: picture.label for picture in find_pictures(self.root)[0]}

    def cleaning(self) -> cleaning.Cleaning:
        """What is saved, with what has been changed here since."""
        before = cleaning.read(self.root)
        in_folder = self._classes_in_folder()
        drop, relabel = set(before.drop), dict(before.relabel)
        for file, dropdown in self.decisions.items():
            if dropdown.value != self._saved[file]:  # else another table may know better
                drop.discard(file)
                relabel.pop(file, None)
                label = dropdown.value[1] or self.label[file]
                if dropdown.value == DROP:
                    drop.add(file)
                elif label != in_folder.get(file):
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
        self._show(decided)
        self._say(f"Saved in {file.name}: {_told(decided)}.")

    def _changed(self, change: dict) -> None:
        changed = any(box.value != self._saved[file] for file, box in self.decisions.items())
        self._say("Changed, and not saved yet." if changed else "As before: nothing to save.")

    def _say(self, sentence: str) -> None:
        self.status.value = f"<p>{html.escape(sentence)}</p>"

    def __repr__(self) -> str:
        kinds = [dropdown.value[0] for dropdown in self.decisions.values()]
        return (
            f"cleaner: {len(kinds)} pictures, {kinds.count('drop')} to drop, "
            f"{kinds.count('relabel')} to relabel"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        png = base64.b64encode(in_256_colours(self._picture())).decode()
        return dict(super()._repr_mimebundle_(**kwargs)) | {"image/png": png}

    def _picture(self) -> bytes:
        """A PNG of all pictures, for viewers without a kernel."""
        lines = max(1, -(-len(self._thumbnails) // COLUMNS))
        figure = Figure(figsize=(1.15 * COLUMNS, 1.5 * lines), dpi=100, layout="constrained")
        axes = figure.subplots(lines, COLUMNS, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, (file, image) in zip(axes.flat, self._thumbnails.items(), strict=False):
            ax.imshow(np.asarray(image).transpose(1, 2, 0))
            title = f"{short(Path(file).stem)}\nas {short(self.label[file])}"
            ax.set_title(title, fontsize=8, pad=2, parse_math=False)
        png = io.BytesIO()
        figure.savefig(png)
        return png.getvalue()


def cleaner(root: str | Path, images: ImageData, suspects: Mapping[str, str]) -> Cleaner:
    """Decide about suspicious pictures of `images`, which `from_folder(root)` has read.

    `suspects` gives for each path, as in `images.train_files`, why it is suspicious. ValueError for
    a path that isn't in the set.
    """
    return Cleaner(root, images, suspects)


def short(name: str) -> str:
    """A name as it fits above a picture: what is longer ends in "…"."""
    name = printable(name)
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"


def _told(decided: cleaning.Cleaning) -> str:
    return f"{len(decided.drop)} dropped, {len(decided.relabel)} relabelled"


def _card(image: Tensor, label: str, why: str) -> str:
    text = html.escape(printable(f"filed under {label}; {why}"))
    return (
        '<div style="display: flex; gap: 8px; line-height: 1.3; overflow-wrap: anywhere">'
        f'<img alt="" width="96" height="96" src="{data_address(image)}"><div>{text}</div></div>'
    )
