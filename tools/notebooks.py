"""Execute the notebooks anew and store their outputs, so that only real changes show in a diff.

    python tools/notebooks.py                all notebooks, solutions too
    python tools/notebooks.py 02 07          those whose names start so
    python tools/notebooks.py --check        write nothing; say which would change, and where

A notebook's kernel is this Python, in the notebook's folder, with the environment that
`make test` gives it. What differs from run to run without meaning anything (times, random ids,
the Python version, how a stream was cut in pieces, progress bars of work that a cache may save) is
left out or put in one form, so two executions write the same bytes. The exceptions are pictures
that show measured seconds, and on another machine the measured number in a line that quiz.roughly
prints: neither counts as a change for --check, as neither does for nbval.

A picture's alt text stands in the metadata of the cell that draws it: {"alt": "..."}, or a list
for several pictures. It is copied to the output, where static viewers look for it.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")  # what nbval leaves out of comparisons
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_CELL_METADATA = {"tags", "alt", "jupyter", "editable", "deletable"}
PICTURES = ("image/png", "image/jpeg")
WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_SECONDS = 300  # as in pyproject.toml for nbval


def environment(parallel: bool) -> dict[str, str | None]:
    """Variables for kernels and tests, None for those to unset: the same on every machine."""
    cache = ROOT / ".cache"
    return {
        "LESSONKIT_CACHE": str(cache / "lessonkit"),  # not the user's own, and one for all
        "LESSONKIT_RECORDS": str(cache / "records"),  # nor the user's answers
        "LESSONKIT_TEST": "1",  # quiz.roughly raises where elsewhere it asks
        "IPYTHONDIR": str(cache / "ipython"),  # nor the user's start-up files
        "MPLBACKEND": None,  # anything set here would replace pictures in the notebook
        "HF_HUB_OFFLINE": "1",  # the course promises to need no download
        # Several processes with a thread for every core each would only wait for one another.
        "OMP_NUM_THREADS": "1" if parallel else os.environ.get("OMP_NUM_THREADS"),
    }


def set_environment(variables: dict[str, str | None]) -> None:
    """Put `variables` into this process's environment, which kernels started later inherit."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    (ROOT / ".cache").mkdir(exist_ok=True)


