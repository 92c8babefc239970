"""Explorers that live on the pages, too: what the still picture carries becomes the explorer again.

A stored picture of an explorer has its controls, values and data inside (lessonkit/course/
explorers/explorer.py). The page keeps that picture for readers without JavaScript, and a script
puts the explorer in its place. Scripts and style are written beside the page's others, as plain
scripts: browsers load no modules into a page opened from disk. Below each output that moves in a
notebook stands whether it does so here.
"""

import base64
import binascii
import html
import io
import json
from pathlib import Path

import nbformat
from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from PIL import Image
from sphinx.application import Sphinx

from lessonkit.course.exercises.radio_quiz import ANSWERS
from lessonkit.course.explorers.explorer import HERE, plain_javascript

NAMES = sorted(path.stem for path in HERE.glob("*.js") if "Explorer = {" in path.read_text("utf-8"))
render_image = NbElementRenderer.render_image
WIDGET = "application/vnd.jupyter.widget-view+json"
MARKS = {
    "living": "This works here, too: move a control.",
    "asking": "This works here, too: choose an answer.",
    "still": "This stands still here. In a running notebook it answers.",
}


def stored(png: bytes) -> dict | None:
    """What a picture carries of the explorer that it shows, or None if it shows none."""
    text = getattr(Image.open(io.BytesIO(png)), "text", {}).get("explorer")
    return json.loads(text) if text else None


def script(name: str) -> str:
    """A script that puts explorer `name` into every place on the page that is kept for it."""
    return f"""(() => {{
{plain_javascript(f"{name}.js", "board.js")}
const show = () => document.querySelectorAll("[data-explorer={name}]")
  .forEach((place, i) => renderPage({name}Explorer, place, i + 1));
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
else show();
}})();
"""


def place_for(state: dict) -> tuple[str, str]:
    """HTML before and after an explorer's still picture, which keeps its place on the page."""
    # In a script element only this could end it early, and JSON may write it so.
    inside = json.dumps(state, ensure_ascii=False).replace("</", "<\\/")
    name = html.escape(state["name"], quote=True)
    opening = f'<div class="explorer-place" data-explorer="{name}">'
    return f'{opening}<script type="application/json">{inside}</script>', "</div>"


def page(states: list[dict], language: str = "en") -> str:
    """A page with nothing but explorers, complete in one file."""
    names = sorted({state["name"] for state in states})
    places = "\n".join("".join(place_for(state)) for state in states)
    style = (HERE / "explorers.css").read_text("utf-8")
    scripts = "\n".join(f"<script>{script(name)}</script>" for name in names)
    look = ":root { color-scheme: light dark; } body { font-family: system-ui, sans-serif; }"
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Explorers</title>'
        f"<style>{look}\n{style}</style></head><body>\n{places}\n{scripts}\n</body></html>\n"
    )


def render_image_or_explorer(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
    """An output's picture; an explorer's in the place that is kept for it."""
    elements = render_image(self, data)
    try:
        state = stored(base64.b64decode(data.content)) if data.mime_type == "image/png" else None
    except (binascii.Error, OSError, ValueError):
        return elements  # not a picture that Pillow reads: the page shows it as it is
    if state is None or state["name"] not in NAMES:
        return elements
    before, after = (nodes.raw("", part, format="html") for part in place_for(state))
    before["explorer"] = state["name"]
    return [before, *elements, after]


def mark(output: nbformat.NotebookNode) -> str | None:
    """Whether an output that moves in a notebook is "living" on its page or "still".

    "asking" for a quiz that answers there; None for what doesn't move.
    """
    made = output.get("data", {})
    if output.output_type != "execute_result" or WIDGET not in made:
        return None
    if "text/html" in made:
        return "asking" if ANSWERS in made["text/html"] else "still"
    png = base64.b64decode(made.get("image/png", ""))
    return "living" if png and stored(png) else "still"


def mark_outputs(app: Sphinx, document: nodes.document) -> None:
    """Say below each output that moves in a notebook whether it does so on the page."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    cells = nbformat.read(path, as_version=4).cells
    for place in document.findall(nodes.container):
        if place.get("nb_element") != "cell_code_output":
            continue
        outputs = cells[place.parent["cell_index"]].outputs
        for kind in filter(None, map(mark, outputs)):
            place += nodes.paragraph("", MARKS[kind], classes=[kind])


def write_scripts(app: Sphinx) -> None:
    """One script for each explorer, and the style of all, beside the pages' other ones."""
    folder = Path(app.outdir) / "_static" / "explorers"
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / f"{name}.js").write_text(script(name), "utf-8")
    (folder / "explorers.css").write_text((HERE / "explorers.css").read_text("utf-8"), "utf-8")


def add_scripts(app: Sphinx, pagename: str, template: str, context: dict, doctree: object) -> None:
    """A page loads the scripts of the explorers that it has, and no others."""
    if doctree is None:
        return
    names = {raw["explorer"] for raw in doctree.findall(nodes.raw) if "explorer" in raw}
    for name in sorted(names):
        app.add_js_file(f"explorers/{name}.js", loading_method="defer")
    if names:
        app.add_css_file("explorers/explorers.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    NbElementRenderer.render_image = render_image_or_explorer
    app.connect("builder-inited", write_scripts)
    app.connect("doctree-read", mark_outputs)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
