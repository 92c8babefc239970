"""What nobody thought of: arguments, pictures, folders and files made up by hypothesis."""

import contextlib
import io
import math
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image
from torch.optim import lr_scheduler

from lessonkit import Learner, augment, data, models, recipe, schedule
from lessonkit.__main__ import main
from lessonkit.augment import affine, move
from lessonkit.course import look
from lessonkit.data import DataError
from lessonkit.files import model_files
from lessonkit.files.safe_files import ModelFileError
from lessonkit.images import decode, folder
from lessonkit.recipe import Report
from tests.cases import files
from tests.test_schedule import by_torch
from tests.tiny import save_model


def is_a_sentence(error):
    text = str(error)
    return len(text.split()) >= 4 and text.endswith((".", ")"))


# --- Schedules ------------------------------------------------------------------------------------

LRS = st.floats(1e-6, 10)
SHARES = st.floats(0, 1)


def assert_equal(ours, torchs, lr):
    # torch works some of them out step by step, and rounds at each.
    np.testing.assert_allclose(ours, torchs, rtol=1e-6, atol=1e-9 * lr)


@given(lr=LRS, steps=st.integers(1, 60), share=SHARES)
def test_cosine_is_torchs_for_any_length_and_lower_end(lr, steps, share):
    torchs = by_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, steps, lr * share), lr, steps)
    assert_equal(schedule.cosine(lr, steps, lr * share), torchs, lr)


@given(lr=LRS, steps=st.integers(1, 60), every=st.integers(1, 70), drop=st.floats(0.01, 1))
def test_step_decay_is_torchs_for_any_stairs(lr, steps, every, drop):
    torchs = by_torch(lambda o: lr_scheduler.StepLR(o, every, drop), lr, steps)
    assert_equal(schedule.step_decay(lr, steps, drop, every), torchs, lr)


@given(
    lr=LRS,
    cycles=st.integers(1, 3),
    length=st.integers(1, 3),
    mult=st.integers(1, 3),
    per_epoch=st.integers(1, 5),
    share=SHARES,
)
def test_sgdr_is_torchs_warm_restarts_for_any_cycles(lr, cycles, length, mult, per_epoch, share):
    ours = schedule.sgdr(lr, cycles, length, mult, per_epoch, lr * share)
    torchs = by_torch(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(
            o, length * per_epoch, mult, eta_min=lr * share
        ),
        lr,
        len(ours),
    )
    assert_equal(ours, torchs, lr)


@given(
    lr=LRS,
    steps=st.integers(1, 60),
    warm_up=st.floats(0, 1, exclude_min=True, exclude_max=True),
    start_div=st.floats(1, 100),
    final_div=st.floats(1, 1e6),
)
def test_one_cycle_is_torchs_for_any_shape(lr, steps, warm_up, start_div, final_div):
    # torch divides by zero where one of the two phases has no length.
    assume(abs(warm_up * steps - 1) > 1e-6 and abs(warm_up * steps - steps) > 1e-6)
    torchs = by_torch(
        lambda o: lr_scheduler.OneCycleLR(
            o, lr, steps, pct_start=warm_up, cycle_momentum=False, div_factor=start_div,
            final_div_factor=final_div,
        ),
        lr,
        steps,
    )  # fmt: skip
    assert_equal(schedule.one_cycle(lr, steps, warm_up, start_div, final_div), torchs, lr)


