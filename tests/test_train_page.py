"""The page "Train in the page": its JavaScript beside lessonkit, and the page in a browser."""

import functools
import gzip
import hashlib
import http.server
import io
import itertools
import json
import re
import shutil
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import Learner, models, schedule
from lessonkit.__main__ import main
from lessonkit.course.datasets import embedded
from lessonkit.files.safe_files import ModelFileError
from lessonkit.images import decode
from lessonkit.lr_finder import LRFinderResult, _exploded
from lessonkit.networks.weights import OWN
from lessonkit.training.optimizers import adamw, parameter_groups
from tests.jupyterlab import faults, needs_browser, needs_sphinx
from tests.test_javascript import JavaScript
from tests.tiny import coloured

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "site"))

import train_page  # noqa: E402
import train_parts  # noqa: E402

needs_npm = pytest.mark.skipif(
    not shutil.which("npm"), reason="the page's runtime comes from npm, of Node.js"
)


@cache
def javascript(file):
    return JavaScript(file, folder=train_page.SOURCE)


# --- The head ------------------------------------------------------------------------------------


@pytest.fixture
def learn(cache):
    """A learner whose frozen body only scales the pixels, and whose head starts at zero."""
    images = coloured(n=75, size=16)
    body = torch.nn.Sequential(models.Normalise((0.4,) * 3, (0.3,) * 3), torch.nn.Flatten())
    head = torch.nn.Linear(3 * 16 * 16, 3)
    torch.nn.init.zeros_(head.weight), torch.nn.init.zeros_(head.bias)
    learn = Learner(
        models.LayerGroups(body, head), images, optimizer=adamw, max_grad_norm=1.0, device="cpu"
    )
    learn.freeze()
    learn.precompute = True
    return learn


def sets(learn):
    """What the head is given, as the page has it: activations and labels of both parts."""
    parts = {"train": learn.images.train, "valid": learn.images.valid}
    return {
        name: {"xs": learn.activations()[name].tolist(), "labels": part.labels.tolist()}
        for name, part in parts.items()
    }


def orders(learn, n):
    """The rows of the next `n` epochs' mini-batches, which are drawn again afterwards."""
    state, all_rows = learn.generator.get_state(), learn.activations()["train"]
    made = [
        [
            [(all_rows == one).all(1).nonzero()[0].item() for one in inputs]
            for inputs, _ in learn.batches()
        ]
        for _ in range(n)
    ]
    learn.generator.set_state(state)
    return made


@pytest.mark.parametrize("lr", [1e-3, 0.03])
def test_the_head_trains_as_lessonkits_does(learn, lr):
    lrs = schedule.sgdr(lr, 2, 1, 3, learn.n_batches).tolist()
    assert learn.n_batches == 2 and len(lrs) == 8
    given = {"parts": sets(learn), "orders": orders(learn, 4), "lrs": lrs}
    made = javascript("head.js")(
        "(() => { const head = newHead(3, 768); return [...fit(head, lrs, () => orders.shift(),"
        " parts.train, parts.valid)]; })()",
        **given,
    )
    learn.fit_schedule(lrs)
    losses = [loss for row in made for loss in row["losses"]]
    np.testing.assert_allclose(losses, learn.history.loss, atol=1e-4)
    for row, ours in zip(made, learn.history.epochs, strict=True):
        assert row["trainLoss"] == pytest.approx(ours["train_loss"], abs=1e-4)
        assert row["valid"]["loss"] == pytest.approx(ours["valid_loss"], abs=1e-4)
        assert row["valid"]["accuracy"] == pytest.approx(ours["accuracy"])
    assert losses[-1] < losses[0] - 0.001


@pytest.mark.parametrize("size", [0.01, 3.0])  # of the activations: is the gradient clipped?
def test_weights_and_biases_take_the_same_steps(size):
    rng = np.random.default_rng(0)
    xs, labels = size * rng.normal(size=(40, 5, 4)), rng.integers(0, 3, (40, 5))
    layer = torch.nn.Linear(4, 3).double()
    given = {"xs": xs.tolist(), "labels": labels.tolist()}
    given |= {"weight": layer.weight.flatten().tolist(), "bias": layer.bias.tolist()}
    weight, bias = javascript("head.js")(
        "(() => { const head = { weight: Float64Array.from(weight), bias: Float64Array.from(bias),"
        " classes: 3, features: 4 }; const step = optimizer(head);"
        " xs.forEach((x, i) => step(0.3, x, labels[i]));"
        " return [Array.from(head.weight), Array.from(head.bias)]; })()",
        **given,
    )
    groups = parameter_groups([layer], [0.3])
    steps = adamw(groups)
    for x, truth in zip(torch.tensor(xs), torch.tensor(labels), strict=True):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(layer(x), truth).backward()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        steps.step()
    np.testing.assert_allclose(weight, layer.weight.detach().flatten(), atol=1e-6)
    np.testing.assert_allclose(bias, layer.bias.detach(), atol=1e-6)


