"""An explorer: controls, and a picture that JavaScript draws anew whenever one of them moves.

So it answers at once, beside a running kernel and on a page without one. The JavaScript lies beside
this file; Python works out the same values, tells the same sentence, and draws the still picture
for viewers that run no JavaScript. That picture carries what the explorer needs to live again on a
page (site/explorers.py): its controls, values and data, as a text inside the PNG.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = [
    "Explorer", "bundle", "control_text", "controls", "data_address", "in_256_colours",
    "plain_javascript", "still_bundle",
]  # fmt: skip

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import [^;]*?"\./([\w.]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (default .*;$)?", re.MULTILINE)  # what a widget is, in whole


class Explorer(anywidget.AnyWidget):
    """A picture that the reader steers.

    `name` is that of its JavaScript file; for `controls` see the function of that name.
    `tell(**values)` returns a sentence that says what is to be seen; `draw(axes, **values)` draws
    the still picture into empty axes (an array of them if `columns` is above 1). `data` is what
    the JavaScript draws besides; `answer(**values)`, if given, returns what to change in it, and is
    called whenever a control has moved. As text it is its name and the values on show.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = (HERE / "explorers.css").read_text(encoding="utf-8")
    controls = traitlets.List().tag(sync=True)
    first = traitlets.Dict().tag(sync=True)  # the values that the reset button puts back
    values = traitlets.Dict().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        name: str,
        controls: list[dict[str, Any]],
        tell: Callable[..., str],
        draw: Callable[..., None],
        data: dict[str, Any] | None = None,
        answer: Callable[..., dict] | None = None,
        columns: int = 1,
        size: tuple[float, float] = (9, 3.6),  # of the still picture, in inches of 100 pixels
    ):
        self.name, self.tell, self.draw, self.answer = name, tell, draw, answer
        self.columns, self.size = columns, size
        values = {control["name"]: control.pop("value") for control in controls}
        super().__init__(
            _esm=bundle(name), controls=controls, first=values, values=values, data=data or {}
        )
        if answer:
            self._respond()
            self.observe(self._respond, names="values")

    def _respond(self, change: dict | None = None) -> None:
        try:
            self.data = self.data | self.answer(**self.values) | {"problem": ""}
        except Exception as error:
            # Jupyter hides errors of a widget in its log, so they are told below the picture, too.
            self.data = self.data | {"problem": f"This could not be computed: {error}"}
            raise

    @property
    def alt(self) -> str:
        """What is to be seen, in a sentence."""
        return self.tell(**self.values)

    def png(self) -> bytes:
        """The still picture, with what makes it live again on a page as its text "explorer"."""
        figure = Figure(figsize=self.size, dpi=100, layout="constrained")
        self.draw(figure.subplots(1, self.columns), **self.values)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        info, file = PngInfo(), io.BytesIO()
        info.add_text("explorer", json.dumps(self.state()), zip=True)
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        picture.save(file, "PNG", pnginfo=info)
        return file.getvalue()

    def state(self) -> dict[str, Any]:
        """All that a page needs to show this explorer as it stands: plain numbers and texts."""
        state = {"controls": self.controls, "first": self.values, "data": self.data}
        return {"name": self.name} | state

    def __repr__(self) -> str:
        shown = [c for c in self.controls if _is_shown(c, self.values)]
        values = (f"{c['name']}={control_text(self.values[c['name']])}" for c in shown)
        return f"{self.name}: {' '.join(values)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**kwargs)
        data = data[0] if isinstance(data, tuple) else data
        return still_bundle(data, repr(self), self.png(), self.alt)


def still_bundle(live: dict, text: str, png: bytes, alt: str) -> tuple[dict, dict]:
    """What Jupyter stores of a widget: itself, its text, and a picture with its description."""
    picture = base64.b64encode(png).decode()
    data = (live or {}) | {"text/plain": text, "image/png": picture}
    return data, {"image/png": {"alt": alt}}


def in_256_colours(png: bytes) -> bytes:
    """The same picture for a notebook to store: photos take a third of the room, and look alike."""
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(file, "PNG", optimize=True)
    return file.getvalue()


def data_address(picture: Any, kind: str = "PNG", **options: Any) -> str:
    """A picture uint8 [3, S, S] as an address that holds it whole, for a page without other files.

    `kind` and `options` are what Pillow saves it by.
    """
    file, pixels = io.BytesIO(), np.asarray(picture).transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **options)
    encoded = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{encoded}"


# --- Controls -----------------------------------------------------------------------------------


def controls(
    explorer: str, changes: dict[str, dict] | None = None, **values: Any
) -> list[dict[str, Any]]:
    """The controls that controls.json lists for an explorer, at `values` where these are given.

    `changes` has, by control, what depends on what is shown, such as {"row": {"max": 77}}. A
    slider goes from `min` to `max`; with `log` these are powers of ten. `only` names the values of
    other controls with which a control is shown; `settle` takes a value when the slider is let go.
    ValueError for a value that a control can't have.
    """
    listed = json.loads((HERE / "controls.json").read_text(encoding="utf-8"))[explorer]
    for control in listed:
        control |= (changes or {}).get(control["name"], {})
        value = values.get(control["name"], control["value"])
        control["value"] = value.item() if hasattr(value, "item") else value  # NumPy's and torch's
        _need_possible(control)
    return listed


def _need_possible(control: dict[str, Any]) -> None:
    name, value, options = control["name"], control["value"], control.get("options")
    if options and value not in options:
        raise ValueError(f"{name} is one of {', '.join(options)}, not {value!r}.")
    if control["kind"] == "slider":
        if not isinstance(value, Real):
            raise ValueError(f"{name} is a number, not {value!r}.")
        low, high = control["min"], control["max"]
        low, high = (10**low, 10**high) if control.get("log") else (low, high)
        if not low <= value <= high:
            raise ValueError(f"{name} lies between {low:g} and {high:g}, not at {value}.")
        if control.get("whole") and value != int(value):
            raise ValueError(f"{name} is a whole number, not {value!r}.")


def _is_shown(control: dict[str, Any], values: dict[str, Any]) -> bool:
    return all(values[name] in wanted for name, wanted in control.get("only", {}).items())


def control_text(value: Any) -> str:
    """A control's value as `text/plain` states it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- JavaScript ---------------------------------------------------------------------------------


@cache
def bundle(name: str) -> str:
    """The JavaScript of an explorer as one module without imports: all that it needs, in order.

    Neither a widget nor a page opened from disk may load modules from beside it.
    """
    code = plain_javascript(f"{name}.js", "board.js")
    return f"{code}\nexport default {{ render: (it) => renderWidget({name}Explorer, it) }};\n"


def plain_javascript(*files: str, folder: Path = HERE) -> str:
    """Files of `folder`, or else of this one, and what they import; no `import` and `export`."""
    done: dict[str, str] = {}

    def add(file: str) -> None:
        place = folder if (folder / file).exists() else HERE
        source = (place / file).read_text(encoding="utf-8")
        for needed in IMPORT.findall(source):
            add(needed)
        done.setdefault(file, EXPORT.sub("", IMPORT.sub("", source)))

    for file in files:
        add(file)
    return "\n".join(done.values())
