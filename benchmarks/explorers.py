"""How long an explorer takes to draw its next picture, in the kernel, after a control has moved.

    python benchmarks/explorers.py [--json FILE]

Each control of each explorer goes to and fro; the figure is the median over all moves, in
milliseconds, on one thread. Exit status 0 if line plots take 30 ms at most, and explorers that show
pictures 60 ms.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

MOVES = 20
LIMITS = {"lines": 30.0, "pictures": 60.0}  # ms


def explorers() -> dict[str, tuple[str, object]]:
    """Name -> (what it shows, the explorer)."""
    import numpy as np
    import torch

    from lessonkit import data
    from lessonkit.course import explorers as explore
    from lessonkit.lr_finder import LRFinderResult

    lrs = np.geomspace(1e-5, 2, 90)
    found = LRFinderResult(lrs, 2.3 - 1.5 / (1 + (0.01 / lrs) ** 2) + np.exp(lrs * 3) - 1)
    losses = np.geomspace(2.3, 0.3, 300)
    grid = np.linspace(-1, 1, 21)
    plane = 0.3 + np.add.outer(grid**2, 4 * grid**2)
    even = torch.full((1, 8), 1 / 8)
    return {
        "descent": ("lines", explore.descent()),
        "pick_lr, without its training": ("lines", explore.pick_lr(found, lambda lr: losses)),
        "schedules": ("lines", explore.schedules()),
        "restarts": ("lines", explore.restarts()),
        "landscape": ("pictures", explore.landscape({"one": plane, "two": 2 * plane}, grid)),
        "augmentations": ("pictures", explore.augmentations(data.creatures(96))),
        "click_map, without its network": ("pictures", explore.click_map(lambda tile: even)),
    }


def others(control: object) -> list:
    """Two values that a control can be moved between."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return [values[0], values[-1]]
    if isinstance(control.value, bool):
        return [True, False]
    low, high = control.min, control.max
    if "Log" in type(control).__name__:
        low, high = control.base**low, control.base**high
    near = low + (high - low) * 0.4
    return [type(control.value)(near), type(control.value)(low + (high - low) * 0.6)]


def redraw_ms(explorer: object) -> float:
    """The median time from moving a control to the new picture."""
    times = []
    for control in explorer.controls.values():
        values, first = others(control), control.value
        for i in range(MOVES):
            before = explorer.image.value
            started = time.perf_counter()
            control.value = values[i % 2]
            if explorer.image.value != before:  # else nothing was drawn: no move to time
                times.append(1000 * (time.perf_counter() - started))
        control.value = first
    return statistics.median(times)


def compare(rows: Iterable[tuple[str, str, float]], limits: dict[str, float], about: str) -> int:
    """Print each (explorer, what it shows, ms) beside its limit; returns the exit status.

    The figures also go to a file if the command line says so; `about` is the script's help.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    table = []
    for name, shows, ms in rows:
        table.append({"explorer": name, "shows": shows, "ms": ms, "limit": limits[shows]})
        print(f"{name:32}{ms:7.1f} ms, at most {limits[shows]:g} for {shows}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")
    slow = [row["explorer"] for row in table if row["ms"] > row["limit"]]
    print(f"{len(table) - len(slow)} of {len(table)} explorers are within their limit")
    return 1 if slow else 0


def redraws() -> Iterator[tuple[str, str, float]]:
    """Name, what it shows and the median redraw, in ms, of each explorer."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, (shows, explorer) in explorers().items():
        yield name, shows, redraw_ms(explorer)


if __name__ == "__main__":
    sys.exit(compare(redraws(), LIMITS, __doc__))
