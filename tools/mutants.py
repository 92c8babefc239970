"""Break the code on purpose, one small change at a time, and see whether a test notices.

    python tools/mutants.py                                   400 mutants of the lesson files
    python tools/mutants.py --sample 40 lessonkit/schedule.py     40 of one file
    python tools/mutants.py --seed 1                              another sample

A mutant is the course with one thing changed: `<` is `<=`, a number is larger, a condition is
turned round, a call is gone. It runs in a copy of the repository in a temporary folder, against
those tests of its module that reach the changed line, the quickest first, until one fails. A mutant
that no test notices has survived: write the test that was missing, or, if the mutant computes the
same, say why in tools/equal_mutants.json. The exit status is 1 below 90 % caught. What became of
each mutant is written to .cache/mutants.json.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.mutations import Change, changes

ROOT = Path(__file__).resolve().parent.parent
LESSON = ["schedule", "augment", "lr_finder", "models", "learner", "recipe", "landscape"]
COPIED = ["lessonkit", "tests", "tools", "experiments", "conftest.py", "pyproject.toml", "data"]
EQUAL, RESULTS = ROOT / "tools" / "equal_mutants.json", ROOT / ".cache" / "mutants.json"
ENOUGH = 0.9
SECONDS = 120  # for a mutant, beside ten times what its tests take without any
# Tests of a module lie in tests/test_MODULE.py. These modules are tested elsewhere, too.
TESTS = {
    "activations": ["learner", "determinism"],
    "checkpoint": ["resume"],
    "history": ["learner"],
    "learner": ["determinism", "memory"],
    "memory": ["learner"],
    "models": ["backbones", "learner"],
    "onnx_graph": ["learner"],
    "optimizers": ["learner", "models", "recipe"],
    "processes": ["distributed"],
    "recipe": ["determinism"],
    "restored": ["lr_finder"],
}


class Mutant(NamedTuple):
    """A change of a file: the line `number` before and after it."""

    file: str
    change: Change
    number: int
    line: str
    becomes: str


def mutants(path: Path) -> list[Mutant]:
    """All mutants of the file at `path`, in order."""
    source, name = path.read_bytes(), path.relative_to(ROOT).as_posix()
    found = []
    for change in changes(source):
        row = source.count(b"\n", 0, change.start)
        line, becomes = (text.decode().splitlines()[row] for text in (source, change.of(source)))
        found.append(Mutant(name, change, row + 1, line.strip(), becomes.strip()))
    return found


# --- Which tests reach which lines ----------------------------------------------------------------


class Reached:
    """A plugin for pytest: the lines of `files` that each test reaches, and its seconds."""

    def __init__(self, files: set[str]):
        self.files, self.lines, self.seconds = files, defaultdict(set), defaultdict(float)
        self.now = ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Called before a test's fixtures are set up: others of its file may share those."""
        self.now = nodeid.partition("::")[0]

    def pytest_runtest_call(self, item: object) -> None:
        """Called before the test itself."""
        self.now = item.nodeid

    def pytest_runtest_logreport(self, report: object) -> None:
        """Called after set-up, test and clearing away."""
        self.seconds[report.nodeid] += report.duration
        self.now = report.nodeid.partition("::")[0]

    def trace(self, frame: object, event: str, argument: object) -> Callable | None:
        """For sys.settrace: follow a function only if it stands in one of the files."""
        if frame.f_code.co_filename not in self.files:
            return None
        self.lines[self.now].add((frame.f_code.co_filename, frame.f_lineno))
        return self.trace