def test_a_loss_that_explodes_leaves_the_head_as_it_was(learn):
    given = {"parts": sets(learn), "orders": orders(learn, 3)}
    said, left = javascript("head.js")(
        "(() => { const head = newHead(3, 768); try { [...fit(head, Array(6).fill(1e4),"
        " () => orders.shift(), parts.train, parts.valid)]; } catch (error) {"
        " return [error.message, Math.max(...head.weight.map(Math.abs))]; } })()",
        **given,
    )
    assert "exploded" in said and "1e+3" in said and left == 0


def test_the_finder_sees_the_same_curve_and_reads_the_same_rules(learn):
    parts, drawn = sets(learn), orders(learn, 50)
    made = javascript("head.js")(
        "findLr(newHead(3, 768), part.xs, part.labels, () => rows.shift())",
        part=parts["train"],
        rows=[rows for epoch in drawn for rows in epoch],
    )
    found = learn.lr_find()
    np.testing.assert_allclose(made["lrs"], found.lrs, rtol=1e-12)
    np.testing.assert_allclose(made["losses"], found.losses, rtol=1e-3, atol=1e-4)
    for rule in ("lowest", "suggestion", "improving", "steepest"):
        assert float(made[rule] or "nan") == pytest.approx(getattr(found, rule), nan_ok=True), rule


def test_rules_on_any_curve():
    rng = np.random.default_rng(0)
    for n in [*range(1, 14), *rng.integers(20, 101, 150)]:
        lrs = np.geomspace(1e-5, 10, 100)[:n]
        fall, rise, noise = rng.choice([0, 0.02, 0.5, 1.5]), rng.choice([0, 0.3, 5]), rng.uniform()
        losses = 2 - fall / (1 + (1e-3 / lrs) ** 2) + rise * lrs + 0.1 * noise * rng.normal(size=n)
        if rng.uniform() < 0.2:
            losses[-1] = np.inf
        with np.errstate(invalid="ignore"):
            found = LRFinderResult(lrs, losses)
            expected = [found.lowest, found.suggestion, found.improving, found.steepest]
        losses = [1e300 if loss == np.inf else loss for loss in losses.tolist()]  # JSON's largest
        made = javascript("head.js")(
            "(({lowest, suggestion, improving, steepest}) => [lowest, suggestion, improving,"
            " steepest])(rules(lrs, losses.map((loss) => loss < 1e300 ? loss : Infinity)))",
            lrs=lrs.tolist(), losses=losses,
        )  # fmt: skip
        made = [float("nan" if value is None else value) for value in made]
        np.testing.assert_allclose(made, expected, rtol=1e-9, err_msg=f"{n}: {losses}")


def test_the_finder_stops_where_lessonkits_does():
    rng, made = np.random.default_rng(1), []
    for n in rng.integers(9, 60, 2000):
        noise, rise, place = (
            rng.choice([0.01, 0.3, 1, 3]),
            rng.choice([0.05, 0.2]),
            rng.uniform(-1, 1),
        )
        fall, steps = rng.choice([0, 0.2]), np.arange(n)
        losses = place + noise * rng.normal(size=n) + np.exp(rise * (steps - n / 2)) / 5
        losses -= fall * np.minimum(steps, n / 2)
        made.append(losses.tolist())
    expected = [_exploded(losses, 4.0) for losses in made]
    assert 100 < sum(expected) < 1900
    assert javascript("head.js")("made.map((one) => exploded(one))", made=made) == expected