def execute(
    path: Path, notebook: NotebookNode | None = None, env: dict[str, str] | None = None
) -> NotebookNode:
    """The notebook at `path`, executed from top to bottom and normalised; no file is changed.

    `notebook` may be another version of it, and `env` all variables of its kernel. Raises
    nbclient's CellExecutionError if a cell fails that isn't tagged raises-exception.
    """
    notebook = notebook or nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=CURRENT_ENV_KERNEL_NAME,  # never a kernel registered elsewhere
        record_timing=False,
        store_widget_state=False,  # with it static viewers drop the pictures
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.create_kernel_manager().kernel_spec_manager = NbvalKernelspecManager()
    client.execute(**({"env": env} if env else {}))
    return normalise(notebook)


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Give everything that means nothing one fixed form, in place."""
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    ids: set[str] = set()
    widgets = 0
    for cell in notebook.cells:
        cell.id = _cell_id(cell, ids)
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in KEPT_CELL_METADATA}
        )
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if set(output.get("data", {})) != {WIDGET}]
            cell.outputs = _merge_streams(shown)
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [f"{output.ename}: {output.evalue}"]  # no paths, no colours
                for view in filter(None, [output.get("data", {}).get(WIDGET)]):
                    widgets += 1
                    view["model_id"] = f"{widgets:032x}"
            _describe_pictures(cell)
    return notebook


def _cell_id(cell: NotebookNode, taken: set[str]) -> str:
    # From the content: neither an inserted cell nor a new execution changes the other cells' ids.
    text, repeats = cell.cell_type + cell.source, 0
    while (name := hashlib.sha256(f"{text}{repeats}".encode()).hexdigest()[:8]) in taken:
        repeats += 1
    taken.add(name)
    return name


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _describe_pictures(cell: NotebookNode) -> None:
    alts = cell.metadata.get("alt", [])
    alts = iter([alts] if isinstance(alts, str) else alts)
    for output in cell.outputs:
        if output.output_type in ("display_data", "execute_result"):
            kinds = [kind for kind in PICTURES if kind in output.data]
            own = [output.get("metadata", {}).get(kind, {}).get("alt") for kind in kinds]
            alt = (next(alts, None) or own[0]) if kinds else None
            output.metadata = nbformat.from_dict({kind: {"alt": alt} for kind in kinds if alt})


def changes(old: NotebookNode, new: NotebookNode) -> list[str]:
    """Where two versions of a notebook differ: "cell 4 (text)", "cell 7 (picture)", ...

    "cell 5 (measured)" if only numbers differ that quiz.roughly has measured.
    """
    found = []
    if len(old.cells) != len(new.cells) or old.metadata != new.metadata:
        found.append("the notebook's own metadata")
    for number, (before, after) in enumerate(zip(old.cells, new.cells, strict=False), start=1):
        if before != after:
            before, after = _without_measured(before), _without_measured(after)
            kind = "measured" if before == after else "picture"
            same_text = _without_pictures(before) == _without_pictures(after)
            found.append(f"cell {number} ({kind if same_text else 'text'})")
    return found


def _without_pictures(cell: NotebookNode) -> dict:
    cell = nbformat.from_dict(cell)
    for output in cell.get("outputs", []):
        for kind in PICTURES:
            if kind in output.get("data", {}):
                output.data[kind] = ""
    return cell


def _without_measured(cell: NotebookNode) -> dict:
    """The cell without what nbval leaves out of its comparison, too."""
    cell = nbformat.from_dict(cell)
    for output in cell.get("outputs", []):
        for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text(encoding="ascii")):
            if "text" in output:
                output.text = re.sub(pattern, replacement, output.text)
    return cell


def undescribed(notebook: NotebookNode) -> list[int]:
    """The numbers, from 1, of cells with a picture that has no alt text."""
    return [
        number
        for number, cell in enumerate(notebook.cells, start=1)
        for output in cell.get("outputs", [])
        for kind in PICTURES
        if kind in output.get("data", {}) and not output.metadata.get(kind, {}).get("alt")
    ]


def write(notebook: NotebookNode, path: Path) -> None:
    """Write the whole notebook or, if anything goes wrong, leave the file as it was."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def update(path: Path, check: bool) -> tuple[str, bool]:
    """Execute one notebook and store it, or `check` it; a line on how it went, and whether well."""
    start, name = time.perf_counter(), path.relative_to(ROOT).as_posix()
    try:
        notebook = execute(path)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return f"{name}: failed, and was left as it was.\n{error}", False
    seconds = f"{time.perf_counter() - start:.0f} s"
    differences = changes(nbformat.read(path, as_version=4), notebook)
    if len(differences) > len(notebook.cells):
        differences = ["every cell (text)"]  # as when the notebook was never executed
    what = f"changes in {', '.join(differences)}" if differences else "no change"
    if not check:
        write(notebook, path)
    missing = undescribed(notebook)
    if missing:
        cells = ", ".join(map(str, missing))
        what += f'\n  a picture in cell {cells} has no alt text: add "alt" to the cell\'s metadata'
    same = all(difference.endswith(("(picture)", "(measured)")) for difference in differences)
    return f"{name}: {seconds}, {what}", not missing and (same or not check)


def find(names: list[str]) -> list[Path]:
    """The notebooks meant by `names`: paths or beginnings of file names; all if there are none."""
    everything = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    everything = [path for path in everything if ".ipynb_checkpoints" not in path.parts]
    if not names:
        return everything
    chosen = []
    for name in names:
        path = Path(name).resolve()
        matching = [path] if path in everything else []
        matching = matching or [p for p in everything if p.name.startswith(name)]
        if not matching:
            raise FileNotFoundError(f"There is no notebook {name!r} in the folder notebooks.")
        chosen += matching
    return list(dict.fromkeys(chosen))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    parser.add_argument("notebooks", nargs="*", metavar="NB", help="a path, or 02 for 02_*.ipynb")
    arguments = parser.parse_args()
    try:
        paths = find(arguments.notebooks)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    # Parallel or not, kernels are told the same, so that results can't depend on how many run.
    set_environment(environment(parallel=True))
    well = True
    with ProcessPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for line, went_well in pool.map(update, paths, [arguments.check] * len(paths)):
            print(line, flush=True)
            well &= went_well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
