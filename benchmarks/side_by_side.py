"""What the benchmarks share: timing two things in turns, the table of the results, the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

from lessonkit.course import hardware

README = Path(__file__).with_name("README.md")
END = "<!-- end -->"


class Row(NamedTuple):
    """One line of the table: `values` of each repeat, and what their median must reach."""

    name: str
    values: list[float]
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "×"

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the target is reached."""
        high_enough = self.at_least is None or self.median >= self.at_least
        return high_enough and (self.at_most is None or self.median <= self.at_most)

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g} {self.unit}"
        return f"at most {self.at_most:g} {self.unit}"

    def __str__(self) -> str:
        spread = f"{min(self.values):.3g} to {max(self.values):.3g}"
        said = "holds" if self.holds else "MISSED"
        return f"{self.name:62} {self.median:7.3g} {self.unit} ({spread}); {self.target}: {said}"


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, once, until a graphics card is done as well."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ratios(
    above: Callable[[], object], below: Callable[[], object], repeats: int = 7
) -> list[float]:
    """Seconds of `above` divided by those of `below`, in turns, after a first go of each.

    What else the machine does hits both alike, so their ratio is steadier than either.
    """
    above(), below()
    return [seconds(above) / seconds(below) for _ in range(repeats)]


def table(rows: list[dict]) -> str:
    """Rows as stored in results.json as a Markdown table."""
    lines = ["| what | median | repeats | target | |", "|---|---|---|---|---|"]
    for stored in rows:
        row = Row(**{name: stored[name] for name in Row._fields})
        spread = f"{min(row.values):.3g} to {max(row.values):.3g}"
        mark = "✓" if row.holds else "missed"
        lines.append(
            f"| {row.name} | {row.median:.3g} {row.unit} | {spread} | {row.target} | {mark} |"
        )
    return "\n".join(lines)


def machine(packages: Iterable[str], threads: int | None = None) -> str:
    """Processor (and card), instruction set, threads and versions, in a line.

    `threads` is PyTorch's number of them here, unless a process of its own has another one.
    """
    known, threads = hardware.describe(), threads or torch.get_num_threads()
    card = "" if known["device in use"] == "cpu" else f", {known['graphics card']}"
    kinds, most = torch.backends.cpu.get_cpu_capability(), os.environ.get("ONEDNN_MAX_CPU_ISA")
    kinds += f" (oneDNN: {most})" if most else ""
    said = ", ".join(map(_with_version, packages))
    number = "one thread" if threads == 1 else f"{threads} threads"
    python = f"Python {platform.python_version()}"
    return f"{known['processor']}{card}, {kinds}, {number}; {python}, {said}"


def _with_version(package: str) -> str:
    # onnxruntime, for one, is optional: what was measured without it must not be lost.
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def into_readme(begin: str, made: str) -> None:
    """Put `made` into README.md here, between the line `begin` and the next END."""
    before, _, rest = README.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{begin}\n{made}\n{END}{after}", encoding="utf-8")
