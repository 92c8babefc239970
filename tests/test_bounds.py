"""What `make bounds` says of measured numbers: which bounds hold, and what it would propose."""

import math

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import bounds
from tools import notebooks as tool


def notebook(*texts):
    outputs = [[new_output("stream", name="stdout", text=text)] for text in texts]
    return new_notebook(cells=[new_code_cell(outputs=shown) for shown in outputs])


def runs(values, expected=0.86, bound=0.04, factor=False):
    sign = "," if factor else ""
    mark = " \u00d7\u00f7 " if factor else " \u00b1 "
    lines = (f"accuracy {v:.4f} (expected {expected}{sign}{mark}{bound})\n" for v in values)
    return [bounds.stated(notebook(line))[0] for line in lines]


def test_lines_are_read_as_they_were_printed():
    text = (
        "η = 0.1\n  λ / (2/η) 1.041 (expected 1.04 ± 0.05)\n"
        "loss of 3 1.23e-5 (expected 1e-5, ×÷ 1.5)\n-3 (expected -2.5 ± 1)\n"
        "about (expected soon)\n0.5 (expected 0.5 ± 0.1) or so\n"
    )
    first, second, third = bounds.stated(notebook("nothing", text))
    assert first == bounds.Stated(2, "  λ / (2/η)", 1.041, 1.04, False, 0.05, 0.0005)
    assert second[:6] == (2, "loss of 3", 1.23e-5, 1e-5, True, 1.5)
    assert math.isclose(second.half_digit, 0.5e-7)
    assert third[:6] == (2, "", -3.0, -2.5, False, 1.0)


@pytest.mark.parametrize(
    ("value", "well"),
    [(0.86, True), (0.9004, True), (0.9006, False), (0.8196, True), (0.81, False)],
)
def test_half_a_unit_of_the_last_digit_is_allowed(value, well):
    line = bounds.Stated(1, "", 0.0, 0.86, False, 0.04, 0.0005)
    assert line.holds(value) is well


def test_limits_of_a_factor_also_of_a_negative_number():
    assert bounds.Stated(1, "", 0.0, -2.0, True, 2.0, 0.0).limits() == (-4.0, -1.0)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("factor", [False, True])
def test_a_proposal_covers_what_was_measured_and_most_of_what_comes(seed, factor):
    draw = np.random.default_rng(seed).normal
    values = np.exp(draw(-1, 0.1, 10)) if factor else draw(0.8, 0.02, 10)
    made = runs(values, 0.4, 1.5, factor)
    expected, bound = bounds.propose(made)
    line = made[0]._replace(expected=expected, bound=bound)
    assert all(line.holds(run.measured) for run in made)
    low, high = line.limits()
    width = math.log(high / low) if factor else high - low
    assert width < 14 * (0.1 if factor else 0.02)


def test_a_proposal_holds_for_nine_new_runs_in_ten():
    covered = 0
    for seed in range(200):
        draw = np.random.default_rng(seed).normal(0.8, 0.02, 11)
        made = runs(draw[:10])
        expected, bound = bounds.propose(made)
        covered += made[0]._replace(expected=expected, bound=bound).holds(draw[10])
    assert covered >= 180


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([0.85, 0.86, 0.88, 0.83], "holds"),
        ([0.85, 0.86, 0.91], "DOESN'T HOLD"),
        ([0.8601, 0.8602, 0.8600], "wider than needed"),
        ([0.86, 0.86, 0.86], "wider than needed"),
    ],
)
def test_the_verdict_on_a_bound(values, word):
    assert bounds.verdict(runs(values))[0] == word


def test_the_seed_cell_is_the_one_code_cell_that_sets_seed():
    made = new_notebook(cells=[new_markdown_cell("SEED = 1"), new_code_cell("import x\nSEED = 3")])
    assert bounds.seed_cell(made).source.endswith("SEED = 3")
    assert bounds.seed_cell(new_notebook(cells=[new_code_cell("seed = 3")])) is None
    made.cells.append(new_code_cell("SEED = 4"))
    assert bounds.seed_cell(made) is None  # which of them?


@pytest.mark.slow
def test_a_notebook_is_measured_with_other_seeds_on_another_processor(tmp_path, monkeypatch):
    source = (
        "import torch\nfrom lessonkit import quiz\nSEED = 0\n"
        "processor = torch.backends.cpu.get_cpu_capability()\n"
        "quiz.roughly(SEED / 100, 0, within=0.5, what=f'seed on {processor}')"
    )
    path = tmp_path / "00_seeds.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    monkeypatch.setattr(bounds, "SEEDS", (0, 100))
    tool.set_environment(tool.environment(parallel=True))
    lesser = bounds.lesser_processor()
    [one] = bounds.measure(path, 100, lesser)  # outside its bounds, and measured all the same
    processor = {"avx2": "AVX2", "default": "DEFAULT"}[lesser["ATEN_CPU_CAPABILITY"]]
    assert (one.what, one.measured) == (f"seed on {processor}", 1.0)
    assert SOURCE_UNCHANGED in path.read_text(encoding="utf-8")


SOURCE_UNCHANGED = "SEED = 0"
