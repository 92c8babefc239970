"""Small changes to a piece of Python, each of which a test should notice.

A comparison is another one (`<` is `<=`), a sum a difference, a number larger, a condition turned
round; a call, a keyword or a returned value is gone. Words for people are left alone.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Change", "changes"]

SWAPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "in": "not in"}
SWAPPED |= {"not in": "in", "is": "is not", "is not": "is", "and": "or", "or": "and"}
SWAPPED |= {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "@": "*"}
SWAPPED |= {"&": "|", "|": "&"}
# They change nothing where lists are as long as they must be, and text is UTF-8 anyway.
GUARDS = {"strict", "encoding"}
TYPES = {"Callable", "Iterable", "Iterator", "Sequence", "dict", "list", "tuple"}


class Change(NamedTuple):
    """The bytes from `start` to `end` of a source become `text`."""

    start: int
    end: int
    text: str
    kind: str

    def of(self, source: bytes) -> bytes:
        """The source with this change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def changes(source: bytes) -> list[Change]:
    """All changes of a source that leave it valid Python, in order; of two alike, the first."""
    tree, found = ast.parse(source), {}
    for change in sorted(set(_Changes(source).of(tree))):
        try:
            changed = ast.dump(ast.parse(change.of(source)))
        except SyntaxError:
            continue
        found.setdefault(changed, change)
    found.pop(ast.dump(tree), None)
    return list(found.values())


class _Changes:
    """The changes of one source, node by node of its syntax tree."""

    def __init__(self, source: bytes):
        self.source, self.starts, self.modules = source, [0], {"self", "super"}
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def of(self, node: ast.AST) -> Iterator[Change]:
        """The changes of a node and of those within it."""
        make = getattr(self, f"_{type(node).__name__.lower()}", None)
        if make is not None:
            yield from make(node)
        left_out = _words(node)
        for child in ast.iter_child_nodes(node):
            if child not in left_out:
                yield from self.of(child)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start, end = self.starts[node.lineno - 1], self.starts[node.end_lineno - 1]
        return start + node.col_offset, end + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _replaced(self, node: ast.AST, text: str, kind: str) -> Iterator[Change]:
        yield Change(*self._span(node), text, kind)

    def _import(self, node: ast.Import | ast.ImportFrom) -> Iterator[Change]:
        self.modules |= {(name.asname or name.name).split(".")[0] for name in node.names}
        yield from ()

    _importfrom = _import

    def _sign(self, like: ast.AST, left: ast.AST, right: ast.AST, kind: str) -> Iterator[Change]:
        """Another sign between two nodes; `like` is an expression a … b with the sign."""
        sign = ast.unparse(like)[1:-1].strip()
        if sign not in SWAPPED:
            return
        start, end = self._span(left)[1], self._span(right)[0]
        pattern = r"\s+".join(map(re.escape, sign.split()))
        match = re.search(pattern.encode(), self.source[start:end])
        yield Change(start + match.start(), start + match.end(), SWAPPED[sign], kind)

    def _compare(self, node: ast.Compare) -> Iterator[Change]:
        sides = [node.left, *node.comparators]
        for sign, left, right in zip(node.ops, sides, sides[1:], strict=False):
            yield from self._sign(ast.Compare(_A, [sign], [_B]), left, right, "comparison")

    def _boolop(self, node: ast.BoolOp) -> Iterator[Change]:
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from self._sign(ast.BoolOp(node.op, [_A, _B]), left, right, "boolean")

    def _binop(self, node: ast.BinOp) -> Iterator[Change]:
        yield from self._sign(ast.BinOp(_A, node.op, _B), node.left, node.right, "arithmetic")

    def _augassign(self, node: ast.AugAssign) -> Iterator[Change]:
        sign = ast.BinOp(_A, node.op, _B)
        yield from self._sign(sign, node.target, node.value, "arithmetic")
        yield from self._replaced(node, "pass", "removed")

    def _unaryop(self, node: ast.UnaryOp) -> Iterator[Change]:
        if isinstance(node.op, ast.USub | ast.Not | ast.Invert):
            kind = "boolean" if isinstance(node.op, ast.Not) else "arithmetic"
            yield from self._replaced(node, self._text(node.operand), kind)

    def _constant(self, node: ast.Constant) -> Iterator[Change]:
        if isinstance(node.value, bool):
            yield from self._replaced(node, str(not node.value), "constant")
        elif isinstance(node.value, int):
            yield from self._replaced(node, str(node.value + 1), "constant")
        elif isinstance(node.value, float):
            yield from self._replaced(node, repr(2 * node.value or 1.0), "constant")

    def _if(self, node: ast.If | ast.While | ast.IfExp) -> Iterator[Change]:
        yield from self._turned_round(node.test)

    _while = _ifexp = _if

    def _comprehension(self, node: ast.comprehension) -> Iterator[Change]:
        for test in node.ifs:
            yield from self._turned_round(test)

    def _turned_round(self, test: ast.expr) -> Iterator[Change]:
        signs = getattr(test, "ops", [])
        by_sign = len(signs) == 1 and not isinstance(signs[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        by_not = isinstance(getattr(test, "op", None), ast.Not)
        if not (by_sign or by_not):  # else another sign, or none, turns it round
            yield from self._replaced(test, f"(not ({self._text(test)}))", "condition")

    def _return(self, node: ast.Return) -> Iterator[Change]:
        if node.value is not None:
            yield from self._replaced(node.value, "None", "return value")

    def _expr(self, node: ast.Expr) -> Iterator[Change]:
        if isinstance(node.value, ast.Call):
            yield from self._replaced(node, "pass", "removed")

    def _call(self, node: ast.Call) -> Iterator[Change]:
        if isinstance(node.func, ast.Attribute) and not self._is_module(node.func.value):
            yield from self._replaced(node, self._text(node.func.value), "removed")
        for keyword in node.keywords:
            if keyword.arg in GUARDS:
                continue
            start, end = self._span(keyword)
            after = re.match(rb"\s*,\s*", self.source[end:])
            before = re.search(rb"(,\s*)?$", self.source[:start])
            span = (start, end + after.end()) if after else (before.start(), end)
            yield Change(*span, "", "keyword")

    def _is_module(self, node: ast.AST) -> bool:
        """Whether an expression is one such as `torch.nn`, so that what is called is no method."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.modules


_A, _B = ast.Name("a"), ast.Name("b")


def _words(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that are types, names or messages, and compute nothing."""
    words = [getattr(node, name, None) for name in ("annotation", "returns")]
    if isinstance(node, ast.Call):
        words += [keyword for keyword in node.keywords if keyword.arg in GUARDS]
    if isinstance(node, ast.Raise):
        words += [node.exc, node.cause]
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
        words.append(node.value)
    if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in TYPES:
        words.append(node.slice)
    return words
