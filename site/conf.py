"""The course as web pages: `make site` puts them into site/_build/html, from the stored outputs.

Nothing is executed or fetched, neither here nor in the reader's browser. Sphinx reads the whole
project folder, so that links between notebooks, README and source files hold as they are.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for the extensions beside this file
sys.path.append(str(Path(__file__).parent.parent))  # for tools and lessonkit

project = html_title = "Training image classifiers"
language = "en"

# What is read: paths from the project's folder.
include_patterns = [
    "site/*.md",
    "README.md",
    "TEACHERS.md",
    "SCALING.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "examples/README.md",
    "data/README.md",
    "experiments/LEDGER.md",
    "experiments/RETIRED.md",
    "notebooks/[0-9][0-9]_*.ipynb",
    "notebooks/glossary.ipynb",
    "notebooks/solutions/*.ipynb",
]
# .venv alone has 60,000 files.
exclude_patterns = [".*", "**/.ipynb_checkpoints", "site/_build", "site/node_modules"]
root_doc = "site/index"

extensions = ["myst_nb", "jupyter_pages", "api_page", "explorers", "quizzes", "train_page"]
nb_execution_mode = "off"
# Without this an explorer would be fetched from elsewhere, only to stand still. So it is its PNG,
# a quiz its HTML, both of which a script brings to life, and a progress bar, which has neither, its
# title.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js = {}
myst_heading_anchors = 3
myst_heading_slug_func = "jupyter_pages.heading_anchor"

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
pygments_dark_style = "a11y-high-contrast-dark"  # Furo's own has comments too dark to be read
html_extra_path = ["start"]  # index.html, which leads to the root document
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_use_index = False  # search serves better
html_copy_source = html_show_copyright = html_show_sphinx = False
