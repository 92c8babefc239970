"""Setting up: tools/install.py, with package indexes of our own that serve stand-ins for wheels."""

import ast
import functools
import http.server
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.test_project import PROJECT, ROOT, closure, files

UV = shutil.which("uv", path=os.pathsep.join([os.environ["PATH"], os.path.dirname(sys.executable)]))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has two builds"),
]
without_card = pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists(), reason="this machine has an NVIDIA card"
)

# A course as small as can be, built by itself, so that no build tool need be fetched.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "lessonkit"
version = "1"
dependencies = ["rest>=1,<2", "torch>=2,<3", "torchvision>=0.1,<1"]
[project.optional-dependencies]
test = ["checker>=1,<2"]
"""
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    metadata = "Metadata-Version: 2.1\\nName: lessonkit\\nVersion: 1\\nProvides-Extra: test\\n"
    for line in ("rest>=1,<2", "torch>=2,<3", "torchvision>=0.1,<1", "checker; extra == 'test'"):
        metadata += f"Requires-Dist: {line}\\n"
    with zipfile.ZipFile(f"{folder}/lessonkit-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lessonkit-1.dist-info/METADATA", metadata)
        wheel.writestr("lessonkit-1.dist-info/WHEEL",
                       "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("lessonkit-1.dist-info/RECORD", "")
    return "lessonkit-1-py3-none-any.whl"
"""
# Stands in for uv: what it is asked for is done by pip, from where uv would know PyTorch to be.
FAKE_UV = """#!python
import os, subprocess, sys
python, rest = sys.argv[4], sys.argv[5:]
assert sys.argv[1:4] == ["pip", "install", "--python"], sys.argv
if "--torch-backend" in rest:
    at = rest.index("--torch-backend")
    assert rest[at + 1] == "cpu"
    rest[at : at + 2] = ["--index-url", os.environ["WHERE_TORCH_IS"]]
sys.exit(subprocess.run([python, "-m", "pip", "install", "-q", *rest]).returncode)
"""