@given(
    lr=st.floats(1e-300, 3e38, exclude_max=True),
    steps=st.integers(1, 200),
    share=SHARES,
    warm_up=st.floats(0, 1, exclude_min=True, exclude_max=True),
    divs=st.tuples(st.floats(1, 1e300), st.floats(1, 1e300)),
)
@example(lr=0.1, steps=10, share=0.0, warm_up=math.nextafter(1, 0), divs=(25.0, 1e4))
@example(lr=0.1, steps=10, share=0.0, warm_up=0.1, divs=(25.0, 1e4))
def test_no_lr_is_ever_infinite_negative_or_above_the_highest(lr, steps, share, warm_up, divs):
    with np.errstate(all="raise", under="ignore"):
        for lrs in (
            schedule.constant(lr, steps),
            schedule.step_decay(lr, steps, max(share, 1e-3)),
            schedule.linear(lr, steps, lr * share),
            schedule.cosine(lr, steps, lr * share),
            schedule.triangular(lr, steps, max(1, int(steps * share)), lr * share),
            schedule.one_cycle(lr, steps, warm_up, *divs),
            schedule.sgdr(lr, 2, 1, 2, steps, lr * share)[:steps],
        ):
            assert lrs.shape == (steps,) and np.isfinite(lrs).all()
            assert lrs.min() >= 0 and lrs.max() <= lr * (1 + 1e-12)


GOOD_CALLS = {
    "constant": {"lr": 0.1, "steps": 9},
    "step_decay": {"lr": 0.1, "steps": 9, "drop": 0.5, "every": 2},
    "linear": {"lr": 0.1, "steps": 9, "lr_min": 0.01},
    "cosine": {"lr": 0.1, "steps": 9, "lr_min": 0.01},
    "sgdr": {
        "lr": 0.1, "n_cycle": 2, "cycle_len": 1, "cycle_mult": 2, "steps_per_epoch": 3,
        "lr_min": 0.01,
    },
    "triangular": {"lr": 0.1, "steps": 9, "cycle": 4, "lr_min": 0.01},
    "one_cycle": {"lr": 0.1, "steps": 9, "warm_up": 0.3, "start_div": 25.0, "final_div": 100.0},
}  # fmt: skip
NO_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
FRACTIONS = st.floats(1, 50).filter(lambda x: x != int(x))
BAD_COUNTS = NO_NUMBERS | st.integers(max_value=0) | FRACTIONS | st.just("3")
BAD = {
    "lr": NO_NUMBERS | st.floats(max_value=0),
    "lr_min": NO_NUMBERS | st.floats(max_value=-1e-9) | st.floats(min_value=0.11),
    "drop": NO_NUMBERS | st.floats(max_value=0) | st.floats(min_value=1.01),
    "warm_up": NO_NUMBERS | st.floats(max_value=0) | st.floats(min_value=1),
    "start_div": NO_NUMBERS | st.floats(max_value=0.99),
    "final_div": NO_NUMBERS | st.floats(max_value=0.99),
}


@given(st.data(), st.sampled_from([(f, a) for f, call in GOOD_CALLS.items() for a in call]))
def test_any_bad_argument_of_a_schedule_is_refused_by_a_sentence(draw, where):
    function, argument = where
    call = {**GOOD_CALLS[function], argument: draw.draw(BAD.get(argument, BAD_COUNTS))}
    with pytest.raises(ValueError) as refused:
        getattr(schedule, function)(**call)
    assert is_a_sentence(refused.value)


# --- Augmentation ---------------------------------------------------------------------------------

AUGMENTS = st.builds(
    augment.Augment,
    name=st.just("made up"),
    mirror=st.booleans(),
    turns=st.booleans(),
    degrees=st.floats(0, 180),
    max_zoom=st.floats(1, 4),
    shift=st.floats(0, 0.5),
    lighting=st.floats(0, 0.5),
) | st.sampled_from([make() for make in augment.PRESETS.values()])
SIDES = st.integers(8, 25)
SEEDS = st.integers(0, 2**31)


def noise(n, side, seed=0, low=0, high=256):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(low, high, (n, 3, side, side), np.uint8)
    )


def vary(how, images, seed):
    return how(images, torch.Generator().manual_seed(seed))


LAYOUTS = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "from a file": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "every other picture": lambda x: x.repeat_interleave(2, 0)[::2],
    "part of larger ones": lambda x: torch.nn.functional.pad(x, (1, 2, 3, 4))[..., 3:-4, 1:-2],
    "transposed": lambda x: x.mT.contiguous().mT,
}


