"""What every test and every notebook under test may rely on, whatever the machine has set."""

import os
from pathlib import Path

import matplotlib
import pytest

from tools.notebooks import environment, set_environment

# Before anything imports torch, and before nbval starts a kernel: both read these variables once.
set_environment(environment(parallel="PYTEST_XDIST_WORKER" in os.environ))
matplotlib.use("Agg")  # for the tests themselves; unlike MPLBACKEND, kernels don't inherit it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long notebooks first, so that no core waits at the end: later numbers, then tests."""
    notebooks = [item for item in items if Path(item.path).suffix == ".ipynb"]
    others = [item for item in items if Path(item.path).suffix != ".ipynb"]
    notebooks.sort(key=lambda item: Path(item.path).name[:2], reverse=True)  # keeps cells in order
    items[:] = notebooks + others
