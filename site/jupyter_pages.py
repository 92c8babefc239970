"""What notebooks have in JupyterLab, or readers need beside them, and MyST-NB (1.4) doesn't do."""

import shutil
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx

from tools.address import address, is_set

ROOT = Path(__file__).resolve().parent.parent
LEDGER = "experiments/LEDGER"
WIDE = (LEDGER, "benchmarks/README")  # their tables have many columns
COLAB = "https://colab.research.google.com/github/{address}/blob/main/{page}.ipynb"
BINDER = "https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/{page}.ipynb"

render_image = NbElementRenderer.render_image


def heading_anchor(heading: str) -> str:
    """A heading's anchor as JupyterLab makes it, for links such as 01_x.ipynb#With-momentum."""
    return heading.strip().replace(" ", "-")


def render_image_with_alt_text(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
    """An output's picture with the alt text that tools/notebooks.py has stored beside it."""
    elements = render_image(self, data)
    for image in elements:
        image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
    return elements


def is_notebook(page: str) -> bool:
    """Whether a page, named by its path without suffix, is made from a notebook."""
    return (ROOT / f"{page}.ipynb").is_file()


def buttons(page: str, where: str) -> list[tuple[str, str]]:
    """(text, address) of the buttons above a notebook; `where` the course lies on GitHub."""
    if not is_notebook(page):
        return []
    found = [("Download this notebook", f"{Path(page).name}.ipynb")]
    if is_set(where):
        names = {"address": where, "page": page}
        if Path(page).parent.name == "notebooks":  # each has a first cell that fetches the course
            found.append(("Open it in Colab", COLAB.format(**names)))
        found.append(("Open it on Binder", BINDER.format(**names)))
    return found


def complete_page(app: Sphinx, page: str, template: str, context: dict, tree: nodes.Node) -> None:
    """Buttons for notebooks; a level for Furo's headings in the side bar, which have none."""
    context["notebook_buttons"] = buttons(page, address(ROOT))
    heading = 'role="heading"'
    navigation = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = navigation.replace(heading, f'{heading} aria-level="2"')
    if page in WIDE:
        context["furo_hide_toc"] = True


def copy_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Put each notebook beside its page, to be downloaded."""
    for page in app.env.found_docs if not error else ():
        if is_notebook(page):
            shutil.copy(ROOT / f"{page}.ipynb", app.outdir / f"{page}.ipynb")


def widen(app: Sphinx, document: nodes.document) -> None:
    """Mark the pages that site/static/course.css gives all the width there is."""
    if app.env.docname in WIDE:
        document.insert(0, nodes.container(classes=["wide-page"]))


def divide_ledger(app: Sphinx, document: nodes.document) -> None:
    """The ledger's one long table becomes one for each claim, below the claim as a heading."""
    if app.env.docname != LEDGER:
        return
    for table in list(document.findall(nodes.table)):
        parts = [
            part for rows in rows_by_claim(table).values() for part in below_heading(table, rows)
        ]
        table.replace_self(parts)


def rows_by_claim(table: nodes.table) -> dict[str, list[nodes.row]]:
    """The rows of a table by what its first column says."""
    found: dict[str, list[nodes.row]] = {}
    for row in next(iter(table.findall(nodes.tbody))).children:
        found.setdefault(row[0].astext(), []).append(row)
    return found


def below_heading(table: nodes.table, rows: list[nodes.row]) -> list[nodes.Node]:
    """A claim as a heading, and a table of its `rows` without the column that names it."""
    title, part = rows[0][0][0].deepcopy(), table.deepcopy()
    heading = nodes.rubric("", "", *title.children, **{"heading-level": 2})
    group = next(iter(part.findall(nodes.tgroup)))
    group.remove(next(iter(group.findall(nodes.colspec))))
    group["cols"] -= 1
    [[headings]] = part.findall(nodes.thead)
    headings.pop(0)
    body = next(iter(part.findall(nodes.tbody)))
    body.children = []
    for row in rows:
        body += nodes.row("", *[cell.deepcopy() for cell in row[1:]])
    return [heading, part]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    NbElementRenderer.render_image = render_image_with_alt_text
    app.connect("doctree-read", widen)
    app.connect("doctree-read", divide_ledger)
    app.connect("html-page-context", complete_page, priority=900)  # after Furo's own
    app.connect("build-finished", copy_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