@given(AUGMENTS, st.integers(1, 3), SIDES, SEEDS, st.sampled_from(list(LAYOUTS)))
def test_how_pictures_lie_in_memory_changes_nothing(how, n, side, seed, layout):
    images = noise(n, side)
    laid = LAYOUTS[layout](images)
    changed, others = vary(how, images, seed), vary(how, laid, seed)
    assert changed.dtype == others.dtype == torch.uint8
    assert changed.shape == others.shape == images.shape
    assert torch.equal(changed, others)
    assert torch.equal(images, noise(n, side)) and torch.equal(laid, images)
    for view, other in zip(how.views(images), how.views(laid), strict=True):
        assert torch.equal(view, other)


@given(
    AUGMENTS, SIDES, SEEDS, st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted)
)  # fmt: skip
def test_colours_stay_within_those_of_the_picture_and_the_lighting(how, side, seed, between):
    low, high = between
    images = noise(3, side, seed, low, high + 1)
    slack = how.lighting * (255 + high - low) + 1
    for changed in (vary(how, images, seed), *how.views(images)):
        assert changed.min() >= max(0, low - slack) and changed.max() <= min(255, high + slack)


@given(AUGMENTS, SIDES, SEEDS)
def test_each_picture_is_changed_without_regard_to_the_others(how, side, seed):
    images = noise(3, side)
    others = images.clone()
    others[1] = 255 - others[1]
    once, again = vary(how, images, seed), vary(how, others, seed)
    assert torch.equal(once[[0, 2]], again[[0, 2]])
    for view, alone in zip(how.views(images), how.views(images[:1]), strict=True):
        assert torch.equal(view[:1], alone)


@given(AUGMENTS, SIDES)
def test_views_are_fixed_and_draw_nothing(how, side):
    images, before = noise(2, side), torch.get_rng_state()
    views = list(how.views(images))
    torch.manual_seed(side)
    assert all(torch.equal(a, b) for a, b in zip(views, how.views(images), strict=True))
    torch.set_rng_state(before)
    list(how.views(images))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(views[0], images)


@given(st.integers(1, 3), st.integers(1, 40), SEEDS)
def test_no_strength_is_no_change(n, side, seed):
    images = noise(n, side, seed)
    assert torch.equal(vary(augment.Augment("nothing"), images, seed), images)
    through = move(images.float(), affine().expand(n, 2, 3)).round().to(torch.uint8)
    assert torch.equal(through, images)


@given(SIDES, st.booleans(), st.integers(0, 3), SEEDS)
def test_flips_and_quarter_turns_lose_nothing(side, mirror, turns, seed):
    images = noise(1, side, seed)
    there = move(images.float(), affine(mirror=mirror, quarter_turns=turns)).round()
    candidates = [torch.rot90(images.flip(3) if mirror else images, k, (2, 3)) for k in range(4)]
    assert any(torch.equal(there.to(torch.uint8), c) for c in candidates)
    for back in range(4):  # a flip undoes itself; four quarter turns are none
        matrix = affine(mirror=mirror, quarter_turns=back)
        if torch.equal(move(there, matrix).round().to(torch.uint8), images):
            return
    pytest.fail("no flip and quarter turn leads back")


# --- Pictures and folders -------------------------------------------------------------------------


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


FILES = [
    encoded("JPEG"), encoded("JPEG", "CMYK"), encoded("PNG"), encoded("PNG", "P"),
    encoded("PNG", "RGBA"), encoded("GIF", "P"), encoded("WEBP"), encoded("BMP"),
    encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"),
    encoded("TIFF", compression="jpeg"), encoded("JPEG", exif=Image.Exif().tobytes()),
]  # fmt: skip
ALTERATIONS = st.lists(st.tuples(SHARES, st.integers(1, 255)), min_size=1, max_size=8)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, which decode keeps quiet
@given(st.sampled_from(FILES), ALTERATIONS, st.booleans())
def test_a_picture_altered_anywhere_is_shown_or_refused_by_a_reason(content, alterations, early):
    altered = bytearray(content)
    for place, change in alterations:
        altered[int(place * (min(len(altered), 200 if early else 10**6) - 1))] ^= change
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "x.jpg"
        path.write_bytes(altered)
        try:
            square = decode.decode(path, 16)
            assert square.shape == (16, 16, 3) and square.dtype == np.uint8
        except decode.Unusable as error:
            assert len(str(error).split()) >= 2


