"""Quizzes that answer on the pages, too: the list that a notebook stores becomes a quiz again.

A quiz's stored output is its questions, with the answers folded away, for readers without a kernel.
A script (lessonkit/course/exercises/quiz.js) reads them there and puts the radio buttons in their
place; without JavaScript the list stays. A silent quiz has no answers, and stays what it is.
"""

from docutils import nodes
from sphinx.application import Sphinx

from lessonkit.course.exercises.radio_quiz import ANSWERS, HERE
from lessonkit.course.explorers.explorer import plain_javascript


def script() -> str:
    """A plain script that makes quizzes of all lists with folded answers on a page."""
    return f"""(() => {{
{plain_javascript("quiz.js", folder=HERE)}
const show = () => {{
  const folded = [...document.querySelectorAll(".cell_output details")]
    .filter((details) => details.innerHTML.startsWith("{ANSWERS}"));
  new Set(folded.map((details) => details.closest(".output"))).forEach(renderOn);
}};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show);
else show();
}})();
"""


def write_script(app: Sphinx) -> None:
    """The script and its style, beside the pages' other ones."""
    folder = app.outdir / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quiz.js").write_text(script(), "utf-8")
    (folder / "quiz.css").write_text((HERE / "quiz.css").read_text("utf-8"), "utf-8")


def add_script(app: Sphinx, pagename: str, template: str, context: dict, doctree: object) -> None:
    """Only a page with a quiz loads them."""
    if doctree and any(ANSWERS in raw.astext() for raw in doctree.findall(nodes.raw)):
        app.add_js_file("quiz.js", loading_method="defer")
        app.add_css_file("quiz.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    app.connect("builder-inited", write_script)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
