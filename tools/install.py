"""Set the course up in .venv; the Makefile calls it: python tools/install.py [EXTRA...]

    python tools/install.py                   what a reader needs
    python tools/install.py test dev site     and what tests, checks of style and web pages need

Everything but PyTorch comes from the usual package index. PyTorch for Linux, as it lies there,
brings 2.5 GB of NVIDIA's libraries along, which a machine without an NVIDIA card never uses;
PyTorch has an index of its own with a build for processors only. The program uv knows that index's
address, and pip doesn't: so uv installs PyTorch there, and is fetched first if need be.

Environment variables, or make lab TORCH_INDEX=…:
    TORCH_INDEX   the address of another index to take PyTorch from: a mirror, or AMD's build
    VERSIONS      pinned (those of constraints.txt, the default), newest or oldest allowed ones
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
FROM_TORCHS_OWN_INDEX = ("torch", "torchvision")
OLDEST = ["--resolution", "lowest-direct"]  # of uv; pip can't
VERSIONS = {"pinned": ["-c", "constraints.txt"], "newest": [], "oldest": OLDEST}
FROM_THE_USUAL = """\
{why} (the reason stands above), so PyTorch comes from the usual index. Its build for Linux
brings NVIDIA's libraries along: 3.3 GB to download instead of 0.5, and 6 GB of disk."""
STOPPED = """\
The installation stopped; the reason stands above. Once it is out of the way (often it is the
network or a full disk), the same command goes on from here."""


def runs(*command: str | Path) -> bool:
    """Run a command in the course's folder, its output to the screen; whether it went well."""
    sys.stdout.flush()
    try:
        return subprocess.run([*map(str, command)], cwd=ROOT).returncode == 0
    except OSError as error:
        print(error, file=sys.stderr)
        return False


def answer(*command: str | Path) -> str:
    """What a command prints; nothing if it fails or isn't there."""
    try:
        done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def make_environment() -> bool:
    """Make .venv, unless there is one that works: what was interrupted goes on where it was."""
    if answer(PYTHON, "-m", "pip", "--version"):
        return True
    print(f"Setting up, once: a virtual environment in .venv with Python {sys.version.split()[0]},")
    print("then PyTorch, JupyterLab and the rest. That takes 2 to 10 minutes, most of it download.")
    return runs(sys.executable, "-m", "venv", "--clear", FOLDER)


def pip_is_told_where() -> bool:
    """Whether pip has been told, by its settings or PIP_…, to look elsewhere; uv reads neither."""
    settings = answer(PYTHON, "-m", "pip", "config", "list")
    return bool(re.search(r"\.(index-url|extra-index-url|find-links|no-index)=", settings))


def has_nvidia_card() -> bool:
    """Whether NVIDIA's driver is installed, which is what PyTorch needs to use a card."""
    return bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia").exists()


def installed(package: str) -> bool:
    """Whether the virtual environment has some version of a package."""
    find = f"import importlib.metadata as m; print(m.version({package!r}))"
    return bool(answer(PYTHON, "-c", find))


def fetch_uv() -> str:
    """uv's path, after pip has put it into .venv; nothing where that fails."""
    print("Fetching uv (18 MB), which knows where PyTorch's build for processors lies.")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return str(PYTHON.parent / "uv") if runs(*pip, "uv", "-c", "constraints.txt") else ""


def installer(uv: str) -> list[str | Path]:
    """The beginning of a command that installs into .venv."""
    if uv:
        return [uv, "pip", "install", "--python", PYTHON]
    return [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]


def install_torch(uv: str, index: str, versions: list[str]) -> bool:
    """PyTorch alone, from `index`, or for processors only; False if that can't be had.

    Without what it depends on, which is to come from the usual index like everything else.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"]
    wanted = [line for line in lines if re.match(r"[\w-]+", line)[0] in FROM_TORCHS_OWN_INDEX]
    if not (uv or index):
        return False
    named = "--default-index" if uv else "--index-url"
    place = [named, index] if index else ["--torch-backend", "cpu"]
    return runs(*installer(uv), "--no-deps", *place, *wanted, *versions)


def main() -> int:
    """Install, with the extras that the command line names; the exit status."""
    versions = os.environ.get("VERSIONS") or "pinned"
    if versions not in VERSIONS:
        print(f"VERSIONS is one of {', '.join(VERSIONS)}, not {versions}.", file=sys.stderr)
        return 1
    bounds, index = VERSIONS[versions], os.environ.get("TORCH_INDEX", "")
    well = make_environment()
    elsewhere, offline = pip_is_told_where(), bool(os.environ.get("PIP_NO_INDEX"))
    uv = shutil.which("uv") or (fetch_uv() if versions == "oldest" and well else "")
    no_card = sys.platform == "linux" and not has_nvidia_card()
    if well and not installed("torch") and (index or (no_card and not offline)):
        torchs_uv = uv or ("" if index or versions == "oldest" else fetch_uv())
        if not install_torch(torchs_uv, index, bounds):
            place = "the index that TORCH_INDEX names" if index else "PyTorch's own index"
            why = f"Nothing came from {place}" if torchs_uv or index else "uv can't be fetched"
            print(FROM_THE_USUAL.format(why=why))
    if elsewhere and versions != "oldest":  # pip alone can't look for the oldest ones
        uv = ""
    extras = ",".join(sys.argv[1:])
    course = f".[{extras}]" if extras else "."
    if not (well and runs(*installer(uv), "-e", course, *bounds)):
        print(STOPPED, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
