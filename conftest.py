"""What every test and every notebook under test may rely on, whatever the machine has set."""

import os
import platform
from pathlib import Path

import matplotlib
import pytest

from lessonkit.course.exercises.roughly import MEASURED_ON
from tools.notebooks import SANITIZE, environment, set_environment

# Before anything imports torch, and before nbval starts a kernel: both read these variables once.
set_environment(environment(parallel="PYTEST_XDIST_WORKER" in os.environ))
matplotlib.use("Agg")  # for the tests themselves; unlike MPLBACKEND, kernels don't inherit it


def pytest_configure(config: pytest.Config) -> None:
    """What nbval leaves out when it compares: by its whole path, as nbval looks where pytest was
    started."""
    if hasattr(config.option, "nbval_sanitize_with"):
        config.option.nbval_sanitize_with = str(SANITIZE)


def pytest_report_header() -> list[str]:
    """Say where quiz.roughly is more tolerant than the notebooks print."""
    machine = platform.machine()
    known = machine.lower() in MEASURED_ON
    return [] if known else [f"no bound was measured on {machine} processors: they are doubled"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no core waits at the end: browser, later notebooks, tests."""

    def order(item: pytest.Item) -> tuple[int, int]:
        path = Path(item.path)
        if path.suffix == ".ipynb":
            return 1, -int(path.name[:2]) if path.name[:2].isdecimal() else 0
        return (0, 0) if path.name == "test_browser.py" else (2, 0)

    items.sort(key=order)  # keeps cells, and the tests of a file, in their order
