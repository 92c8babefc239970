"""Fixtures that several files of tests share."""

import pytest

from tests import jupyterlab


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with jupyterlab.chromium() as browser:
        yield browser
