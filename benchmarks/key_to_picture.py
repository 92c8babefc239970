"""How long a reader waits for an explorer's next picture, in JupyterLab, after pressing a key.

    python benchmarks/key_to_picture.py [--json FILE]

Each explorer's first slider goes to and fro by the arrow keys, in a headless Chromium. The clock
runs in the page, from the key press to the new picture, decoded; the figure is the median, in
milliseconds. Exit status 0 if line plots take 80 ms at most, and explorers that show pictures 150.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # for explorers.py beside this file, and for tests/

from explorers import compare, explorers  # noqa: E402

from tests import jupyterlab  # noqa: E402
from tools import notebooks as tool  # noqa: E402

PRESSES = 30
LIMITS = {"lines": 80.0, "pictures": 150.0}  # ms
CLOCK = """(image) => {
  window.waits = [];
  let pressed = null;
  document.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  image.addEventListener("load", () => {
    if (pressed !== null) window.waits.push(performance.now() - pressed);
    pressed = null;
  });
}"""


def main() -> int:
    """The command line; returns the exit status."""
    if not jupyterlab.CHROMIUM:
        print("Skipped: there is no Chromium on this machine.")
        return 0
    return compare(waits(), LIMITS, __doc__)


def waits() -> Iterator[tuple[str, str, float]]:
    """Name, what it shows and the median wait, in ms, of each explorer, alone on its page."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        shown = {name: shows for name, (shows, _) in explorers().items()}
        for number, name in enumerate(shown):
            tool.write(_notebook(name), Path(folder) / f"{number}.ipynb")
        with (
            jupyterlab.server(Path(folder), Path(scratch)) as address,
            jupyterlab.chromium() as browser,
        ):
            for number, (name, shows) in enumerate(shown.items()):
                page = browser.new_page(viewport={"width": 1300, "height": 950})
                jupyterlab.open_notebook(page, address(f"{number}.ipynb"))
                jupyterlab.run(page)
                yield name, shows, _press_keys(page)
                page.close()


def _notebook(name: str) -> nbformat.NotebookNode:
    code = f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom explorers import explorers\n"
    code += f"explorers()[{name!r}][1]"
    return tool.normalise(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]))


def _press_keys(page) -> float:
    image = page.locator(".jp-OutputArea-output img.widget-image").first
    image.evaluate(CLOCK)
    box = image.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")
    handle = box.locator(".noUi-handle:visible").first
    handle.focus()
    for press in range(PRESSES):
        handle.press("ArrowLeft" if press % 2 else "ArrowRight")
        page.wait_for_function(f"window.waits.length > {press}", timeout=60_000)
    return statistics.median(page.evaluate("window.waits"))


if __name__ == "__main__":
    sys.exit(main())