TAG = st.tuples(
    st.integers(0, 0xFFFF).filter(lambda number: number != 274),
    st.integers(0, 14) | st.integers(0, 0xFFFF),
    st.integers(0, 3) | st.integers(0, 2**32 - 1),
    st.binary(min_size=4, max_size=4),
)
UPRIGHT = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [250, 250, 250]]], np.uint8)
UPRIGHT = UPRIGHT.repeat(16, 0).repeat(16, 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(
    st.lists(TAG, max_size=6), st.lists(TAG, max_size=6), st.sampled_from("<>"),
    st.sampled_from(["JPEG", "PNG", "WEBP"]), st.binary(max_size=40),
)  # fmt: skip
def test_a_photo_is_upright_whatever_its_other_tags_are(before, after, order, kind, rest):
    block = files.exif(*before, (274, 3, 1, 6), *after, order=order) + rest
    file = io.BytesIO()
    Image.fromarray(np.rot90(UPRIGHT).copy()).save(file, kind, exif=block, quality=95)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "x.jpg").write_bytes(file.getvalue())
        square = decode.decode(Path(place) / "x.jpg", 32).astype(int)
        assert look.sides(place, ["x.jpg"])["x.jpg"].turned
    for corner in (np.s_[4:12, 4:12], np.s_[4:12, 20:28], np.s_[20:28, 4:12]):
        assert np.abs(square[corner] - UPRIGHT[corner]).max() < 40


@given(
    st.sampled_from([8, 10, 12, 14, 16, 32]), st.integers(1, 7), st.integers(1, 2**32 - 1),
    st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, 1, 2]), SEEDS,
)  # fmt: skip
def test_a_tiff_of_any_depth_and_bands_never_turns_black(bits, bands, top, extra, form, seed):
    top = min(top, 2 ** (bits - (form == 2)) - 1)
    pixels = np.random.default_rng(seed).integers(0, top + 1, (16, 16, bands))
    pixels[8, 8] = top
    n_extra = bands - (3 if bands >= 3 else 1)
    content = files.tiff(pixels, bits, extra=[extra] * n_extra if extra and n_extra else None,
                         sample_format=form)  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "x.tif").write_bytes(content)
        try:
            square = decode.decode(Path(place) / "x.tif", 16)
        except decode.Unusable as error:
            assert len(str(error).split()) >= 2 and not error.passing
            return
    # Below 16 bits white is what the file says, and what is below a sixteenth of it is refused.
    expected = 15 if bits < 16 or top == 1 else 64
    assert square.max() >= min(expected, top), f"{top} of {bits} bits became {square.max()}"


