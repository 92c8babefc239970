"""Your own pictures, handed over in the browser and classified on the spot."""

import base64
import html
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import torch
from PIL import Image
from torch import Tensor

from lessonkit.images import decode

__all__ = ["Upload", "upload"]

THUMBNAIL = 96  # px


class Upload(widgets.VBox):
    """A button that takes picture files, and what the network says about each of them.

    `answers` holds a dict for each file: its name, and class and probability, or the error.
    """

    def __init__(self, predict: Callable[[Tensor], Tensor], classes: Sequence[str], size: int):
        self.predict, self.classes, self.size = predict, list(classes), size
        self.answers: list[dict] = []
        self.button = widgets.FileUpload(
            accept="image/*", multiple=True, description="Choose pictures",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self.table = widgets.HTML('<p role="status">No pictures yet.</p>')
        super().__init__([self.button, self.table])
        self.button.observe(lambda change: self._take(change["new"]), names="value")

    def _take(self, files: Sequence[dict]) -> None:
        self.show({file["name"]: bytes(file["content"]) for file in files})

    def show(self, files: dict[str, bytes]) -> None:
        """Classify pictures, by name, and show the answers in place of earlier ones."""
        self.answers, rows = [], []
        for name, content in files.items():
            try:
                square = _decode(content, self.size)
            except decode.Unusable as error:
                self.answers.append({"name": name, "error": str(error)})
                rows.append(f"<tr><td></td><td>{html.escape(name)} {html.escape(str(error))}.</td>")
                continue
            probabilities = self.predict(square)[0]
            best = int(probabilities.argmax())
            answer = {"class": self.classes[best], "probability": float(probabilities[best])}
            self.answers.append({"name": name, **answer})
            said = f"<b>{html.escape(answer['class'])}</b>, {answer['probability']:.0%}"
            rows.append(
                f"<tr><td>{_thumbnail(square)}</td><td>{html.escape(name)}: {said}</td></tr>"
            )
        self.table.value = f'<table role="status">{"".join(rows)}</table>'

    def __repr__(self) -> str:
        n = len(self.answers)
        broken = sum("error" in answer for answer in self.answers)
        return f"upload: {n} pictures" + f", {broken} of them can't be read" * bool(broken)


def upload(learn: Any) -> Upload:
    """A button for pictures of your own, which the learner `learn` classifies at once.

    They are read as those of a folder are. Nothing is kept: neither in a folder nor in the cache.
    """
    return Upload(learn.predict, learn.classes, learn.size)


def _decode(content: bytes, size: int) -> Tensor:
    """A picture's middle square, uint8 [1, 3, size, size]; raises decode.Unusable."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture"
        file.write_bytes(content)
        square = decode.decode(file, size)
    return torch.from_numpy(square.copy()).permute(2, 0, 1)[None]


def _thumbnail(square: Tensor) -> str:
    png = io.BytesIO()
    image = Image.fromarray(square[0].permute(1, 2, 0).numpy())
    image.resize((THUMBNAIL, THUMBNAIL)).save(png, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}">'