def look(files: list[str], tests: str, told: Path) -> int:
    """Run one file of tests without any mutant, and write to `told` what each test reaches."""
    import threading

    import pytest

    here = os.getcwd()
    plugin = Reached({os.path.join(here, file) for file in files})
    sys.settrace(plugin.trace), threading.settrace(plugin.trace)
    status = pytest.main([*OPTIONS, tests], plugins=[plugin])
    sys.settrace(None), threading.settrace(None)
    strayed = [m for m in list(sys.modules.values()) if _is_stray(m, here)]
    assert not strayed, f"not the copy: {strayed}"
    lines = {
        test: [[os.path.relpath(file, here), line] for file, line in sorted(found)]
        for test, found in plugin.lines.items()
    }
    told.write_text(json.dumps({"lines": lines, "seconds": plugin.seconds}), encoding="utf-8")
    return int(status)


def _is_stray(module: object, here: str) -> bool:
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None) or here
    return name.split(".")[0] == "lessonkit" and not file.startswith(here)


def usual_files() -> list[Path]:
    """The files whose mutants are drawn unless others are named: the lesson's, and training/."""
    lesson = [ROOT / "lessonkit" / f"{name}.py" for name in LESSON]
    return [*lesson, *sorted((ROOT / "lessonkit" / "training").glob("[!_]*.py"))]


def tests_of(file: str) -> list[str]:
    """The files of tests for a module."""
    stem = Path(file).stem
    names = [f"tests/test_{name}.py" for name in [stem, *TESTS.get(stem, [])]]
    there = [name for name in names if (ROOT / name).exists()]
    if not there:
        raise SystemExit(f"{file}: no file of tests is known: add it to TESTS in this script.")
    return there


class Plan(NamedTuple):
    """The tests that reach a mutant's line, the quickest first, and the seconds that they take."""

    tests: list[str]
    seconds: float


def plan(mutant: Mutant, seen: dict[str, dict]) -> Plan:
    """The tests to run on a mutant; all of its module's if none is known to reach its line."""
    chosen, everything = {}, {}
    for name in tests_of(mutant.file):
        reached, seconds = seen[name]["lines"], seen[name]["seconds"]
        everything |= seconds
        hit = {test for test, lines in reached.items() if [mutant.file, mutant.number] in lines}
        # Reached while importing or setting up: by any test of the file, then.
        chosen |= seconds if hit - set(seconds) else {test: seconds[test] for test in hit}
    chosen = chosen or everything
    return Plan(sorted(chosen, key=chosen.get), sum(chosen.values()))


# --- Running --------------------------------------------------------------------------------------

# Without plugins that only cost time, and so without the options of pyproject.toml for them.
OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "-o", "addopts=-m 'not soak'"]
OPTIONS += ["-p", "_hypothesis_pytestplugin"]
LOADED = ["torch", "torchvision", "timm", "scipy.stats", "matplotlib.pyplot", "hypothesis"]
LOADED += ["PIL.Image", "pytest", "ipywidgets", "nbclient", "nbval.kernel", "torch.distributed"]


def in_a_fork(folder: Path, seconds: float, work: Callable[[], int]) -> int | None:
    """`work()` in a process of its own, in `folder`; its exit status, None if it took too long.

    A fork has the large packages loaded already, and nothing of lessonkit.
    """
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # no mutant's results for the next
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            os.chdir(folder)
            sys.path.insert(0, str(folder))
            os.environ["PYTHONPATH"] = str(folder)
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
            sys.dont_write_bytecode = True  # nor stale code of a file that changed within a second
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            os._exit(work())
        except BaseException:
            os._exit(70)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


_copy: Path  # of this process of the pool


def _prepare(root: str) -> None:
    """Give a process of the pool a copy of its own, and load what every test needs."""
    global _copy
    _copy = Path(tempfile.mkdtemp(dir=root))
    skipped = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, _copy / name, ignore=skipped)
        else:
            shutil.copy(ROOT / name, _copy / name)
    for name in LOADED:
        importlib.import_module(name)


def _look(files: list[str], tests: str) -> dict:
    told = _copy / "told.json"
    status = in_a_fork(_copy, 3600, lambda: look(files, tests, told))
    if status != 0:
        raise SystemExit(f"{tests} fails without any mutant (status {status}): fix that first.")
    return json.loads(told.read_text(encoding="utf-8"))