GOOD = encoded("PNG")
CONTENTS = {
    "good": GOOD, "good too": encoded("JPEG"), "cut off": GOOD[: len(GOOD) // 2], "empty": b"",
    "text": b"no picture",
}  # fmt: skip
LINKS = {"link to a picture": "good.png", "link to nothing": "nowhere.png", "loop": "."}
ODD = [
    "Bär", "猫", "😺", "a b", " x", "x ", "dots...", "x.y", "-rf", "new\nline", "%41", "'\"", "ü",
    "u\u0308", ".hidden", "~x", "__MACOSX", "Thumbs.db", "desktop.ini", "CON", "train", "valid",
    "test", "one", "two", "validation", "@eaDir", ".ipynb_checkpoints", "ONE", "one ", "archive",
]  # fmt: skip
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
BYTES_THAT_ARE_NO_TEXT = st.just("\udcff\udc80")
NAMES = (
    st.sampled_from(ODD)
    | BYTES_THAT_ARE_NO_TEXT
    | st.text(LETTERS, min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
)
ENDINGS = st.sampled_from([".png", ".JPG", ".jpeg", ".txt", "", ".", ".png.exe", ".gif"])
TREES = st.lists(
    st.tuples(
        st.lists(NAMES, max_size=4) | st.lists(NAMES, min_size=1, max_size=2).map(lambda x: x * 12),
        NAMES,
        ENDINGS,
        st.sampled_from([*CONTENTS, *LINKS, "empty folder"]),
    ),
    max_size=12,
)
SETS = st.sampled_from([
    [""], ["train"], ["train", "valid"], ["train", "val", "test", "valid"], ["archive"],
    ["archive/train", "archive/validation"], ["train", "test"], ["a/train", "a/val", "b/train"],
])  # fmt: skip


def grow(root, sets, tree):
    """Two classes of three pictures in every set, and all of `tree` that the disk will take."""
    for part in sets:
        for name in ("one", "two"):
            (root / part / name).mkdir(parents=True, exist_ok=True)
            for i in range(3):
                (root / part / name / f"{i}.png").write_bytes(GOOD)
    for folders, name, ending, kind in tree:
        with contextlib.suppress(OSError, ValueError):  # a file in the way, or no such name here
            parent = root.joinpath(*folders)
            parent.mkdir(parents=True, exist_ok=True)
            path = parent / (name + ending)
            if path.exists() or path.is_symlink():
                continue
            if kind in CONTENTS:
                path.write_bytes(CONTENTS[kind])
            elif kind in LINKS:
                path.symlink_to(root / "one" / "0.png" if "picture" in kind else LINKS[kind])
            else:
                path.mkdir()


def files_of(place, inside=()):
    """Paths of all that is no folder, as tuples of names; links aren't followed."""
    for entry in os.scandir(place):
        if entry.is_dir(follow_symlinks=False):
            yield from files_of(entry.path, (*inside, entry.name))
        else:
            yield (*inside, entry.name)


def belongs_to_a_system(name):
    return name[0] in ".~" or name.lower() in folder.SYSTEM_FILES


def assert_each_once(root, used, skipped):
    named = [path for path, _ in skipped]
    for parts in files_of(root):
        path = "/".join(parts)
        count = used.count(path) + named.count(path)
        if any(map(belongs_to_a_system, parts)):
            assert count == 0, path
        elif count != 1:
            folders = ["/".join(parts[:i]) for i in range(1, len(parts))]
            assert count == 0 and sum(named.count(f) for f in folders) == 1, path


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@given(SETS, TREES, st.integers(0, 5))
@example(["train"], [(["valid"], "only a link", "", "loop")], 0)
def test_every_file_of_a_folder_is_used_exactly_once_or_named(sets, tree, seed):
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without validation pictures
        root = Path(place) / "photos"
        grow(root, sets, tree)
        try:
            pictures, skipped = folder.find_pictures(root, seed)
            assert_each_once(root, [p.path for p in pictures], skipped)
            with mock.patch.dict(os.environ, LESSONKIT_CACHE=place):
                images, again = (data.from_folder(root, 16, seed=seed) for _ in range(2))
        except DataError as error:
            assert is_a_sentence(error)
            return
    assert not set(images.train_files) & set(images.valid_files + images.test_files)
    assert (again.train_files, again.valid_files) == (images.train_files, images.valid_files)
    for split, names in ((images.train, images.train_files), (images.valid, images.valid_files)):
        assert len(split.images) == len(split.labels) == len(names)
    used = images.train_files + images.valid_files + images.test_files
    named = [path for path, _ in images.skipped]
    found = [p.path for p in pictures] + [path for path, _ in skipped]
    assert sorted(used + named) == sorted(found)


@pytest.mark.skipif(sys.platform == "win32", reason="paths are shorter there")
def test_folders_may_be_nested_deeper_than_python_calls(tmp_path):
    grow(tmp_path / "photos", [""], [])
    here, depth = Path.cwd(), 0
    os.chdir(tmp_path / "photos" / "one")
    try:
        with contextlib.suppress(OSError):  # no path may be that long here
            while depth < 1200:
                os.mkdir("d")
                os.chdir("d")
                depth += 1
        Path("x.png").write_bytes(GOOD)
        pictures, skipped = folder.find_pictures(tmp_path / "photos")
        assert len(pictures) == 7 and not skipped
    finally:
        Path("x.png").unlink(missing_ok=True)
        for _ in range(depth):  # pytest can't remove it: it calls itself for each level
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, math.nan, None, "0"])
def test_a_seed_that_no_generator_takes_is_refused_before_any_work(tmp_path, seed):
    grow(tmp_path / "photos", [""], [])
    with pytest.raises(DataError, match="seed is a whole number from 0"):
        folder.find_pictures(tmp_path / "photos", seed)


