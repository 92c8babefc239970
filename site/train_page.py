"""The page "Train in the page": its script and style, and the large parts where they were made.

site/train/ has the JavaScript, site/train_parts.py makes the parts; without them the page says so.
"""

import json
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from lessonkit.course.explorers.explorer import controls, plain_javascript

SITE = Path(__file__).resolve().parent
SOURCE = SITE / "train"
PARTS = SITE / "_build" / "train"
PAGE = "site/train"
PLACE = '<div id="trainer"></div>'
LACKING = (
    "<p><strong>This copy of the site can't train:</strong> it was built without Node.js, which "
    "brings the runtime. Install it (nodejs.org) and run <code>make site</code> again.</p>"
)


def script() -> str:
    """The page's script, all in one: from disk, browsers load no modules."""
    left_out = ("others", "log_scale", "step")
    changes = {"lr": {"label": "learning rate, highest", "min": -5, "max": 1, "step": 0.05}}
    listed = controls("schedules", changes, epochs=20)
    listed = json.dumps([one for one in listed if one["name"] not in left_out])
    return f"""(() => {{
{plain_javascript("train.js", folder=SOURCE)}
showPage(document.getElementById("trainer"), {listed});
}})();
"""


def parts_are_there(parts: Path = PARTS) -> bool:
    """Whether site/train_parts.py has made them."""
    return all((parts / f"{name}.js").exists() for name in ("runtime", "network", "examples"))


def write(folder: Path, parts: Path = PARTS) -> None:
    """Script, style and parts into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "page.js").write_text(script(), "utf-8")
    shutil.copy(SOURCE / "train.css", folder)
    for part in parts.glob("*.js"):
        shutil.copy(part, folder)


def write_static(app: Sphinx) -> None:
    """Beside the pages' other scripts."""
    if parts_are_there():
        write(Path(app.outdir) / "_static" / "train")


def always_anew(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """This page at every build: what it says hangs on parts that Sphinx knows nothing of."""
    return [PAGE] if PAGE in env.found_docs else []


def complete_page(app: Sphinx, page: str, template: str, context: dict, tree: nodes.Node) -> None:
    """The script on its own page only; a sentence where the parts are missing."""
    if page != PAGE:
        return
    if parts_are_there():
        app.add_js_file("train/page.js", loading_method="defer")
        app.add_css_file("explorers/explorers.css")
        app.add_css_file("train/train.css")
    else:
        context["body"] = context["body"].replace(PLACE, LACKING)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    app.connect("builder-inited", write_static)
    app.connect("env-get-outdated", always_anew)
    app.connect("html-page-context", complete_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
