"""The page of lessonkit's public functions: made from their signatures and docstrings.

site/api.md says where each module's part goes: {functions lessonkit.schedule}. Docstrings are
written as Markdown is, and so is this page.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType

from sphinx.application import Sphinx

PAGE = "site/api"
WIDTH = 90


def signature(function: ast.FunctionDef, name: str) -> str:
    """How a function is called, on one line or, if that is too long, with a line an argument."""
    function.args.args = [a for a in function.args.args if a.arg not in ("self", "cls")]
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    arguments = re.split(r", (?=\*{0,2}\w+\s*(?:[:=,]|$)|\*,)", ast.unparse(function.args))
    # ast writes seed: int=0, and people seed: int = 0.
    arguments = [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", argument) for argument in arguments]
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= WIDTH:
        return line
    inside = "".join(f"    {argument},\n" for argument in arguments)
    return f"{name}(\n{inside}){returns}"


def entry(name: str, how: str, text: str, level: int) -> str:
    """One function or class: a heading, how it is called, and its docstring, arguments listed."""
    text = re.sub(r"^(\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)
    return f"{'#' * level} {name}\n\n```python\n{how}\n```\n\n{text}\n"


def is_property(function: ast.FunctionDef) -> bool:
    """Whether a method is read like an attribute."""
    kinds = {ast.unparse(decorator) for decorator in function.decorator_list}
    return bool(kinds & {"property", "cached_property"})


def of_class(name: str, tree: ast.ClassDef) -> Iterator[str]:
    """A class with its public methods and properties, as they stand in its file."""
    inside = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    made = next((signature(f, name) for f in inside if f.name == "__init__"), None)
    fields = [ast.unparse(node) for node in tree.body if isinstance(node, ast.AnnAssign)]
    how = made or "\n".join([f"class {name}", *(f"    {field}" for field in fields)])
    yield entry(name, how, ast.get_docstring(tree) or "", 3)
    for function in inside:
        text = ast.get_docstring(function)
        if text and not function.name.startswith("_"):
            member = f"{name}.{function.name}"
            returns = ast.unparse(function.returns) if function.returns else "Any"
            called = (
                f"{member}: {returns}" if is_property(function) else signature(function, member)
            )
            yield entry(member, called, text, 4)


def functions(module: ModuleType, names: list[str]) -> Iterator[str]:
    """The entries of those of `names` that are functions or classes with a docstring."""
    short = module.__name__.rpartition(".")[2]
    for name in names:
        thing = getattr(module, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)) or not thing.__doc__:
            continue
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
        full = name if module.__name__ == "lessonkit" else f"{short}.{name}"
        if isinstance(tree, ast.ClassDef):
            yield from of_class(full, tree)
        else:
            yield entry(full, signature(tree, full), inspect.getdoc(thing), 3)


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the entries in where the page names a module."""

    def entries(found: re.Match) -> str:
        module = importlib.import_module(found[1])
        return "\n".join(functions(module, found[2].split() or module.__all__))

    if page == PAGE:
        source[0] = re.sub(r"^\{functions ([\w.]+)(.*)\}$", entries, source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx when it loads this extension."""
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