# --- Model files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A model file, and the weights in it."""
    path = tmp_path_factory.mktemp("model") / "model.pt"
    model = models.small_cnn(3, 2)
    save_model(path, model, ["a", "b", "ü"], 16, augment.side_on())
    return path, model.state_dict()


def assert_refused_or_the_same(path, content, weights):
    path.write_bytes(content)
    try:
        model, _, about = model_files.read(path)
    except ModelFileError as error:
        assert is_a_sentence(error) and "\n" not in str(error)
        return
    found = about["classes"], about["size"], about["augment"]
    assert found == (["a", "b", "ü"], 16, augment.side_on())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), f"{name} is not what was saved"


def test_a_model_file_cut_off_anywhere_is_refused(model_file, tmp_path):
    content = model_file[0].read_bytes()
    path = tmp_path / "cut.pt"
    for end in [*range(0, len(content), 500), 1, 7, 8, 9, len(content) - 1]:
        path.write_bytes(content[:end])
        with pytest.raises(ModelFileError, match=r"damaged|altered"):
            model_files.read(path)


@given(st.data())
def test_a_model_file_altered_anywhere_is_refused_or_the_same(model_file, draw):
    content = bytearray(model_file[0].read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    end = draw.draw(st.sampled_from([header, len(content)]))
    for _ in range(draw.draw(st.integers(1, 4))):
        content[draw.draw(st.integers(0, end - 1))] = draw.draw(
            st.integers(0, 255) | st.sampled_from(list(b'0123456789{}[]",:FIUB'))
        )
    path = model_file[0].with_name("altered.pt")
    assert_refused_or_the_same(path, bytes(content), model_file[1])


@pytest.mark.parametrize("kind", ["I32", "U32"])
def test_weights_are_never_read_as_numbers_of_another_kind(model_file, tmp_path, kind):
    content = model_file[0].read_bytes()
    for place in range(len(content)):
        if content[place : place + 5] == b'"F32"':
            altered = content[:place] + f'"{kind}"'.encode() + content[place + 5 :]
            (tmp_path / "x.pt").write_bytes(altered)
            with pytest.raises(ModelFileError, match="altered"):
                model_files.read(tmp_path / "x.pt")


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode()))
def test_any_other_file_is_no_model(model_file, content):
    path = model_file[0].with_name("other.pt")
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a model saved by lessonkit"):
        model_files.read(path)


@pytest.mark.parametrize(("version", "way"), [(1, "use the lessonkit that saved"), (3, "update")])
def test_a_model_of_another_format_says_which_lessonkit_reads_it(tmp_path, version, way):
    with mock.patch.object(model_files, "VERSION", version):
        save_model(tmp_path / "m.pt", models.small_cnn(2, 2), ["a", "b"], 16, augment.none())
    with pytest.raises(ModelFileError, match=f"format {version}.*format 2: {way}"):
        model_files.read(tmp_path / "m.pt")


