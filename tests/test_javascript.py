"""The explorers' JavaScript works out what Python does: the very files that draw, run beside it.

Python is the truth. Each formula gets a thousand random inputs on both sides, and each explorer
tells the same sentence on both sides, wherever its controls stand.
"""

import itertools
import json
import re
from functools import cache, partial

import numpy as np
import pytest
import torch

from lessonkit import augment, schedule
from lessonkit.course import explorers as explore
from lessonkit.course.exercises import questions, radio_quiz
from lessonkit.course.explorers import explorer
from lessonkit.course.explorers.augmentation import _allowed
from lessonkit.course.explorers.loss_surface import two_pits_slope
from lessonkit.lr_finder import LRFinderResult, smooth
from tests.tiny import coloured

engines = pytest.importorskip("py_mini_racer", reason="mini-racer, of the tests' extra, is missing")

NAMES = sorted(json.loads((explorer.HERE / "controls.json").read_text("utf-8")))
N = 1000
# JSON knows no infinity; Python's float() reads what JavaScript's String() writes.
SEND = """const send = (value) => JSON.stringify(
  value, (key, it) => typeof it === "number" && !Number.isFinite(it) ? String(it) : it);"""


class JavaScript:
    """Some of the explorers' files in an engine of their own; `changes` are made in them first."""

    def __init__(self, *files, changes=(), folder=explorer.HERE):
        code = explorer.plain_javascript(*files, folder=folder)
        for old, new in changes:
            assert old in code
            code = code.replace(old, new)
        self.engine = engines.MiniRacer()
        self.engine.eval(f"{code}\n{SEND}")

    def __call__(self, expression, **values):
        for name, value in values.items():
            self.engine.eval(f"globalThis.{name} = {json.dumps(value)}")
        return json.loads(self.engine.eval(f"send({expression})"))


@cache
def formulas():
    return JavaScript("formulas.js")


@cache
def of_explorer(name):
    return JavaScript(f"{name}.js")


def numbers(values):
    return np.array([float(value) for value in values])


def agree(given, found, expected, relative, absolute=0.0):
    """All of `found` are `expected`, else the first input that they differ on is named."""
    assert len(given) == len(found) == len(expected)
    for inputs, ours, truth in zip(given, found, expected, strict=True):
        np.testing.assert_allclose(
            numbers(np.ravel(ours)), np.ravel(truth), relative, absolute, err_msg=str(inputs)
        )


# --- Schedules ----------------------------------------------------------------------------------


def draw_schedule(kind, rng):
    """Random arguments of a schedule's function: JavaScript's take them in the same order."""
    lr, steps = float(10 ** rng.uniform(-5, 1)), int(rng.integers(2, 90))
    low = float(lr * rng.choice([0, rng.uniform()]))
    every, cycles = int(rng.integers(1, 60)), rng.integers(1, 4, 3).tolist()
    return {
        "constant": [lr, steps],
        "step_decay": [lr, steps, rng.uniform(0.01, 1), every],
        "linear": [lr, steps, low],
        "cosine": [lr, steps, low],
        "sgdr": [lr, *cycles, int(rng.integers(1, 9)), low],
        "triangular": [lr, steps, every, low],
        "one_cycle": [lr, steps, *rng.uniform([0.01, 1, 1], [0.99, 50, 1e5]).tolist()],
    }[kind]


KINDS = ["constant", "step_decay", "linear", "cosine", "sgdr", "triangular", "one_cycle"]
JS_NAMES = {"step_decay": "stepDecay", "one_cycle": "oneCycle"}


