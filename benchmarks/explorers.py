"""How long a reader waits for an explorer's next picture after pressing a key.

    python benchmarks/explorers.py [--json FILE]

Each explorer's first slider goes to and fro by the arrow keys, in a headless Chromium, on a page
opened from disk and in JupyterLab. The clock runs in the page, from the key press until the new
picture is laid out; the figure is the median of 50 presses, in milliseconds. Exit status 0 if
explorers that draw formulae take 16 ms at most, a frame, and those that show data 50.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "site")]

from tests import jupyterlab  # noqa: E402
from tools import notebooks as tool  # noqa: E402

PRESSES = 50
FORMULAE = {"descent", "restarts", "schedules"}
LIMITS = {"formulae": 16.0, "data": 50.0}  # ms
# The code of each cell, but the first, is one explorer's.
FIRST = f"""import sys
sys.path.insert(0, {str(ROOT / "benchmarks")!r})
from explorers import explorers
made = explorers()"""
CLOCK = """(explorer) => {
  window.waits = [];
  let pressed = null;
  explorer.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  const picture = explorer.querySelector(".picture");
  new MutationObserver(() => {
    explorer.getBoundingClientRect();
    if (pressed !== null) window.waits.push(performance.now() - pressed);
    pressed = null;
  }).observe(picture, { subtree: true, childList: true, characterData: true });
}"""


def explorers() -> dict:
    """Name -> explorer: those of the tests, but with real photos."""
    from lessonkit import data
    from lessonkit.course import explorers as explore
    from tests.every_explorer import every_explorer

    return every_explorer() | {"augmentations": explore.augmentations(data.creatures(128))}


def press_keys(page, explorer) -> float:
    """The median wait, in ms, of an explorer on a page."""
    explorer.evaluate(CLOCK)
    slider = explorer.locator("input[type=range]:visible").first
    slider.focus()
    for press in range(PRESSES):
        slider.press("ArrowLeft" if press % 2 else "ArrowRight")
        page.wait_for_function(f"window.waits.length > {press}", timeout=60_000)
    return statistics.median(page.evaluate("window.waits"))


def on_a_page(browser, folder: Path) -> Iterator[tuple[str, float]]:
    """Name and median wait of each explorer, all on one page opened from disk."""
    import explorers as site  # site/explorers.py: this file is __main__

    file = folder / "explorers.html"
    file.write_text(site.page([one.state() for one in explorers().values()]), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1300, "height": 950})
    page.goto(file.as_uri())
    for name in site.NAMES:
        yield name, press_keys(page, page.locator(f"[data-explorer={name}] .explorer"))


def in_jupyterlab(browser, folder: Path) -> Iterator[tuple[str, float]]:
    """Name and median wait of each explorer, all in one notebook."""
    names = list(explorers())
    sources = [FIRST, *(f"made[{name!r}]" for name in names)]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    tool.write(tool.normalise(nbformat.v4.new_notebook(cells=cells)), folder / "every.ipynb")
    scratch = folder / "scratch"
    scratch.mkdir()
    with jupyterlab.server(folder, scratch) as address:
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        jupyterlab.open_lab(page, address)
        jupyterlab.open_notebook(page, "every.ipynb")
        jupyterlab.run(page)
        shown = page.locator(".jp-OutputArea-output .explorer").all()
        for name, explorer in zip(names, shown, strict=True):
            explorer.scroll_into_view_if_needed()
            yield name, press_keys(page, explorer)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    if not jupyterlab.CHROMIUM:
        print("Skipped: there is no Chromium on this machine.")
        return 0
    table = []
    with tempfile.TemporaryDirectory() as folder, jupyterlab.chromium() as browser:
        for where, waits in (("on a page", on_a_page), ("in JupyterLab", in_jupyterlab)):
            for name, ms in waits(browser, Path(folder)):
                limit = LIMITS["formulae" if name in FORMULAE else "data"]
                table.append({"explorer": name, "where": where, "ms": ms, "limit": limit})
                print(f"{name:16}{where:15}{ms:7.1f} ms, at most {limit:g}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")
    slow = [row for row in table if row["ms"] > row["limit"]]
    print(f"{len(table) - len(slow)} of {len(table)} are within their limit")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
