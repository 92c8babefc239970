"""Fixtures that several files of tests share, and how many examples hypothesis tries."""

import signal
import sys

import pytest
from hypothesis import settings

from tests import jupyterlab

# Every run of the suite tries the same examples, so that it fails for everybody or for nobody.
# `make soak` looks for new ones: --hypothesis-profile=soak.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("suite")

# A job in the background of a shell's script ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def close_figures():
    """No test sees a figure that an earlier one on the same worker has left open."""
    yield
    if "matplotlib.pyplot" in sys.modules:  # not worth a second of import for tests without one
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where a test's own cache will be, with nothing in it."""
    monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with jupyterlab.chromium() as browser:
        yield browser