def compare_schedule(kind, engine, n=N):
    rng = np.random.default_rng(1)
    given = [draw_schedule(kind, rng) for _ in range(n)]
    found = engine(f"given.map((one) => {JS_NAMES.get(kind, kind)}(...one))", given=given)
    expected = [getattr(schedule, kind)(*one) for one in given]
    agree(given, found, expected, 1e-12, 1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_schedules(kind):
    compare_schedule(kind, formulas())


# --- Balls --------------------------------------------------------------------------------------


def compare_bowl(engine, n=N):
    rng = np.random.default_rng(2)
    given = np.stack(
        [rng.uniform(0.5, 4, n), rng.uniform(-4.5, 4.5, n), rng.uniform(0.05, 4.5, n),
         rng.choice([0, 0.5, 0.95], n)], 1,
    ).tolist()  # fmt: skip
    found = engine("given.map(([c, x, lr, m]) => descend((w) => c * w, x, lr, 30, m))", given=given)
    expected = [explore.descend(lambda w, c=c: c * w, x, lr, 30, m) for c, x, lr, m in given]
    # Where it zigzags to the bottom, one step's rounding is much of the little that is left.
    agree(given, found, expected, 1e-9, 1e-13)


def test_the_ball_in_the_bowl():
    compare_bowl(formulas())


def test_a_ball_that_runs_out_of_numbers():
    given = [[x, lr] for x in (3.0, -10.0, 1e3) for lr in (0.5, 1.0, 7.0)]
    found = formulas()("given.map(([x, lr]) => descend((w) => w ** 3, x, lr, 40, 0))", given=given)
    expected = [explore.descend(lambda w: w**3, x, lr, 40) for x, lr in given]
    assert all(np.isinf(path).any() for path in expected)
    agree(given, found, expected, 1e-9)


def compare_pits(engine, n=N):
    xs = np.random.default_rng(3).uniform(-6, 6, n).tolist()
    agree(xs, engine("xs.map(twoPits)", xs=xs), explore.two_pits(xs), 1e-9, 1e-12)
    agree(xs, engine("xs.map(twoPitsSlope)", xs=xs), two_pits_slope(xs), 1e-9, 1e-12)


def test_two_pits_and_their_slope():
    compare_pits(formulas())


def compare_rolls(engine, n=N):
    rng = np.random.default_rng(4)
    given = [
        [float(rng.uniform(-4, 4)), schedule.sgdr(rng.uniform(0.02, 1.4), 2, 1, 2, 8).tolist()]
        for _ in range(n)
    ]
    paths = [explore.roll(start, lrs) for start, lrs in given]
    # Above 2/λ the ball bounces so wildly that a last digit grows: so each step from where it is.
    rolls = list(zip(paths, [lrs for _, lrs in given], strict=True))
    moves = [move for path, lrs in rolls for move in zip(path[:-1].tolist(), lrs, strict=True)]
    found = engine("moves.map(([x, lr]) => roll(x, [lr])[1])", moves=moves)
    ends = np.concatenate([path[1:] for path in paths])
    agree(["one of the steps"], [found], [ends], 1e-9, 1e-12)
    gentle = [[start, (np.array(lrs) / 10).tolist()] for start, lrs in given]
    found = engine("gentle.map(([x, lrs]) => roll(x, lrs))", gentle=gentle)
    agree(gentle, found, [explore.roll(start, lrs) for start, lrs in gentle], 1e-9, 1e-12)


def test_the_ball_between_the_pits():
    compare_rolls(formulas())


# --- Pictures -----------------------------------------------------------------------------------

CHANGES = ("mirror", "quarterTurns", "degrees", "zoom", "right", "down")


def draw_changes(n, seed):
    rng = np.random.default_rng(seed)
    columns = [rng.uniform(size=n) < 0.5, rng.integers(0, 4, n), rng.uniform(-180, 180, n)]
    columns += [rng.uniform(1, 3, n), rng.uniform(-0.5, 0.5, n), rng.uniform(-0.5, 0.5, n)]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [dict(zip(CHANGES, row, strict=True)) for row in rows]


def python_affine(given):
    arguments = (torch.tensor([one[name] for one in given]) for name in CHANGES)
    return augment.affine(*arguments)


def compare_affine(engine, n=N):
    given = draw_changes(n, 5)
    found = engine("given.map(affine)", given=given)
    agree(given, found, python_affine(given).numpy(), 0, 1e-6)


def test_affine_matrices():
    compare_affine(formulas())


def compare_pictures(engine, n=12):
    given, side = draw_changes(n, 6), 12
    image = torch.randint(256, (3, side, side), generator=torch.Generator().manual_seed(0))
    rgba = torch.cat([image, torch.full((1, side, side), 255)]).permute(1, 2, 0).flatten().tolist()
    found = engine(f"given.map((one) => Array.from(move(rgba, {side}, affine(one))))",
                       given=given, rgba=rgba)  # fmt: skip
    pixels = image.float().expand(len(given), -1, -1, -1)
    expected = augment.move(pixels, python_affine(given)).permute(0, 2, 3, 1)
    moved = np.array(found).reshape(len(given), side, side, 4)
    np.testing.assert_allclose(moved[..., :3], expected, atol=0.02)


def test_pictures_are_looked_up_alike():
    compare_pictures(formulas())


@pytest.mark.parametrize("light", [-0.2, 0.6])
def test_the_eight_changes_are_those_of_the_notebook(light):
    side, strength = 10, {"degrees": 25.0, "zoom": 1.4, "shift": 0.15, "light": light}
    image = torch.randint(256, (3, side, side), generator=torch.Generator().manual_seed(1))
    image = image.to(torch.uint8)
    rgba = torch.cat([image, torch.full((1, side, side), 255)]).permute(1, 2, 0).flatten().tolist()
    found = of_explorer("augmentations")(
        f"[0, 1, 2, 3, 4, 5, 6, 7].map((k) => Array.from(changed(rgba, {side}, k, strength)))",
        rgba=rgba, strength=strength,
    )  # fmt: skip
    moved = np.array(found).reshape(8, side, side, 4)
    expected = explore.transformed(image, **strength).permute(0, 2, 3, 1).numpy()
    assert (moved[..., 3] == 255).all()
    far = np.abs(moved[..., :3] - expected.astype(int))
    assert far.max() <= 1 and (far[7] > 0).mean() < 0.05  # a half rounds either way


def test_what_a_preset_allows():
    rng = np.random.default_rng(7)
    for name, preset in augment.PRESETS.items():
        choices = {"degrees": [0, 10, 15, -90, 180], "zoom": [1, 1.1, 1.2]}
        choices |= {"shift": [0, -0.05, 0.1], "light": [0, 0.05, -0.1]}
        given = [{k: float(rng.choice(v)) for k, v in choices.items()} for _ in range(40)]
        js, about = of_explorer("augmentations"), vars(preset())
        found = js("given.map((one) => allowed(preset, one))", given=given, preset=about)
        assert found == [_allowed(preset(), **one) for one in given], name


# --- Numbers ------------------------------------------------------------------------------------


def test_the_running_mean():
    losses = np.random.default_rng(8).uniform(0, 5, (40, 60)).tolist()
    found = formulas()("losses.map((one) => smooth(one))", losses=losses)
    agree(losses, found, [smooth(one) for one in losses], 1e-12)


def test_numbers_are_written_as_python_writes_them():
    rng = np.random.default_rng(9)
    values = (rng.choice([-1, 1], N) * 10 ** rng.uniform(-12, 12, N)).tolist()
    values += [0.0, 1.0, -1.0, 0.1, 0.05, 100.0, 1e5, 999999.5, 1e6, 1e-4, 1e-5, 0.000123456]
    values += [0.5, 2.5, 8.5, 9.5, 0.125, 0.0625, -0.0625, 1.25, 1.125, 10.125, 2.0**-20, 1234565.0]
    for digits in (1, 2, 3, 6):
        found = formulas()(f"values.map((value) => general(value, {digits}))", values=values)
        assert found == [f"{value:.{digits}g}" for value in values]
    found = formulas()("values.map((value) => exponential(value, 1))", values=values)
    assert found == [f"{value:.1e}" for value in values]
    assert formulas()("[NaN, Infinity, -Infinity].map((value) => general(value))") == [
        "nan", "inf", "-inf",
    ]  # fmt: skip


def test_an_axis_never_has_one_tick_alone():
    ticks, rng = JavaScript("drawing.js"), np.random.default_rng(0)
    assert ticks("ticksBetween(-4, 4, 3)") == [-4, -2, 0, 2, 4]  # on a phone it was 0 alone
    for low, span, count in zip(
        rng.normal(size=N) * 10, 10 ** rng.uniform(-3, 4, N), rng.integers(2, 11, N), strict=True
    ):
        places = ticks(f"ticksBetween({low}, {low + span}, {count})")
        assert 2 <= len(places) <= 15, (low, span, count)
        assert low - 1e-6 * span <= places[0] and places[-1] <= low + span * (1 + 1e-6)


def test_a_logarithmic_axis_never_has_one_tick_alone():
    ticks, rng = JavaScript("drawing.js"), np.random.default_rng(1)
    assert ticks("decades(0.005, 2)") == [0.01, 0.1, 1]
    assert ticks("decades(0.0158, 0.063)") == [0.02, 0.05]  # an LR of 10^-1.5: it was none
    for low, factor in zip(10 ** rng.uniform(-6, 3, N), 10 ** rng.uniform(0.6, 8, N), strict=True):
        places = ticks(f"decades({low}, {low * factor})")
        assert 2 <= len(places) <= 7, (low, factor)
        assert low * (1 - 1e-9) <= places[0] and places[-1] <= low * factor * (1 + 1e-9)
        assert places == sorted(places)


# --- What these tests notice --------------------------------------------------------------------


schedules = {kind: partial(compare_schedule, kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("compare", "old", "new"),
    [
        (schedules["cosine"], "(1 + Math.cos(", "(1.0000001 + Math.cos("),
        (schedules["one_cycle"], "const peak = warmUp * n - 1", "const peak = warmUp * n"),
        (schedules["sgdr"], "cycleLen * cycleMult ** k", "cycleLen * cycleMult * (k || 1)"),
        (schedules["triangular"], "(i % cycle)", "(i % (cycle + 1))"),
        (schedules["step_decay"], "Math.floor(i / every)", "Math.round(i / every)"),
        (schedules["linear"], "(1 - i / n)", "(1 - i / (n + 1))"),
        (compare_bowl, "velocity + gradient(last)", "(velocity + gradient(last))"),
        (compare_bowl, "last - lr * velocity", "last - lr * velocity * 1.0000001"),
        (compare_pits, "(BOWL * x * x) / 2", "(BOWL * x * x) / 2.000001"),
        (compare_pits, "/ pit.width ** 2", "/ pit.width"),
        (compare_rolls, "last - lr * twoPitsSlope(last)", "last - lr * twoPitsSlope(start)"),
        (compare_affine, "quarterTurns * Math.PI", "-quarterTurns * Math.PI"),
        (compare_affine, "(y * sin - x * cos)", "(y * sin - x * cos) * 1.0001"),
        (compare_pictures, "const turn = 2 * n", "const turn = 2 * n - 2"),
    ],
)
def test_a_formula_that_changes_on_one_side_alone_is_noticed(compare, old, new):
    with pytest.raises(AssertionError):
        compare(JavaScript("formulas.js", changes=[(old, new)]), n=50)


# --- What each explorer tells -------------------------------------------------------------------


def settings(figure, n, seed=0):
    """Random values of all controls, each one that its slider, list or box can have."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(n):
        values = {}
        for control in figure.controls:
            name, options = control["name"], control.get("options", [False, True])
            if control["kind"] != "slider":
                values[name] = options[rng.integers(len(options))]
                continue
            steps = round((control["max"] - control["min"]) / control["step"])
            value = control["min"] + control["step"] * int(rng.integers(steps + 1))
            value = 10.0**value if control.get("log") else value
            values[name] = int(value) if control.get("whole") else float(f"{value:.12g}")
        made.append(values)
    return made


def told_alike(figure, function, made, arguments="v, data"):
    """Both sides tell the same, wherever the controls of `figure` stand."""
    found = of_explorer(figure.name)(
        f"made.map((v) => {function}({arguments}))", made=made, data=figure.data
    )
    for values, sentence in zip(made, found, strict=True):
        assert sentence == figure.tell(**values), values


def test_descent_tells_the_same():
    figure = explore.descent()
    told_alike(figure, "tellDescent", settings(figure, N))


def test_schedules_tell_the_same():
    figure = explore.schedules(steps_per_epoch=7)
    made = settings(figure, N)
    for values in made:
        values["step"] %= 7 * (values["n_cycle"] if values["kind"] == "sgdr" else values["epochs"])
    told_alike(figure, "tellSchedules", made, "v, data.steps_per_epoch")


def test_schedules_draws_a_learning_rate_that_is_always_0():
    values = explore.schedules().first | {"kind": "triangular", "epochs": 1, "cycle": 1, "step": 0}
    code = "schedulesExplorer.draw({ width: 700, values: v, data: { steps_per_epoch: 1 } }).html"
    drawn = of_explorer("schedules")(code, v=values)
    assert "<svg" in drawn and "NaN" not in drawn


def test_schedules_draws_the_array_that_python_offers():
    figure, js = explore.schedules(steps_per_epoch=7), of_explorer("schedules")
    for values in settings(figure, 200, seed=1):
        figure.values = values
        found = js("lrsOf(v.kind, v, 7)", v=values)
        np.testing.assert_allclose(numbers(found), figure.lrs, 1e-12, 1e-15)


def test_the_line_to_copy_makes_the_array_that_is_shown():
    figure, js = explore.schedules(steps_per_epoch=7), of_explorer("schedules")
    for values in settings(figure, 200, seed=2):
        line = js("schedulesExplorer.code(v, { steps_per_epoch: 7 })", v=values).splitlines()[0]
        made: dict = {"schedule": schedule}
        exec(line, made)
        shown = js("lrsOf(v.kind, v, 7)", v=values)
        np.testing.assert_allclose(made["lrs"], numbers(shown), 1e-10, err_msg=line)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "step decay", "epochs": 7, "every": 7}, "stays where it is"),
        ({"kind": "step decay", "epochs": 7, "every": 6}, "after every 6"),
        ({"kind": "triangular", "epochs": 7, "cycle": 14}, "only rises"),
        ({"kind": "triangular", "epochs": 7, "cycle": 10}, "isn't down again"),
        ({"kind": "triangular", "epochs": 7, "cycle": 7}, "up and down every 7"),
        ({"kind": "one cycle", "start_div": 1}, "no warm-up"),
        ({"kind": "one cycle", "start_div": 2}, "a warm-up over 30 %"),
        ({"kind": "one cycle", "start_div": 1, "final_div": 1}, "at one LR"),
        ({"kind": "one cycle", "start_div": 1, "final_div": 2}, "never come to rest"),
    ],
)
def test_schedules_says_what_the_learning_rate_does(values, said):
    values = explore.schedules().first | values
    assert said in of_explorer("schedules")("schedulesExplorer.comment(v)", v=values)


def test_the_reasons_of_restarts_hold_wherever_the_explorer_began():
    js = of_explorer("restarts")
    presets = js("restartsExplorer.presets.map((preset) => Object.keys(preset.values))")
    assert presets and all(set(preset) == set(explore.restarts().first) for preset in presets)
    assert js("USUAL") | {"how": "sgdr"} == explore.restarts().first  # as the explorer is by itself


def test_restarts_tells_the_same():
    figure = explore.restarts()

    def ends(values, nudge):
        return figure.tell(**values | {"start": values["start"] + nudge}).split(" and ")[-1]

    # Where the ball bounces wildly, its end hangs on the last digit, on either side.
    made = [one for one in settings(figure, 250) if ends(one, 0) == ends(one, 1e-9)]
    assert len(made) > 150
    told_alike(figure, "tellRestarts", made, "v")


def test_landscape_tells_the_same():
    a, b = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    planes = {"round": 0.1 + a**2 + b**2, "long": 0.2 + a**2 + 25 * b**2}
    figure = explore.landscape(planes, np.linspace(-1, 1, 21))
    told_alike(figure, "tellLandscape", settings(figure, N))


def test_ledger_tells_the_same():
    figure = explore.ledger()
    told_alike(figure, "tellLedger", settings(figure, 300))
    told_alike(figure, "tellLedger", [figure.first | {"row": k} for k in (1, 2, 40, 77)])


def test_augmentations_tell_the_same():
    images = coloured(n=18, size=20, how=augment.symbols())

    def predict(pictures):
        sure = torch.nn.functional.one_hot(torch.tensor([0, 1, 0, 0, 1, 2, 0, 0]), 3).float()
        return sure[: len(pictures)]

    for asked in (None, predict):
        figure = explore.augmentations(images, asked)
        for values in settings(figure, 20):
            figure.values = values
            told_alike(figure, "tellAugmentations", [values])


def test_pick_lr_tells_the_same():
    lrs = np.geomspace(1e-5, 2, 90)
    found = LRFinderResult(lrs, 2.3 - 1.5 / (1 + (0.01 / lrs) ** 2) + np.exp(lrs * 3) - 1)

    def train(lr):
        losses = 2.3 * np.exp(-np.arange(50) * min(lr, 0.3))
        return np.where((np.arange(50) > 20) & (lr > 3), np.nan, losses)

    figure = explore.pick_lr(found, train, ready=(1e-3, 0.1, 10.0))
    told_alike(
        figure, "tellPick", [{"learning_rate": lr} for lr in (1e-3, 0.01, 0.1, 10.0)],
        "v.learning_rate, data",
    )  # fmt: skip


# --- Quizzes ------------------------------------------------------------------------------------


def test_a_quiz_says_what_python_has_written():
    asked = radio_quiz.Quiz("two", TWO)
    engine = engines.MiniRacer()
    engine.eval(explorer.plain_javascript("quiz.js", folder=radio_quiz.HERE))
    engine.eval(f"const asked = {json.dumps(asked.asked)};")
    for i, question in enumerate(TWO):
        for place, option in enumerate(question.options):
            said = engine.eval(f"answer(asked[{i}], {place}, false)")
            assert said.startswith("<b>✓ Right.</b>" if option.right else "<b>✗ Not so.</b>")
            assert said.endswith(option.why)
            assert "is kept" in engine.eval(f"answer(asked[{i}], {place}, true)")
        assert engine.eval(f"answer(asked[{i}], null, false)") == ""
    right = [[option.right for option in question.options] for question in TWO]
    silent = radio_quiz.Quiz("two", TWO, silent=True).asked
    assert "right" not in json.dumps(silent) and len(silent) == len(TWO)
    for chosen in itertools.product([None, 0, 1], [None, 0, 1]):
        n = sum(place is not None and right[i][place] for i, place in enumerate(chosen))
        said = engine.eval(f"score(asked, {json.dumps(chosen)})")
        assert said == f"{n} of 2 right so far."


Option = questions.Option
TWO = [
    questions.Question("One?", [Option("yes", True, "It is."), Option("no", False, "But it is.")]),
    questions.Question("Two?", [Option("no", False, "Alas."), Option("yes", True, "Indeed.")]),
]


# --- The files themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_explorer_is_one_small_module_without_imports(name):
    code = explorer.bundle(name)
    assert len(code.encode()) <= 60_000
    assert not re.search(r"^\s*(import|export(?! default))\b", code, re.MULTILINE)
    assert "http" not in code.replace("http://www.w3.org/2000/svg", "")
    body, default = code.rsplit("export default", 1)
    engines.MiniRacer().eval(f"{body}\nconst widget = {default.strip().rstrip(';')};")