def test_mini_batches_hold_each_picture_once_and_a_fifth_is_kept_aside():
    js = javascript("head.js")
    for n in (2, 31, 32, 33, 100):
        parts = js(f"epochOf({n}, randomness(3))")
        sizes = [len(part) for part in torch.arange(n).tensor_split(-(-n // 32))]
        assert [len(part) for part in parts] == sizes
        assert sorted(itertools.chain(*parts)) == list(range(n))
    labels = [0] * 20 + [1] * 2 + [2] * 7
    made = js("split(labels, randomness(0))", labels=labels)
    assert sorted(made["train"] + made["valid"]) == list(range(29))
    assert [sum(labels[i] == c for i in made["valid"]) for c in (0, 1, 2)] == [4, 1, 1]
    assert js("split(labels, randomness(1))", labels=labels) != made


# --- Pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [(300, 200), (97, 131), (40, 25), (128, 128), (700, 500)])
def test_a_picture_is_shrunk_as_lessonkit_shrinks_it(sides, tmp_path):
    rng = np.random.default_rng(sum(sides))
    pixels = rng.integers(0, 256, (sides[1], sides[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    found = javascript("picture.js")(
        "(([w, h]) => Array.from(square(w, h, 64, (top, rows) => all.slice(4 * w * top,"
        " 4 * w * (top + rows)))))(sides)",
        sides=sides, all=rgba.flatten().tolist(),
    )  # fmt: skip
    found = np.reshape(found, (64, 64, 3))
    left, top = (sides[0] - min(sides)) / 2, (sides[1] - min(sides)) / 2
    image, bicubic = Image.fromarray(pixels), Image.Resampling.BICUBIC
    narrow = image.resize((64, sides[1]), bicubic, (left, 0, sides[0] - left, sides[1]))
    expected = narrow.resize((64, 64), bicubic, (0, top, 64, sides[1] - top))
    assert np.abs(found - np.asarray(expected, int)).max() <= 1
    # Pillow 13 shrinks first the way that costs less: on noise, the worst case, other roundings.
    assert np.abs(found - decode.decode(tmp_path / "one.png", 64).astype(int)).mean() < 0.5


def test_a_large_jpeg_is_reduced_as_much_as_pillow_does():
    js = javascript("picture.js")
    for sides in [(4000, 3000), (1023, 2000), (511, 300), (200, 90), (100, 50)]:
        file = io.BytesIO()
        Image.new("RGB", sides).save(file, "JPEG")
        image = Image.open(file)
        image.draft("RGB", (128, 128))
        reduce = js("reductionOf(w, h, 128, true)", w=sides[0], h=sides[1])
        assert image.size == tuple(-(-side // reduce) for side in sides)
    assert js("reductionOf(4000, 3000, 128, false)") == 1


# --- The file -------------------------------------------------------------------------------------


def test_sha256():
    for n in (0, 1, 55, 56, 63, 64, 65, 1000):
        found = javascript("model_file.js")(f"sha256(new Uint8Array({n}).fill(77))")
        assert found == hashlib.sha256(b"M" * n).hexdigest()


CLASSES = ["naïve 猫", 'a "b" \\ c', "\x7f🐈"]


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    """A file as the page writes it, and the weights in it."""
    weights = np.random.default_rng(0).normal(size=(3, 1281)) / 10
    head = {"classes": 3, "features": 1280, "bias": weights[:, 0].tolist()}
    head |= {"weight": weights[:, 1:].flatten().tolist()}
    made = javascript("model_file.js")(
        "Array.from(modelFile(head, names, 128))", head=head, names=CLASSES
    )
    path = tmp_path_factory.mktemp("heads") / "model.pt"
    path.write_bytes(bytes(made))
    return path, torch.tensor(weights, dtype=torch.float32)


def test_lessonkit_puts_the_head_onto_its_own_body(head_file):
    learn = Learner.load(head_file[0], device="cpu")
    assert learn.classes == CLASSES and learn.size == 128 and learn.frozen_to == 2
    assert torch.equal(learn.groups[-1].weight, head_file[1][:, 1:])
    assert torch.equal(learn.groups[-1].bias, head_file[1][:, 0])
    body = models.pretrained(OWN, 3)
    for ours, theirs in zip(learn.groups[:2], body[:2], strict=True):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


def test_an_altered_file_is_refused(head_file, tmp_path):
    contents = bytearray(head_file[0].read_bytes())
    contents[-1] ^= 1
    (tmp_path / "altered.pt").write_bytes(contents)
    with pytest.raises(ModelFileError, match="altered"):
        Learner.load(tmp_path / "altered.pt")


# --- Without npm ----------------------------------------------------------------------------------


def test_without_npm_the_site_is_built_and_the_page_says_what_is_missing(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(train_parts, "PARTS", tmp_path / "parts")
    monkeypatch.setattr(train_parts, "RUNTIME", tmp_path / "nothing")
    monkeypatch.setattr(train_parts.shutil, "which", lambda name: None)
    train_parts.main()
    said = capsys.readouterr().out
    assert "Left out" in said and "npm" in said and "Node.js" in said
    context = {"body": (train_page.SITE / "train.md").read_text("utf-8")}
    assert train_page.PLACE in context["body"]
    assert not train_page.parts_are_there(tmp_path / "parts")
    monkeypatch.setattr(train_page, "parts_are_there", lambda: False)
    train_page.complete_page(None, train_page.PAGE, "", context, None)
    assert train_page.PLACE not in context["body"] and "Node.js" in context["body"]


@needs_sphinx
def test_once_npm_has_come_the_next_build_has_a_page_that_trains(monkeypatch, tmp_path):
    from sphinx.application import Sphinx

    source, html = tmp_path / "source", tmp_path / "html"
    (source / "site").mkdir(parents=True)
    (source / "site" / "train.md").write_text(f"# Train\n\n{train_page.PLACE}\n")
    settings = {"extensions": ["myst_parser", "train_page"], "root_doc": train_page.PAGE}

    def built(parts):
        monkeypatch.setattr(train_page, "parts_are_there", lambda: parts)
        quiet = {"status": None, "warning": None}
        Sphinx(source, None, html, tmp_path / "trees", "html", settings.copy(), **quiet).build()
        return (html / "site" / "train.html").read_text("utf-8")

    for parts in (False, True, False):
        page = built(parts)
        assert ("can't train" in page, "train/page.js" in page) == (not parts, parts)


def test_npm_is_told_one_version_by_its_checksum():
    wanted = json.loads((train_page.SITE / "package.json").read_text("utf-8"))
    locked = json.loads((train_page.SITE / "package-lock.json").read_text("utf-8"))
    [(name, version)] = wanted["dependencies"].items()
    held = locked["packages"][f"node_modules/{name}"]
    assert held["version"] == version and held["license"] == "MIT"
    assert all("integrity" in one for place, one in locked["packages"].items() if place)
    assert "resolved" not in json.dumps(locked)  # whichever registry the reader's npm asks


# --- In the browser -------------------------------------------------------------------------------

HTML = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Train</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="explorers.css"><link rel="stylesheet" href="train.css">
<style>:root { color-scheme: light dark; --color-background-primary: Canvas;
--color-foreground-primary: CanvasText; --color-brand-primary: LinkText; }
body { margin: 12px; background: Canvas; color: CanvasText; }
@media (max-width: 48em) { .content { overflow-x: auto; } } /* as Furo has it */</style></head>
<body><main class="content"><h1>Train</h1><div id="trainer"></div></main>
<script src="page.js"></script></body>
</html>"""
# What the page's script keeps to itself, for one test.
INSIDE = "globalThis.inside = { squareOf, loadBody };\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the page, its script and its large parts, as make site makes them."""
    if why := train_parts.fetch_runtime():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("train")
    train_parts.write_parts(train_parts.PARTS)
    train_page.write(folder, train_parts.PARTS)
    shutil.copy(ROOT / "lessonkit" / "course" / "explorers" / "explorers.css", folder)
    (folder / "index.html").write_text(HTML, "utf-8")
    inside = train_page.plain_javascript("body.js", folder=train_page.SOURCE)
    (folder / "inside.js").write_text(f"(() => {{ {inside}\n{INSIDE} }})();", "utf-8")
    (folder / "inside.html").write_text(HTML.replace("page.js", "inside.js"), "utf-8")
    return folder


@pytest.fixture
def page(browser):
    """A page; at the end, all that it asked for came from its own folder, and nothing failed."""
    page = browser.new_page(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page.set_default_timeout(60_000)
    page.asked, wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    yield page
    own = ("data:", "blob:", page.url.rsplit("/", 1)[0])
    page.close()
    assert wrong == []
    assert [address for address in page.asked if not address.startswith(own)] == []


@pytest.fixture(scope="module")
def server(site):
    """The same folder on a server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def photos(name, n=10):
    return sorted((embedded.creatures_folder() / name).glob("*.jpg"))[:n]


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def done(page):
    """Wait until the page has done what was asked; what went wrong, in its words."""
    page.wait_for_selector(".train:not([aria-busy])")
    return page.locator(".problems").inner_text()


def choose(page, number, files):
    page.locator(".classes input[type=file]").nth(number).set_input_files(files)
    return done(page)


LARGE = ["runtime.js", "network.js", "examples.js"]


@needs_browser
@needs_npm
@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "http"])
def test_a_reader_trains_on_two_classes_of_ten(way, site, server, page, tmp_path, capsys):
    page.goto(f"{server}/index.html" if way == "http" else (site / "index.html").as_uri())
    for number, name in enumerate(("bird", "mammal")):
        page.locator(".class input:not([type=file])").nth(number).fill(name)
        assert choose(page, number, photos(name)) == ""
    assert not any(address.endswith(part) for part in LARGE for address in page.asked)
    press(page, "Find the learning rate")
    assert done(page) == ""
    assert "16 pictures to train on, 4 kept aside" in page.locator(".reading").inner_text()
    assert page.locator(".picture svg").count() >= 2
    press(page, "Train")
    assert done(page) == ""
    [row] = page.locator(".tries li").all_inner_texts()
    assert re.match(r"LR [\d.e-]+, cosine, 20 epochs: \d", row)

    new = [photos("bird", 14)[-1], photos("mammal", 14)[-1]]
    page.locator("[aria-label='Choose a new picture']").set_input_files(new)
    assert done(page) == ""
    shown = {
        answer.locator("canvas").get_attribute("aria-label"): dict(
            line.split("\n") for line in map(str.strip, answer.locator(".bar").all_inner_texts())
        )
        for answer in page.locator(".answers figure").all()
    }
    press(page, "Find the learning rate")  # of the same pictures: the network stays
    assert done(page) == ""
    with page.expect_download() as waiting:
        press(page, "Download the model")
    waiting.value.save_as(tmp_path / "model.pt")
    assert main(["predict", str(tmp_path / "model.pt"), *map(str, new), "--json"]) == 0
    for answer in json.loads(capsys.readouterr().out):
        for name, share in answer["probabilities"].items():
            there = float(shown[Path(answer["path"]).name][name])
            assert there == pytest.approx(share, abs=1e-3 + 5e-4)  # three digits are shown
    assert page.locator(".classes canvas").count() == 20


@needs_browser
@needs_npm
@pytest.mark.slow
def test_activations_are_those_of_lessonkit(site, page, tmp_path):
    """Of the same pixels nearly the same; of JPEGs as near as two decoders are."""
    rng = np.random.default_rng(0)
    [small] = photos("bird", 1)
    Image.open(small).convert("RGB").save(tmp_path / "exact.png")
    Image.open(small).convert("RGBA").rotate(20).save(tmp_path / "clear.png")
    smooth = Image.fromarray(rng.integers(0, 256, (30, 40, 3)).astype(np.uint8))
    turned = Image.Exif()
    turned[decode.ORIENTATION] = 6
    smooth.resize((4000, 3000), Image.Resampling.BICUBIC).save(tmp_path / "phone.jpg", exif=turned)
    page.goto((site / "inside.html").as_uri())
    body = torch.nn.Sequential(*list(models.pretrained(OWN, 2).children())[:2]).eval()
    for file, near in [("exact.png", 0.001), ("clear.png", 0.02), ("phone.jpg", 0.02)]:
        path = tmp_path / file
        found = page.evaluate(
            """async ([bytes, name]) => {
              const square = await inside.squareOf(new File([new Uint8Array(bytes)], name));
              return [[...square], [...await (await inside.loadBody())(square)]];
            }""",
            [list(path.read_bytes()), file],
        )
        ours = decode.decode(path, 128)
        with torch.no_grad():
            expected = body(torch.from_numpy(ours.copy()).permute(2, 0, 1)[None])[0]
        difference = np.abs(np.reshape(found[0], ours.shape) - ours.astype(int))
        relative = (torch.tensor(found[1]) - expected).norm() / expected.norm()
        print(f"{file}: pixels {difference.mean():.3f} of 255, at most {difference.max()}; "
              f"activations {relative:.2e}")  # fmt: skip
        assert relative < near, file


@needs_browser
@needs_npm
@pytest.mark.slow
def test_bad_input_gets_a_sentence_and_loses_nothing(site, page, tmp_path):
    page.goto((site / "index.html").as_uri())
    bad = {
        "text.jpg": (b"this is no picture", "isn't a picture that this browser can read"),
        "empty.png": (b"", "is empty (0 bytes)"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(40), "is a HEIC photo"),
    }
    for name, (contents, _) in bad.items():
        (tmp_path / name).write_bytes(contents)
    Image.new("1", (12_000, 9_000)).save(tmp_path / "huge.png")
    Image.new("1", (3, 3)).save(tmp_path / "tiny.png")
    damaged = photos("bird", 1)[0].read_bytes()
    (tmp_path / "cut.png").write_bytes(damaged[:200])
    says = {name: sentence for name, (_, sentence) in bad.items()}
    says |= {"huge.png": "has 12000 × 9000 pixels, more than 100 million"}
    says |= {"tiny.png": "is only 3 × 3 pixels", "cut.png": "."}
    good = photos("bird", 3)
    said = choose(page, 0, [good[0], *(tmp_path / name for name in says), good[1], good[0]])
    lines = [line for line in said.splitlines() if line]
    assert len(lines) == len(says) + 1
    for line, (name, sentence) in zip(lines, says.items(), strict=False):
        assert line.startswith(name) and sentence in line
    assert "is the same picture as" in lines[-1]
    assert page.locator(".classes canvas").count() == 2

    press(page, "Find the learning rate")
    assert "class 2 has no pictures" in done(page)
    choose(page, 1, [good[2]])
    press(page, "Find the learning rate")
    assert "class 2 has one picture only" in done(page)
    press(page, "Remove class 2")
    press(page, "Find the learning rate")
    assert "needs two classes or more" in done(page)
    press(page, "Add a class")
    page.locator(".class input:not([type=file])").nth(1).fill("class 1")
    press(page, "Find the learning rate")
    assert "the same name" in done(page)
    assert page.locator(".classes canvas").count() == 2
    assert not any(address.endswith(part) for part in LARGE for address in page.asked)

    asked = []

    def stay(dialog):
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    with pytest.raises(Exception, match="ERR_ABORTED"):
        page.goto("about:blank")
    assert asked == ["beforeunload"] and page.locator(".classes canvas").count() == 2


@needs_browser
@needs_npm
@pytest.mark.slow
def test_on_a_phone_what_went_wrong_is_in_sight_and_hides_nothing(site, page, tmp_path):
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto((site / "index.html").as_uri())
    (tmp_path / "text.jpg").write_bytes(b"this is no picture")
    assert "text.jpg isn't a picture" in choose(page, 0, [tmp_path / "text.jpg"])
    said = page.locator(".said").bounding_box()
    assert said["y"] + said["height"] <= 641 < page.locator(".train").bounding_box()["height"]
    page.locator(".class input").first.focus()
    for _ in range(8):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getBoundingClientRect().bottom")
        assert focused <= page.locator(".said").bounding_box()["y"] + 1


PUT = """([kind, selector, bytes]) => {
  const data = new DataTransfer();
  if (bytes) data.items.add(new File([new Uint8Array(bytes)], "given.jpg", {type: "image/jpeg"}));
  const how = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
    : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
  document.querySelector(selector).dispatchEvent(how);
}"""


@needs_browser
@needs_npm
@pytest.mark.slow
def test_pictures_are_dropped_and_pasted(site, page):
    page.goto((site / "index.html").as_uri())
    first, second = (list(photo.read_bytes()) for photo in photos("bird", 2))
    page.evaluate(PUT, ["paste", "body", first])
    assert "Click into a class first" in page.locator(".problems").inner_text()
    page.evaluate(PUT, ["drop", ".class", first])
    assert done(page) == ""
    page.locator(".class input:not([type=file])").nth(1).click()
    page.evaluate(PUT, ["paste", "body", second])
    done(page)
    assert page.locator(".tally").all_inner_texts() == ["1 picture", "1 picture"]
    page.evaluate(PUT, ["drop", ".class", None])
    assert "is no file" in page.locator(".problems").inner_text()


@needs_browser
@needs_npm
@pytest.mark.slow
def test_what_is_dropped_while_others_are_read_is_read_too(site, page):
    page.goto((site / "index.html").as_uri())
    bird, mammal = (photos(name, 1)[0].read_bytes() for name in ("bird", "mammal"))
    given = [["drop", ".class", list(contents)] for contents in (bird, b"no picture", mammal)]
    page.evaluate(f"given => given.forEach({PUT})", given)
    assert "given.jpg isn't a picture" in done(page)
    assert page.locator(".tally").all_inner_texts() == ["2 pictures", "0 pictures"]


ASK_TO_CLOSE = """() => {
  const said = document.querySelector(".sentence");
  new MutationObserver(() => {
    if (!said.textContent.startsWith("Reading picture 2")) return;
    globalThis.asked = !dispatchEvent(new Event("beforeunload", { cancelable: true }));
  }).observe(said, { childList: true });
}"""


@needs_browser
@needs_npm
@pytest.mark.slow
def test_a_tab_that_is_closed_while_pictures_are_read_asks_first(site, page):
    page.goto((site / "index.html").as_uri())
    page.evaluate(ASK_TO_CLOSE)
    assert choose(page, 0, photos("bird", 2)) == ""
    assert page.evaluate("asked")
    asks = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    for left in (True, False):  # as long as one of them is there
        assert page.evaluate(asks)
        page.get_by_role("button", name=re.compile(r"Remove .*\.jpg")).first.click()
        assert page.evaluate(asks) == left


@needs_browser
@needs_npm
@pytest.mark.slow
def test_one_bad_new_picture_stops_no_other_and_names_are_heard(site, page, tmp_path):
    page.goto((site / "index.html").as_uri())
    page.locator(".class input:not([type=file])").nth(0).fill("birds")
    page.locator(".class input:not([type=file])").nth(0).press("Tab")
    for button in ("Remove birds", "Take pictures for birds with the camera"):
        assert page.get_by_role("button", name=button, exact=True).count() == 1
    assert page.get_by_label("Choose pictures for birds").count() == 1
    for number, name in enumerate(["bird", "mammal"]):
        choose(page, number, photos(name, 3))
    for name in ("Find the learning rate", "Train"):
        press(page, name)
        assert done(page) == ""
    (tmp_path / "text.jpg").write_bytes(b"this is no picture")
    new = photos("bird", 5)[3:]
    page.get_by_label("Choose a new picture").set_input_files(
        [new[0], tmp_path / "text.jpg", new[1]]
    )
    assert "text.jpg isn't a picture" in done(page)
    assert page.locator(".answers figure").count() == 2
    # Pasted beside it, a picture is a new one: in a class it would cost the trained network.
    page.get_by_label("Choose a new picture").focus()
    page.evaluate(PUT, ["paste", "body", list(photos("mammal", 6)[-1].read_bytes())])
    assert done(page) == ""
    assert page.locator(".answers figure").count() == 3
    assert page.locator(".tally").all_inner_texts() == ["3 pictures", "3 pictures"]


@needs_browser
@needs_npm
@pytest.mark.slow
def test_one_click_trains_an_example_and_axe_and_a_phone_are_content(server, page):
    page.goto(f"{server}/index.html")
    press(page, "Birds and mammals")
    assert done(page) == ""
    assert page.locator(".tries li").count() == 1
    assert page.evaluate("document.activeElement.textContent") == "Birds and mammals"
    page.get_by_text("Who made these pictures").click()
    credits = page.locator("details li").all_inner_texts()
    assert len(credits) > 30 and all(re.search(r"\(.+, (GPL|CC|public)", one) for one in credits)
    press(page, "Try pictures that it hasn't seen")
    assert done(page) == ""
    assert page.locator(".answers figure").count() == 4
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page, minor=True) == [], scheme
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_function("document.documentElement.scrollWidth <= 360")  # when redrawn


@needs_browser
@needs_npm
def test_an_old_browser_is_told_what_it_lacks(site, page):
    page.add_init_script("delete globalThis.DecompressionStream; delete globalThis.WebAssembly;")
    page.goto((site / "index.html").as_uri())
    said = page.locator("#trainer").inner_text()
    assert "no WebAssembly, no DecompressionStream" in said


@needs_npm
def test_all_that_is_loaded_weighs_less_than_16_mb(site):
    parts = [site / name for name in ("page.js", "runtime.js", "network.js")]
    assert sum(len(gzip.compress(part.read_bytes(), 6)) for part in parts) < 16e6
