"""Your own pictures, handed over in the browser and classified on the spot."""

import html
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import torch
from torch import Tensor

from lessonkit.course.explorers.explorer import data_address
from lessonkit.course.said import Said
from lessonkit.files import model_files
from lessonkit.images import decode

__all__ = ["Upload", "upload"]

THUMBNAIL = 96  # px
NO_PICTURES = "<p>No pictures yet.</p>"


class FileButton(anywidget.AnyWidget):
    """A button that chooses files; each part of one arrives as a message with its bytes."""

    _esm = Path(__file__).with_name("upload_button.js")


class Upload(widgets.VBox):
    """A button that takes picture files, and what the network says about each of them.

    `answers` holds a dict for each file: its name, and class and probability, or the error.
    """

    def __init__(self, learn: Any):
        model_files.check_classes(learn)
        self.learn = learn
        self.answers: list[dict] = []
        self._rows: list[str] = []
        self._coming = bytearray()
        self.button = FileButton()
        self.table = Said(value=NO_PICTURES)
        super().__init__([self.button, self.table])
        self.button.on_msg(self._take)

    def show(self, files: Mapping[str, bytes]) -> None:
        """Classify pictures, by name, and show the answers instead of earlier ones."""
        self._empty()
        for name, content in files.items():
            self._add(name, content)

    def _take(self, _: widgets.Widget, about: dict, parts: list[memoryview]) -> None:
        """A part of a file that has been chosen: the `number`th, from the byte `start` on."""
        if about["start"] == 0:
            self._coming = bytearray()
            if about["number"] == 0:
                self._empty()
        self._coming += b"".join(parts)
        if about["ends"]:
            self._add(about["name"], bytes(self._coming))

    def _empty(self) -> None:
        self.answers, self._rows, self.table.value = [], [], NO_PICTURES

    def _add(self, name: str, content: bytes) -> None:
        picture, answer = "", {"name": name}
        self.answers.append(answer)
        try:
            square = _decode(content, self.learn.size)  # which may have trained on larger ones
            picture = f'<img alt="" width="{THUMBNAIL}" src="{data_address(square[0])}">'
            probabilities = self.learn.predict(square)[0]
            best = int(probabilities.argmax())
            answer |= {"class": self.learn.classes[best], "probability": float(probabilities[best])}
            said = f": <b>{html.escape(str(answer['class']))}</b>, {answer['probability']:.0%}"
        except decode.Unusable as error:
            answer["error"] = str(error)
            said = f" {html.escape(str(error))}."
        except Exception as error:  # Jupyter hides errors of a widget in its log
            answer["error"] = f"{type(error).__name__}: {error}"
            said = f" could not be classified ({html.escape(answer['error'])})."
        self._rows.append(f"<tr><td>{picture}</td><td>{html.escape(name)}{said}</td></tr>")
        self.table.value = f"<table>{''.join(self._rows)}</table>"

    def __repr__(self) -> str:
        n = len(self.answers)
        broken = sum("error" in answer for answer in self.answers)
        return f"upload: {n} pictures" + f", {broken} of them can't be read" * bool(broken)


def upload(learn: Any) -> Upload:
    """A button for pictures of your own, which the learner `learn` classifies at once.

    They are read as those of a folder are. Nothing is kept: neither in a folder nor in the cache.
    Raises ValueError for a learner that never had pictures.
    """
    return Upload(learn)


def _decode(content: bytes, size: int) -> Tensor:
    """A picture's middle square, uint8 [1, 3, size, size]; raises decode.Unusable."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        file.write_bytes(content)
        square = decode.decode(file, size)
    return torch.from_numpy(square.copy()).permute(2, 0, 1)[None]