def _pytest(names: list[str]) -> int:
    import hypothesis
    import pytest

    # One example that fails is enough: none has to be made small.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, deadline=None, phases=phases, database=None
    )
    return int(pytest.main([*OPTIONS, "--hypothesis-profile=mutants", *names]))


def _try(mutant: Mutant, planned: Plan) -> str:
    """What became of a mutant: "caught", "caught: time" or "survived"."""
    path = _copy / mutant.file
    source = path.read_bytes()
    try:
        path.write_bytes(mutant.change.of(source))
        seconds = SECONDS + 10 * planned.seconds
        status = in_a_fork(_copy, seconds, lambda: _pytest(planned.tests))
        if status in (4, 5):  # a test's name depends on what was changed, so it wasn't found
            status = in_a_fork(_copy, seconds, lambda: _pytest(tests_of(mutant.file)))
    finally:
        path.write_bytes(source)
    return "survived" if status == 0 else "caught" if status is not None else "caught: time"


def reason(mutant: Mutant, explained: list[dict]) -> str:
    """Why a mutant is equal, if that has been explained; or ""."""
    for known in explained:
        if all(known[name] == getattr(mutant, name) for name in ("file", "line", "becomes")):
            return known["reason"]
    return ""


def run(chosen: list[Mutant], processes: int) -> Iterator[tuple[Mutant, str]]:
    """What became of each mutant, in the order in which they are done."""
    files = sorted({mutant.file for mutant in chosen})
    needed = sorted({name for file in files for name in tests_of(file)})
    with (
        tempfile.TemporaryDirectory() as root,
        ProcessPoolExecutor(processes, get_context("fork"), _prepare, (root,)) as pool,
    ):
        seen = dict(zip(needed, pool.map(_look, [files] * len(needed), needed), strict=True))
        plans = [plan(mutant, seen) for mutant in chosen]
        yield from zip(chosen, pool.map(_try, chosen, plans), strict=True)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="all lesson files and training/ if none is given")
    parser.add_argument("--sample", type=int, default=400, help="how many are drawn of all")
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at once")
    parser.add_argument("--list", action="store_true", help="draw and show, run nothing")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    paths = [Path(file).resolve() for file in options.files] or usual_files()
    everything = [mutant for path in paths for mutant in mutants(path)]
    drawn = random.Random(options.seed).sample(everything, min(options.sample, len(everything)))
    print(f"{len(drawn)} of {len(everything)} mutants", flush=True)
    if options.list:
        for mutant in drawn:
            print(f"{mutant.file}:{mutant.number} {mutant.line}\n    {mutant.becomes}")
        return 0
    explained = json.loads(EQUAL.read_text(encoding="utf-8"))
    counts, results = Counter(), []
    for mutant, became in run(drawn, options.processes):
        why = reason(mutant, explained) if became == "survived" else ""
        became = "equal" if why else became
        results.append(
            {**mutant._asdict(), "change": mutant.change._asdict(), "became": became, "reason": why}
        )
        counts[mutant.file, became.partition(":")[0]] += 1
        if became == "survived":
            print(f"survived: {mutant.file}:{mutant.number} ({mutant.change.kind})", flush=True)
            print(f"    {mutant.line}\n    {mutant.becomes}", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0 if report(counts) >= ENOUGH else 1


def report(counts: Counter) -> float:
    """Print a table by files; the fraction caught of the mutants that aren't equal, 0 to 1."""
    print(f"\n{'file':38} caught  survived  equal")
    for file in [*sorted({file for file, _ in counts}), "all"]:
        row = [
            sum(
                n
                for (name, became), n in counts.items()
                if became == what and file in (name, "all")
            )
            for what in ("caught", "survived", "equal")
        ]
        print(f"{file:38} {row[0]:6} {row[1]:9} {row[2]:6}")
    share = row[0] / max(1, row[0] + row[1])
    print(f"{100 * share:.0f} % caught")
    return share


if __name__ == "__main__":
    sys.exit(main())
