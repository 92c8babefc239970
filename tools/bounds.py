"""Measure how much the numbers in a notebook vary, and say which bounds of quiz.roughly hold.

    python -m tools.bounds 05            five seeds, on this processor and on an imitated one
    python -m tools.bounds               which notebooks have no seed cell yet

A notebook's seed cell is the only code cell with a line `SEED = 0`; everything random on the
page must follow from SEED. The notebook is run with five values of it, and again while PyTorch
believes that it is on a lesser processor. Nothing is written.

For each measurement it proposes a bound: a 95 % prediction interval for one more run (Student's t,
on logarithms where the bound is a factor), not narrower than what was measured. A bound that some
run breaks doesn't hold; one more than twice as wide as the proposal is wider than needed.
"""

import argparse
import math
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from scipy import stats

from tools import notebooks as tool

SEEDS = (0, 100, 200, 300, 400)  # far apart: a page may use SEED + 1, SEED + 2, …
SEED_LINE = re.compile(r"^SEED = \d+\b", re.MULTILINE)
NUMBER = r"-?\d[\d.]*(?:e-?\d+)?"
LINE = re.compile(
    rf"^(?:(?P<what>.*) )?(?P<measured>{NUMBER}|nan|-?inf) \(expected (?P<expected>{NUMBER})"
    rf"(?P<sign> \u00b1 |, \u00d7\u00f7 )(?P<bound>{NUMBER})\)$",
    re.MULTILINE,
)


class Stated(NamedTuple):
    """One line that quiz.roughly printed."""

    cell: int  # of the notebook's code cells, from 1
    what: str
    measured: float
    expected: float
    is_factor: bool
    bound: float
    half_digit: float  # half a unit of the last digit printed

    def holds(self, measured: float) -> bool:
        """Whether a number lies within the bound, half a unit of its last digit allowed."""
        low, high = self.limits()
        return low - self.half_digit <= measured <= high + self.half_digit

    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number that the bound allows."""
        if self.is_factor:
            return tuple(sorted((self.expected / self.bound, self.expected * self.bound)))
        return self.expected - self.bound, self.expected + self.bound


def stated(notebook: NotebookNode) -> list[Stated]:
    """All that quiz.roughly has printed in a notebook, in order."""
    found, code = [], [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        text = "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
        for line in LINE.finditer(text):
            digits = re.fullmatch(r"-?\d+(?:\.(\d+))?(?:e(-?\d+))?", line["measured"])
            last = int(digits[2] or 0) - len(digits[1] or "") if digits else 0
            found.append(
                Stated(
                    number,
                    line["what"] or "",
                    float(line["measured"]),
                    float(line["expected"]),
                    "\u00d7" in line["sign"],
                    float(line["bound"]),
                    0.5 * 10.0**last,
                )
            )
    return found


def seed_cell(notebook: NotebookNode) -> NotebookNode | None:
    """The one cell that sets SEED, if there is one."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and SEED_LINE.search(c.source)]
    return cells[0] if len(cells) == 1 else None


