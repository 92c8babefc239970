"""The mutation run itself: what it changes, what it leaves alone, and which tests it chooses."""

import ast

import pytest

from tools import mutants
from tools.mutations import changes


def changed(source):
    """What becomes of a source, once for each change."""
    return {change.of(source.encode()).decode() for change in changes(source.encode())}


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("a < b", {"a <= b"}),
        ("a is not b", {"a is b"}),
        ("a in b", {"a not in b"}),
        ("a + b * 2", {"a - b * 2", "a + b / 2", "a + b * 3"}),
        ("(a) // (b)", {"(a) / (b)"}),
        ("a and b and c", {"a or b and c", "a and b or c"}),
        ("x += y", {"x -= y", "pass"}),
        ("x = -a", {"x = a"}),
        ("x = 0.0", {"x = 1.0"}),
        ("x = 0.5", {"x = 1.0"}),
        ("x = True", {"x = False"}),
        ("if a: b()", {"if (not (a)): b()", "if a: pass"}),
        ("if not a: b", {"if a: b"}),
        ("x = [a for a in b if c]", {"x = [a for a in b if (not (c))]"}),
        ("x = a.clamp(b).sum()", {"x = a.clamp(b)", "x = a.sum()"}),
        ("x = f(a, key=b, other=c)", {"x = f(a, other=c)", "x = f(a, key=b)"}),
        ("def f(): return a", {"def f(): return None"}),
        ("import torch\nx = torch.nn.relu(a)", set()),  # no method
        ("x = 'é' + b  # <", {"x = 'é' - b  # <"}),  # columns count bytes
    ],
)
def test_each_change_is_the_one_that_is_meant(source, becomes):
    assert changed(source) == becomes


@pytest.mark.parametrize(
    "source",
    [
        '"""1 < 2"""',
        "__all__ = [1]",
        "x: Callable[[], 1]",
        "def f(a: 1) -> 2: a",
        "raise ValueError(f'{3 * a}')",
        "for a in zip(b, c, strict=True): d",
    ],
)
def test_words_types_and_guards_are_left_alone(source):
    assert changed(source) == set()


def test_a_mutant_names_its_line_before_and_after():
    found = mutants.mutants(mutants.ROOT / "lessonkit" / "schedule.py")
    source = (mutants.ROOT / "lessonkit" / "schedule.py").read_bytes()
    lines = source.decode().splitlines()
    assert len(found) > 50 and len({mutant.change.of(source) for mutant in found}) == len(found)
    for mutant in found:
        assert lines[mutant.number - 1].strip() == mutant.line
        assert mutant.becomes != mutant.line or "\n" in source[slice(*mutant.change[:2])].decode()
        ast.parse(mutant.change.of(source))


def test_every_file_that_is_sampled_has_tests():
    for path in mutants.usual_files():
        assert mutants.tests_of(str(path)), path


def test_tests_that_reach_the_line_are_chosen_the_quickest_first(monkeypatch):
    monkeypatch.setattr(mutants, "tests_of", lambda file: ["t.py"])
    [mutant, *_] = mutants.mutants(mutants.ROOT / "lessonkit" / "schedule.py")
    here = [mutant.file, mutant.number]
    seconds = {"t.py::slow": 3.0, "t.py::quick": 1.0, "t.py::elsewhere": 0.5}

    def planned(**lines):
        lines = {name.replace("t_py", "t.py").replace("__", "::"): at for name, at in lines.items()}
        return mutants.plan(mutant, {"t.py": {"lines": lines, "seconds": seconds}})

    reached = planned(t_py__slow=[here], t_py__quick=[here], t_py__elsewhere=[["x.py", 1]])
    assert reached == (["t.py::quick", "t.py::slow"], 4.0)
    everything = ["t.py::elsewhere", "t.py::quick", "t.py::slow"]
    assert planned().tests == everything  # reached by none, as far as one can see
    assert planned(t_py=[here]).tests == everything  # while importing or setting up


def test_an_explanation_counts_for_its_own_change_only():
    [one, other, *_] = mutants.mutants(mutants.ROOT / "lessonkit" / "schedule.py")
    known = [{"file": one.file, "line": one.line, "becomes": one.becomes, "reason": "because"}]
    assert mutants.reason(one, known) == "because" and mutants.reason(other, known) == ""
