"""A picture with controls, drawn by matplotlib anew whenever one of them moves.

For what only a running notebook can draw, such as what a network makes of a picture. The explorers
that need no kernel are in explorer.py.
"""

import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure

from lessonkit.course.explorers.explorer import control_text, in_256_colours, still_bundle
from lessonkit.course.said import Said

__all__ = ["PNG", "LiveFigure"]


class PNG(anywidget.AnyWidget):
    """A picture, and `alt`, its description for those who can't see it.

    A `clickable` one tells where: `clicked` is [x, y, n], fractions of its width and height, from
    the upper left, and how often.
    """

    _esm = Path(__file__).with_name("png.js")
    value = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    clickable = traitlets.Bool().tag(sync=True)
    clicked = traitlets.List([0.0, 0.0, 0]).tag(sync=True)


class LiveFigure(widgets.VBox):
    """Controls above a picture that follows them, with a button that resets them.

    `draw(axes, **values)` draws into empty axes (an array of them if `columns` is above 1) and
    returns a sentence that says what is to be seen: caption, and alternative text for those who
    can't see it. `controls` names the widgets that give the values. Viewers without a kernel show
    the picture as it was; as text it is `name` and the values.
    """

    def __init__(
        self,
        name: str,
        controls: dict[str, widgets.Widget],
        draw: Callable[..., str],
        columns: int = 1,
        size: tuple[float, float] = (9, 3.6),  # inches, of 100 pixels
    ):
        self.name, self.controls, self.draw = name, controls, draw
        self.figure = Figure(figsize=size, dpi=100, layout="constrained")
        self.axes = self.figure.subplots(1, columns, squeeze=False)[0]
        self.image = PNG()
        self.caption = Said()
        self._first_values, self._waits = self.values, False
        button = widgets.Button(description="Reset", tooltip="Put all controls back")
        button.on_click(self.reset)
        panel = widgets.Box([*controls.values(), button], layout=widgets.Layout(flex_flow="wrap"))
        super().__init__([panel, self.image, self.caption])
        self._redraw()
        for control in controls.values():
            control.observe(self._follow, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """What the controls stand at."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def alt(self) -> str:
        """What is to be seen, in a sentence."""
        return self.image.alt

    def reset(self, button: widgets.Button | None = None) -> None:
        """Put all controls back to where they were at first."""
        self.put(**self._first_values)

    def put(self, **values: Any) -> None:
        """Put controls to `values`; the picture follows once, when all of them have moved."""
        before, self._waits = self.values, True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._waits = False
        if self.values != before:
            self._follow()

    def _follow(self, change: dict | None = None) -> None:
        if self._waits:
            return
        try:
            self._redraw()
        except Exception as error:
            # Jupyter hides errors of a widget in its log, so they are told here as well.
            self._say(f"This could not be drawn: {error}")
            raise

    def _redraw(self) -> None:
        for ax in self.axes:
            ax.clear()
        axes = self.axes if len(self.axes) > 1 else self.axes[0]
        self._say(self.draw(axes, **self.values))
        file = io.BytesIO()
        self.figure.savefig(file, pil_kwargs={"compress_level": 1})  # smaller would take longer
        # Laying out takes longer than drawing, and a picture that jumps is hard to compare.
        self.figure.set_layout_engine("none")
        self.image.value = file.getvalue()

    def _say(self, sentence: str) -> None:
        self.image.alt = sentence
        self.caption.value = f"<p>{html.escape(sentence, quote=False)}</p>"

    def __repr__(self) -> str:
        values = (f"{name}={control_text(value)}" for name, value in self.values.items())
        return f"{self.name}: {' '.join(values)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        live = super()._repr_mimebundle_(**kwargs)
        return still_bundle(live, repr(self), in_256_colours(self.image.value), self.alt)