def lesser_processor() -> dict[str, str]:
    """Variables that make PyTorch believe in a processor with narrower vectors than this one's."""
    import torch

    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        return {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    return {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def measure(path: Path, seed: int, variables: dict[str, str]) -> list[Stated]:
    """What a notebook measures with this seed; RuntimeError if one of its cells fails."""
    notebook = nbformat.read(path, as_version=4)
    cell = seed_cell(notebook)
    cell.source = SEED_LINE.sub(f"SEED = {seed}", cell.source)
    # No test: a number outside its bound is to be measured, not to end the run.
    env = {name: value for name, value in os.environ.items() if name != "LESSONKIT_TEST"}
    try:
        return stated(tool.execute(path, notebook, env | variables))
    except CellExecutionError as error:
        raise RuntimeError(f"with SEED = {seed}: {error.ename}: {error.evalue}") from None


def propose(runs: list[Stated]) -> tuple[float, float]:
    """(expected, bound) for measurements of one thing: where one more run would lie, and did."""
    values = np.array([run.measured for run in runs])
    if runs[0].is_factor:
        values = np.log(np.abs(values))
    middle = (values.min() + values.max()) / 2
    expected = float(np.exp(middle)) * np.sign(runs[0].measured) if runs[0].is_factor else middle
    expected = _rounded(expected, round)
    centre = math.log(abs(expected)) if runs[0].is_factor else expected
    n = len(values)
    spread = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * math.sqrt(1 + 1 / n)
    width = max(spread + abs(values.mean() - centre), np.abs(values - centre).max())
    width = max(width, 2 * runs[0].half_digit if not runs[0].is_factor else 0.01)
    if runs[0].is_factor:
        return expected, math.ceil(math.exp(width) * 100) / 100
    return expected, _rounded(width, math.ceil)


def _rounded(value: float, rounding) -> float:
    """`value` with three digits by `round`, with two by `math.ceil`: a bound, made no narrower."""
    if not value:
        return 0.0
    last = math.floor(math.log10(abs(value))) - (2 if rounding is round else 1)
    return float(f"{rounding(value / 10.0**last) * 10.0**last:.6g}")


def verdict(runs: list[Stated]) -> tuple[str, str]:
    """(a word on the bound of one measurement, the bound proposed)."""
    first = runs[0]
    values = [run.measured for run in runs]
    if not all(map(math.isfinite, values)) or (first.is_factor and not min(map(abs, values))):
        return "DOESN'T HOLD", "none: not every run gives a number"
    expected, bound = propose(runs)
    proposal = (
        f"{expected:g}, factor={bound:g}" if first.is_factor else f"{expected:g}, within={bound:g}"
    )
    if not all(first.holds(value) for value in values):
        return "DOESN'T HOLD", proposal
    wide = (
        math.log(first.bound) > 2 * math.log(bound) if first.is_factor else first.bound > 2 * bound
    )
    return ("wider than needed" if wide else "holds"), proposal


def report(path: Path) -> bool:
    """Measure one notebook and print what holds; whether all does."""
    kinds = [{}, lesser_processor()]
    jobs = [(seed, variables) for variables in kinds for seed in SEEDS]
    print(f"{path.name}: {len(SEEDS)} seeds on this processor, and with {kinds[1]}", flush=True)
    runs, failures = [], []
    with ProcessPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(measure, path, *job) for job in jobs]
        for one in waiting:
            try:
                runs.append(one.result())
            except RuntimeError as error:
                failures.append(str(error))
    for failure in failures:
        print(f"  a run failed {failure}")
    keys = [[(one.cell, one.what) for one in run] for run in runs]
    if any(key != keys[0] for key in keys) or not runs:
        print("  the runs don't state the same things: nothing to compare")
        return False
    well = not failures
    for together in map(list, zip(*runs, strict=True)):
        first, values = together[0], [one.measured for one in together]
        word, proposal = verdict(together)
        sign = "factor" if first.is_factor else "within"
        print(
            f"  cell {first.cell:2} {word:17} {first.what}: {min(values):g} to {max(values):g}, "
            f"stated {first.expected:g}, {sign}={first.bound:g}; proposed {proposal}"
        )
        well &= word != "DOESN'T HOLD"
    return well


def main() -> int:
    """The command line; returns the exit status: 1 if a bound doesn't hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", metavar="NB", help="a path, or 02 for 02_*.ipynb")
    arguments = parser.parse_args()
    course = [path for path in tool.find([]) if path.parent.name == "notebooks"]
    without = [p for p in course if not seed_cell(nbformat.read(p, as_version=4))]
    try:
        paths = [p for p in tool.find(arguments.notebooks) if arguments.notebooks and p in course]
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    if not paths:
        print("Name a notebook, such as 05.", end=" ")
    if without:
        print("Without one cell that sets SEED:", ", ".join(path.name for path in without))
    tool.set_environment(tool.environment(parallel=True))
    well = [report(path) for path in paths if path not in without]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
