"""A JupyterLab of its own for tests, with the notebooks given to it, and a browser for it."""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and importlib.util.find_spec("playwright")),
    reason="there is no Chromium, or no playwright, on this machine",
)
needs_sphinx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_nb", "furo")),
    reason="the pages need Sphinx: make installs it, as does pip install -e .[site]",
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# What JupyterLab would otherwise ask, fetch or hide: news, updates, and cells out of sight.
SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "notebook-extension/tracker": {"windowingMode": "none"},
}

NOTEBOOK = "window.jupyterapp.shell.currentWidget"
# The page says "idle" before the kernel is connected; running cells then would open a dialog.
KERNEL_IDLE = f"""() => {{
  const panel = window.jupyterapp && {NOTEBOOK};
  const session = panel && panel.context && panel.context.sessionContext.session;
  const kernel = session && session.kernel;
  return !!kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
}}"""
# Another notebook without loading JupyterLab anew, which takes seconds. The one before goes unsaved
# and unasked, and its kernel with it.
OPEN = """async (path) => { const { shell, serviceManager, commands } = window.jupyterapp;
  for (const widget of [...shell.widgets("main")]) widget.dispose();
  await serviceManager.sessions.shutdownAll();
  await commands.execute("docmanager:open", { path }); }"""
RUN = """(command) => { window.finished = false;
  window.jupyterapp.commands.execute(command).then(() => { window.finished = true; }); }"""
# From the model, as the page may leave out what is not in sight.
BAD_OUTPUTS = f"""() => {NOTEBOOK}.content.widgets
  .filter(cell => cell.model.type === "code")
  .flatMap((cell, i) => cell.model.sharedModel.getOutputs()
    .filter(output => output.output_type === "error" || output.name === "stderr")
    .map(output => `code cell ${{i + 1}}: ${{output.evalue || output.text}}`))"""


@contextmanager
def server(folder: Path, scratch: Path):
    """JupyterLab on the files in `folder`; yields its address."""
    for name, values in SETTINGS.items():
        file = scratch / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "LESSONKIT_RECORDS": "records",  # of no earlier run
    }
    environment = os.environ | {name: str(scratch / place) for name, place in own.items()}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url="]
    with open(scratch / "lab.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            status = f"http://127.0.0.1:{port}/api/status?token={token}"
            _wait_for(status, process, scratch / "lab.log")
            yield f"http://127.0.0.1:{port}/lab?token={token}&reset"
        finally:
            process.send_signal(signal.SIGTERM)  # ends its kernels, too
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(address: str, process: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"JupyterLab ended: {log.read_text()}"
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"JupyterLab did not start: {log.read_text()}")


@contextmanager
def chromium():
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def open_lab(page, address: str) -> None:
    """Load JupyterLab and wait until it can be used."""
    page.goto(address)
    page.wait_for_function("window.jupyterapp && window.jupyterapp.restored", timeout=60_000)
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)


def open_notebook(page, path: str) -> None:
    """Show a notebook of the server's folder in a page with JupyterLab, instead of the one that is
    open, and wait until its kernel is ready."""
    page.evaluate(OPEN, path)
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=60_000)
    page.wait_for_function(KERNEL_IDLE, timeout=90_000)


def run(page, command: str = "notebook:run-all-cells", seconds: float = 600) -> None:
    """Run cells by one of JupyterLab's commands, and wait until the kernel has finished."""
    page.evaluate(RUN, command)
    page.wait_for_function("window.finished", timeout=1000 * seconds)
    page.wait_for_function(KERNEL_IDLE, timeout=1000 * seconds)


def faults(
    page, within: str | None = None, minor: bool = False, **options
) -> list[tuple[str, str]]:
    """What axe finds on a page (or in the elements that `within` selects), `minor` faults or not.

    The rules that are broken, and the first element that breaks each. What WCAG 2.2 adds, targets
    of 24 pixels, axe looks at only if it is told to.
    """
    from axe_playwright_python.sync_playwright import Axe

    rules = {"target-size": {"enabled": True}}
    options = {"resultTypes": ["violations"], "rules": rules, **options}
    found = Axe().run(page, context=within, options=options).response
    serious = [one for one in found["violations"] if minor or one["impact"] != "minor"]
    return [(fault["id"], fault["nodes"][0]["html"]) for fault in serious]
