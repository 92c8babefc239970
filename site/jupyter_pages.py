"""Two things that notebooks have in JupyterLab, and MyST-NB (version 1.4) doesn't take over."""

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx

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


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    NbElementRenderer.render_image = render_image_with_alt_text
    return {"parallel_read_safe": True, "parallel_write_safe": True}
