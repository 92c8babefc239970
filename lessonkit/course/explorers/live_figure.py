"""A picture with controls: it is drawn anew whenever one of them moves."""

import base64
import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lessonkit.course.explorers.quick_canvas import QuickCanvas

__all__ = ["LiveFigure", "show", "slider"]


class LiveFigure(widgets.VBox):
    """Controls above a picture that follows them, with a button that resets them.

    `draw(axes, **values)` draws into empty axes (an array of them if `columns` is above 1) and
    returns a sentence that says what is to be seen: caption, and alternative text for those who
    can't see it. `controls` names the widgets that give the values. `adapt(controls)`, if given, is
    called before each drawing: it may `show` or hide controls, and move their limits. `still(axes)`
    draws, once, what never changes. Viewers without a kernel show the picture as it was; as text it
    is `name` and the values on show.
    """

    def __init__(
        self,
        name: str,
        controls: dict[str, widgets.Widget],
        draw: Callable[..., str],
        columns: int = 1,
        size: tuple[float, float] = (9, 3.6),  # inches, of 100 pixels
        adapt: Callable[[dict[str, widgets.Widget]], None] | None = None,
        still: Callable[[Any], None] | None = None,
    ):
        self.name, self.controls, self.draw, self.adapt = name, controls, draw, adapt
        self._adapting = False
        self.figure = Figure(figsize=size, dpi=100, layout="constrained")
        self.canvas = QuickCanvas(self.figure)
        self.axes = self.figure.subplots(1, columns)
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.caption = widgets.HTML()
        self.alt = ""
        self._first_values = self.values
        button = widgets.Button(description="Reset", tooltip="Put all controls back")
        button.on_click(self.reset)
        panel = widgets.Box([*controls.values(), button], layout=widgets.Layout(flex_flow="wrap"))
        super().__init__([panel, self.image, self.caption])
        if still:
            still(self.axes)
            self.canvas.keep()
        self._redraw()
        for control in controls.values():
            control.observe(self._follow, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """What the controls stand at."""
        return {name: control.value for name, control in self.controls.items()}

    def reset(self, button: widgets.Button | None = None) -> None:
        """Put all controls back to where they were at first."""
        for name, value in self._first_values.items():
            self.controls[name].value = value

    def _follow(self, change: dict) -> None:
        if self._adapting:  # a limit that moved took the value with it: that is drawn anyway
            return
        self.caption.value = "<p>Drawing …</p>"
        try:
            self._redraw()
        except Exception as error:
            # Jupyter hides errors of a widget in its log, so they are told here as well.
            self._say(f"This could not be drawn: {error}")
            raise

    def _redraw(self) -> None:
        if self.adapt:
            self._adapting = True
            try:
                self.adapt(self.controls)
            finally:
                self._adapting = False
        self.canvas.empty()
        self._say(self.draw(self.axes, **self.values))
        self.image.value = self.canvas.png()

    def _say(self, sentence: str) -> None:
        self.alt = sentence
        self.caption.value = f'<p role="status">{html.escape(sentence, quote=False)}</p>'

    def __repr__(self) -> str:
        shown = (name for name, c in self.controls.items() if c.layout.display != "none")
        values = (f"{name}={_text(self.values[name])}" for name in shown)
        return f"{self.name}: {' '.join(values)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        png = base64.b64encode(self.image.value).decode()
        data = super()._repr_mimebundle_(**kwargs) | {"text/plain": repr(self), "image/png": png}
        return data, {"image/png": {"alt": self.alt}}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def show(control: widgets.Widget, visible: bool) -> None:
    """Show a control or hide it, so that neither eyes nor the Tab key come across it."""
    control.layout.display = "" if visible else "none"


def slider(
    kind: type, label: str, value: float, low: float, high: float, step: float, **more: Any
) -> widgets.Widget:
    """A slider of `kind`, such as ipywidgets.FloatSlider, from `low` to `high`, with its label."""
    style, layout = {"description_width": "initial"}, widgets.Layout(width="340px")
    limits = {"min": low, "max": high, "step": step, "style": style, "layout": layout}
    return kind(value=value, description=label, **limits, **more)