# --- The command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with pictures, a broken one among them, and a model."""
    root = tmp_path_factory.mktemp("work")
    grow(root / "photos", [""], [(["one"], "broken", ".jpg", "empty")])
    model = models.small_cnn(2, 2)
    save_model(root / "model.pt", model, ["one", "two"], 16, augment.side_on())
    return root


def untrained(images, arch="", seed=0, *_, **__):
    """As eight_steps, without the steps."""
    return Report(Learner(models.small_cnn(len(images.classes), 2), images, seed=seed), None)


WORDS = st.sampled_from([
    "train", "predict", "check", "cache", "photos", "photos/one/0.png", "photos/one/broken.jpg",
    "model.pt", "report.json", "nowhere/x", "--size", "--seed", "--arch", "--augment", "--out",
    "--report", "--resume", "--tta", "--json", "--help", "-h", "--", "side_on", "symbols", "none",
    "resnet18", "--csv", "--force", "--device", "cpu", "cuda", "--clear", "--version", "*", ".",
])  # fmt: skip
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), max_size=12)
VALUES = (
    WORDS | LINES.filter(lambda text: text != ".." and text[:1] != "~") | BYTES_THAT_ARE_NO_TEXT
)
NUMBERS = st.integers().map(str) | st.integers(16, 64).map(str) | st.floats().map(str)
OPTIONS = st.sampled_from([
    "size", "seed", "arch", "augment", "out", "report", "json", "tta", "csv", "device", "x",
])  # fmt: skip
ARGUMENTS = (
    VALUES | NUMBERS | st.tuples(OPTIONS, VALUES | NUMBERS).map(lambda t: f"--{t[0]}={t[1]}")
)
COMMANDS = st.sampled_from([
    ["train", "photos"], ["check"], ["predict", "model.pt"], ["predict", "model.pt", "photos"],
    ["cache"], [],
])  # fmt: skip


def run(arguments):
    """The exit status of `python -m lessonkit`, and what it says on a terminal that knows ASCII."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    err = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    with (
        mock.patch.object(warnings, "showwarning"),
        mock.patch.object(recipe, "eight_steps", untrained),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main(arguments)
        except SystemExit as end:  # argparse's way
            status = end.code
    err.flush()
    return status, err.buffer.getvalue().decode()


@given(st.tuples(COMMANDS, st.lists(ARGUMENTS, max_size=6)).map(lambda t: t[0] + t[1]))
@example(["train", "photos", "--seed", str(2**64)])
@example(["train", "photos", "--seed", "9" * 5000])
@example(["train", "photos", "--size", "1" + "0" * 400])
@example(["train", "photos", "--out", "x" * 252])
@example(["check", "x" * 5000])
@example(["predict", "x" * 5000, "y"])
@example(["predict", "model.pt", "photos", "--csv", "photos/one/0.png"])
@example(["predict", "model.pt", "[" + "x" * 300])
@example(["predict", "model.pt", "*", "--csv=photos"])
def test_no_command_line_ever_ends_in_a_traceback(workplace, arguments):
    with tempfile.TemporaryDirectory() as place:
        here = Path.cwd()
        work = shutil.copytree(workplace, Path(place) / "work", symlinks=True)
        try:
            os.chdir(work)
            with mock.patch.dict(os.environ, LESSONKIT_CACHE=str(workplace / "cache")):
                status, said = run(arguments)
        finally:
            os.chdir(here)
        assert not list(Path(place).rglob("*.part"))
    assert status in (0, 2), said
    assert "Traceback" not in said
    if status == 2:
        assert "lessonkit: " in said and said.endswith("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")
def test_a_device_is_never_replaced_by_a_file(workplace, tmp_path):
    device = tmp_path / "pipe"
    os.mkfifo(device)
    status, said = run(["train", str(workplace / "photos"), "--out", str(device)])
    assert status == 2 and "is no ordinary file" in said and device.is_fifo()