def make_wheel(folder, name, version, needs=(), script=""):
    """A wheel of `name` with nothing in it but what pip insists on, and perhaps a script."""
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(f"{about}/WHEEL", tags)
        if script:
            place = zipfile.ZipInfo(f"{name}-{version}.data/scripts/{name}")
            place.external_attr = 0o100755 << 16  # as a file that may be run
            wheel.writestr(place, script)
        wheel.writestr(f"{about}/RECORD", "")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing of each request."""


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    """Addresses of two indexes: the usual one, and PyTorch's own; and the usual one's folder."""
    folder = tmp_path_factory.mktemp("indexes")
    usual, own = folder / "usual", folder / "own"
    for index, build in ((usual, ""), (own, "+cpu")):
        for version in ("2.1", "2.5", "2.7"):
            make_wheel(index / "torch", "torch", version + build, needs=["rest"])
        for version in ("0.1", "0.5", "0.7"):
            make_wheel(index / "torchvision", "torchvision", version + build, needs=["torch"])
    for version in ("1.0", "1.1", "1.2"):
        make_wheel(usual / "rest", "rest", version)
    make_wheel(usual / "checker", "checker", "1.2")
    make_wheel(usual / "uv", "uv", "1.0", script=FAKE_UV)
    serve = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    yield f"{address}/usual", f"{address}/own", usual
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory):
    """A virtual environment with pip, to be copied: making one takes seconds."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def course(tmp_path, empty_environment):
    """A course to be set up, and a folder for the only programs that are there."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "programs").mkdir()
    shutil.copy(ROOT / "tools" / "install.py", tmp_path / "tools")
    shutil.copytree(empty_environment, tmp_path / ".venv", symlinks=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "backend.py").write_text(BACKEND, encoding="utf-8")
    pins = "torch==2.5\ntorchvision==0.5\nrest==1.1\nchecker==1.2\nuv==1.0\n"
    (tmp_path / "constraints.txt").write_text(pins, encoding="utf-8")
    return tmp_path


def set_up(course, *extras, **variables):
    """Run tools/install.py; what was installed, name -> version, and the finished process."""
    ours = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    ours |= {"PATH": str(course / "programs"), "HOME": str(course), "PIP_CONFIG_FILE": os.devnull}
    python = course / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, "tools/install.py", *extras],
        cwd=course,
        env=ours | {"PIP_NO_CACHE_DIR": "1"} | variables,
        capture_output=True,
        text=True,
    )
    [place] = (course / ".venv" / "lib").glob("python*/site-packages")
    found = {d.name: d.version for d in importlib.metadata.distributions(path=[str(place)])}
    return {
        name: version for name, version in found.items() if name not in ("pip", "setuptools")
    }, done


FOR_PROCESSORS = {"torch": "2.5+cpu", "torchvision": "0.5+cpu", "rest": "1.1", "lessonkit": "1"}
USUAL = {"torch": "2.5", "torchvision": "0.5", "rest": "1.1", "lessonkit": "1"}


@without_card
def test_linux_without_a_card_gets_the_build_for_processors_and_keeps_it_for_tests(course, indexes):
    usual, own, _ = indexes
    found, done = set_up(course, PIP_INDEX_URL=usual, WHERE_TORCH_IS=own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == FOR_PROCESSORS | {"uv": "1.0"}  # and no test tool
    found, done = set_up(course, "test", PIP_INDEX_URL=usual)  # now PyTorch's index isn't asked
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == FOR_PROCESSORS | {"uv": "1.0", "checker": "1.2"}


@without_card
def test_if_pytorchs_index_cannot_be_reached_a_sentence_says_so_and_the_usual_one_serves(
    course, indexes
):
    usual, _, _ = indexes
    found, done = set_up(course, PIP_INDEX_URL=usual, WHERE_TORCH_IS=f"{usual}/nowhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing came from PyTorch's own index (" in done.stdout
    assert found == USUAL | {"uv": "1.0"}


@without_card
def test_the_sentence_names_what_failed_and_not_pytorchs_index_where_that_was_not_asked(
    course, indexes
):
    usual, own, _ = indexes
    found, done = set_up(course, PIP_INDEX_URL=usual, TORCH_INDEX=f"{usual}/nowhere")
    assert "Nothing came from the index that TORCH_INDEX names" in done.stdout
    assert "PyTorch's own" not in done.stdout and found == USUAL
    (course / "constraints.txt").write_text("uv==9\n", encoding="utf-8")  # which isn't there
    python = course / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "uninstall", "-qy", "torch"], check=True)
    _, done = set_up(course, PIP_INDEX_URL=usual, WHERE_TORCH_IS=own)
    assert "uv can't be fetched" in done.stdout and "PyTorch's own" not in done.stdout


def test_a_machine_with_a_card_gets_the_usual_build(course, indexes):
    usual, own, _ = indexes
    driver = course / "programs" / "nvidia-smi"
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    found, done = set_up(course, PIP_INDEX_URL=usual, WHERE_TORCH_IS=own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == USUAL


def test_torch_index_names_another_place_and_needs_no_uv(course, indexes):
    usual, own, _ = indexes
    found, done = set_up(course, PIP_INDEX_URL=usual, TORCH_INDEX=own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == FOR_PROCESSORS


def test_without_a_connection_wheels_in_a_folder_are_enough(course, indexes, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for wheel in indexes[2].rglob("*.whl"):
        shutil.copy(wheel, wheels)
    found, done = set_up(course, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    assert done.returncode == 0, done.stdout + done.stderr
    assert found == USUAL and "usual index" not in done.stdout


@pytest.mark.skipif(not UV, reason="uv isn't installed")
@pytest.mark.parametrize("versions", ["pinned", "newest", "oldest"])
def test_uv_is_used_where_it_is_there(course, indexes, versions):
    usual, own, _ = indexes
    (course / "programs" / "uv").symlink_to(UV)
    places = {"UV_DEFAULT_INDEX": usual, "TORCH_INDEX": own, "UV_CACHE_DIR": str(course / "cache")}
    found, done = set_up(course, VERSIONS=versions, **places)
    assert done.returncode == 0, done.stdout + done.stderr
    torch, torchvision, rest = {
        "pinned": ("2.5", "0.5", "1.1"),
        "newest": ("2.7", "0.7", "1.2"),
        "oldest": ("2.1", "0.1", "1.0"),
    }[versions]
    expected = {"torch": f"{torch}+cpu", "torchvision": f"{torchvision}+cpu", "rest": rest}
    assert found == expected | {"lessonkit": "1"}, done.stdout + done.stderr


def test_an_installation_that_stopped_says_so_and_goes_on_from_there(course, indexes):
    usual, _, folder = indexes
    hidden = folder / "rest"
    hidden.rename(folder / "gone")
    try:
        _, done = set_up(course, PIP_INDEX_URL=usual, TORCH_INDEX=f"{usual}/nowhere")
    finally:
        (folder / "gone").rename(hidden)
    assert done.returncode == 1
    assert "goes on from here" in done.stderr and "Traceback" not in done.stderr
    found, done = set_up(course, PIP_INDEX_URL=usual, TORCH_INDEX=f"{usual}/nowhere")
    assert done.returncode == 0 and found == USUAL


def test_unknown_versions_are_refused_in_a_sentence(course):
    _, done = set_up(course, VERSIONS="latest")
    assert done.returncode == 1 and done.stderr == (
        "VERSIONS is one of pinned, newest, oldest, not latest.\n"
    )


# What a reader has, and doesn't


@pytest.mark.parametrize("target, extras", [("lab", []), ("test", ["test", "dev", "site"])])
def test_make_lab_installs_no_test_tools_and_make_test_does(tmp_path, target, extras):
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/install.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["make", "-n", target, "PYTHON=python3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    installs = re.findall(r"tools/install\.py *([\w ]*)", done.stdout)
    assert [line.split() for line in installs] == ([[], extras] if extras else [[]])


def imported(path):
    """The top-level names that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_what_the_course_imports_is_among_a_readers_packages():
    reader = closure(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]  # for what some readers want only
    optional = dict.fromkeys(("export.py", "onnx_graph.py"), closure(extras["export"]))
    optional["decode.py"] = closure(extras["heic"])
    homes = importlib.metadata.packages_distributions()
    ours = {"lessonkit", "experiments"}
    for path in files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ours:
            for name in set(imported(path)) - ours - sys.stdlib_module_names - {"google"}:
                having = {re.sub(r"[-_.]+", "-", home).lower() for home in homes.get(name, [])}
                allowed = reader | optional.get(path.name, set())
                assert having & allowed, f"{path.relative_to(ROOT)} imports {name}"
