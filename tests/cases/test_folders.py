"""Folders as people have them: understood, or a sentence says what is meant otherwise."""

import hashlib
import shutil
import time
import unicodedata
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import data
from lessonkit.course import look
from lessonkit.data import DataError
from lessonkit.images import cleaning, folder, remarks
from lessonkit.images.image_data import Split

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "photos"


def fill(place, *classes, n=6, start=0):
    """`n` pictures of its own noise in each class's folder."""
    for number, name in enumerate(classes):
        (place / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + n):
            seed = [i, number, *str(place / name).encode()[-20:]]
            noise = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(noise).save(place / name / f"{i}.png")
    return place


def read(root, **more):
    """What there is: classes, pictures for training, for validation, for the test, and notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        images = data.from_folder(root, 16, **more)
    n_test = len(images.test.labels) if images.test else 0
    n = len(images.train.labels), len(images.valid.labels), n_test
    return images, images.classes, n, [str(warning.message) for warning in said]


# --- Where the sets lie ---------------------------------------------------------------------------


NAMES = [("train", "valid", "test"), ("train", "val", "test"), ("train", "validation", "test"),
         ("Train", "Valid", "Test"), ("training_set", "VALIDATION", "testing")]  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("order", ["sets above classes", "sets within classes"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_sets_are_found_under_their_names(root, names, order, wrapped):
    place = root / "archive" if wrapped else root
    for part, n in zip(names, (6, 3, 2), strict=True):
        for label in ("cats", "dogs"):
            inside = (part, label) if order == "sets above classes" else (label, part)
            fill(place / inside[0], inside[1], n=n)
    images, classes, n, said = read(root)
    assert (classes, n, images.skipped, said) == (["cats", "dogs"], (12, 6, 4), [], [])
    assert all(f"/{names[1]}/" in f"/{file}" for file in images.valid_files)
    assert all(f"/{names[2]}/" in f"/{file}" for file in images.test_files)
    for split, files in ((images.valid, images.valid_files), (images.test, images.test_files)):
        assert [classes[k] in file for k, file in zip(split.labels, files, strict=True)]
        assert len(split.images) == len(files)
    assert images.resized(24).test_files == images.test_files


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Test set")])
def test_a_test_within_each_class_chooses_nothing(root, names):
    for label in ("cats", "dogs"):
        fill(root / label, *names, n=10)
    images, _, n, _ = read(root)
    assert n == (16, 4, 20) and all(f"/{names[0]}/" in file for file in images.valid_files)


@pytest.mark.parametrize("name", ["test", "Test", "testing", "val"])
@pytest.mark.parametrize("inside", ["", "unknown"])
def test_beside_classes_too_what_has_no_classes_is_left_alone(root, name, inside):
    fill(root, "cats", "dogs", n=10)
    fill(root / name, inside, n=30)
    images, classes, n, _ = read(root)
    assert (classes, n) == (["cats", "dogs"], (16, 4, 0))
    assert [path for path, _ in images.skipped] == [name]


@pytest.mark.parametrize(
    "names", [("train", "test"), ("training_set", "test_set"), ("Train", "Test", "Validation")]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_sets_in_a_second_folder_of_their_name_are_found(root, names, wrapped):
    place = root / "archive" if wrapped else root
    for name in names:
        fill(place / name / name, "cats", "dogs", n=10)
    images, classes, n, _ = read(root)
    assert (classes, n) == (["cats", "dogs"], (20, 20, 20) if len(names) > 2 else (16, 4, 20))
    assert all((root / file).is_file() for file in images.train_files + images.valid_files)
    (place / names[0] / names[0] / "birds").mkdir()
    with pytest.warns(UserWarning, match=rf"{names[0]}/{names[0]}/birds of .* gives no picture"):
        data.from_folder(root, 16)


def test_of_such_sets_a_flat_one_is_named_and_left_alone(root):
    fill(root / "train" / "train", "cats", "dogs", n=10)
    fill(root / "test", "test", n=10)
    images, classes, n, _ = read(root)
    assert (classes, n) == (["cats", "dogs"], (16, 4, 0))
    assert images.skipped == [("test", "has no class folders: what is in it is left alone")]


def test_within_classes_nothing_is_doubled(root):
    fill(root / "steam", "train", "test", n=10)
    fill(root / "train", "train", n=10)
    fill(root / "train" / "train", "old", n=10)
    assert read(root)[1:3] == (["steam", "train"], (24, 6, 10))


def test_test_beside_train_alone_chooses_nothing(root):
    fill(root / "train", "cats", "dogs", n=10)
    fill(root / "test", "cats", "dogs", n=5)
    images, _, n, _ = read(root)
    assert n == (16, 4, 10) and all(file.startswith("train/") for file in images.valid_files)
    shutil.rmtree(root / "test" / "dogs")
    assert read(root)[2] == (16, 4, 5)  # not each class need be in it


@pytest.mark.parametrize("inside", ["", "unknown"])
def test_a_test_folder_without_the_classes_is_named_and_left_alone(root, inside):
    fill(root / "train", "cats", "dogs", n=10)
    fill(root / "test", inside, n=30)
    images, classes, n, _ = read(root)
    assert (classes, n, images.test) == (["cats", "dogs"], (16, 4, 0), None)
    assert [path for path, _ in images.skipped] == ["test"]


def test_sets_beside_the_classes_are_no_class(root):
    fill(root, "cats", "dogs", n=10)
    fill(root / "test", "cats", "dogs", n=2)
    assert read(root)[1:3] == (["cats", "dogs"], (16, 4, 4))


def test_one_folder_around_the_classes_is_looked_into(root):
    fill(root / "pets-1.0", "cats", "dogs", n=10)
    fill(root / "__MACOSX" / "pets-1.0", "cats")
    (root / "README.txt").write_text("x")
    images, classes, n, _ = read(root)
    assert (classes, n) == (["cats", "dogs"], (16, 4, 0))
    assert [path for path, _ in images.skipped] == ["README.txt"]


def test_a_single_class_is_not_taken_for_such_a_folder(root):
    fill(root, "cats", n=10)
    fill(root / "cats", "one", "two")
    with pytest.raises(DataError, match=r"two classes or more.*only cats"):
        read(root)


@pytest.mark.parametrize("inside", [(), ("steam", "diesel")])
def test_a_class_may_be_called_train(root, inside):
    fill(root, "bus", "car", n=10)
    fill(root / "train", *inside or [""], n=10)
    images, classes, _, _ = read(root)
    assert classes == ["bus", "car", "train"] and not images.skipped


def test_sets_without_classes_get_a_sentence_of_their_own(root):
    fill(root, "train", "test")
    with pytest.raises(DataError, match=r"test and train hold no class folders.*train/cats/"):
        read(root)


def test_a_validation_set_without_pictures_is_named(root):
    fill(root / "train", "cats", "dogs", n=10)
    for name in ("cats", "dogs"):
        (root / "valid" / name).mkdir(parents=True)
    images, _, n, _ = read(root)
    assert n == (16, 4, 0)
    assert "holds no picture to validate with" in dict(images.skipped)["valid/cats"]


def test_a_class_that_is_not_split_as_the_others_are_is_named(root):
    for label in ("cats", "dogs"):
        fill(root / label, "train", "valid")
    fill(root, "eels")
    images, classes, _, said = read(root)
    assert classes == ["cats", "dogs"]
    assert images.skipped == [("eels", "is not used: it holds no train and valid, as others do")]
    assert any("eels is not a class" in sentence for sentence in said)


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", ".ipynb_checkpoints", "#recycle", "$RECYCLE.BIN", "@Recycle"]
)
def test_folders_of_systems_are_no_classes_and_hold_no_pictures(root, name):
    fill(root, "cats", "dogs", n=10)
    fill(root, name)
    fill(root / "cats", name)
    fill(root / "dogs" / name, "0.png")
    images, classes, n, said = read(root)
    assert (classes, n, images.skipped, said) == (["cats", "dogs"], (16, 4, 0), [], [])


def test_the_home_folder_may_be_written_as_in_a_shell(root, tmp_path, monkeypatch):
    fill(root, "cats", "dogs")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("LESSONKIT_CACHE", "~/kept")
    monkeypatch.chdir(root)
    images = data.from_folder("~/photos", 16)
    assert images.classes == ["cats", "dogs"] and list((tmp_path / "kept").iterdir())
    assert not (root / "~").exists()
    assert cleaning.file_beside("~/photos") == tmp_path / "photos.cleaning.json"
    assert look.exact_duplicates("~/photos", images.train_files) == []


# --- Names that look alike ------------------------------------------------------------------------

NFC, NFD = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))


def test_one_name_in_two_forms_is_one_class(root):
    fill(root / "train", NFC, "dogs")
    fill(root / "valid", NFD, "dogs")
    _, classes, n, said = read(root)
    assert (classes, n, said) == ([NFC, "dogs"], (12, 12, 0), [])


@pytest.mark.parametrize(
    ("pair", "n"), [((NFC, NFD), 1), (("cats", "Cats"), 2), (("cats", "cats "), 2)]
)
def test_two_folders_that_look_like_one_class_are_told(root, pair, n):
    fill(root, *pair, "dogs")
    _, classes, _, said = read(root)
    assert len(classes) == n + 1
    (sentence,) = said
    assert all(ascii(name) in sentence for name in pair)
    assert f"they count as {n} class" in sentence


def test_a_validation_class_that_differs_in_case_only_is_told_from_a_missing_one(root):
    fill(root / "train", "cats", "dogs")
    fill(root / "valid", "Cats", "dogs")
    with pytest.raises(DataError, match="Is it the same as cats"):
        read(root)


# --- What is left out -----------------------------------------------------------------------------


def lose(root, name, how):
    if how == "link":
        shutil.move(root / name, root.parent / "elsewhere")
        (root / name).symlink_to(root.parent / "elsewhere")
    for file in [*(root / name).iterdir()] if how != "link" else []:
        if how == "empty files":
            file.write_bytes(b"")
        elif how == "no files":
            file.unlink()
        else:
            file.rename(file.with_suffix(how))


LOSSES = {"empty files": "is empty", "no files": "is empty", ".ppm": "not a picture", "": "by its",
          ".png?w=500": "by its name", "link": "links are not followed"}  # fmt: skip


@pytest.mark.parametrize("how", LOSSES)
def test_a_class_that_lost_all_its_pictures_is_named(root, how):
    lose(fill(root, "cats", "dogs", "eels"), "eels", how)
    images, classes, _, said = read(root)
    assert classes == ["cats", "dogs"]
    assert len(said) == 1 and "eels is not a class" in said[0] and LOSSES[how] in said[0]
    if images.skipped:
        assert f"left out: {len(images.skipped)}" in repr(images)


@pytest.mark.parametrize("how", LOSSES)
def test_where_all_are_lost_the_reasons_are_said(root, how):
    fill(root, "cats", "dogs")
    lose(root, "cats", how)
    if how != "link":
        lose(root, "dogs", how)
    with pytest.raises(DataError, match=r"no pictures in class folders|two classes or more") as no:
        read(root)
    if how != "no files":
        assert LOSSES[how] in str(no.value)


def test_few_validation_pictures_are_said_in_words(root):
    images = read(fill(root, "cats", "dogs", n=20))[0]
    assert "8 pictures for validation: each is 12.5 points of accuracy." in repr(images)
    assert not any("points" in remark for remark in data.digits().remarks())
    none = replace(images, valid=Split(images.valid.images[:0], images.valid.labels[:0]))
    assert "There are no pictures for validation." in repr(none)


# --- Copies ---------------------------------------------------------------------------------------


def test_copies_are_told_within_a_class_across_classes_and_across_sets(root):
    for part in ("train", "valid"):
        fill(root / part, "cats", "dogs", n=15)
    assert read(root)[0].remarks() == []
    shutil.copy(root / "train/cats/1.png", root / "train/cats/again.png")
    shutil.copy(root / "train/cats/2.png", root / "train/dogs/cat.png")
    shutil.copy(root / "train/dogs/3.png", root / "valid/dogs/leak.png")
    images = read(root)[0]
    assert sorted(map(sorted, images.copies)) == [
        ["train/cats/1.png", "train/cats/again.png"],
        ["train/cats/2.png", "train/dogs/cat.png"],
        ["train/dogs/3.png", "valid/dogs/leak.png"],
    ]
    assert images.remarks() == [
        "1 picture(s) are in two sets at once, such as train/dogs/3.png = valid/dogs/leak.png "
        "(training and validation).",
        "1 picture(s) are in two classes at once, such as train/cats/2.png = train/dogs/cat.png "
        "(cats and dogs).",
        "3 file(s) are copies of others, such as train/cats/1.png = train/cats/again.png.",
    ]
    assert len(images.with_training([0]).remarks()) == 0  # of pictures that aren't there, nothing


SAID_OF_NO_CLASSES = {
    ("seg_train/seg_train", "seg_test/seg_test"): "seg_test and seg_train are taken for two",
    ("alphabet_train/alphabet_train", "alphabet_test/x"): "alphabet_test and alphabet_train are",
    ("rps/rps", "rps-test-set/rps-test-set"): "rps and rps-test-set are taken for two",
    ("trn", "tst"): "trn and tst are taken for two classes. If they are two sets, call them",
    ("fold1/train", "fold1/valid", "fold2/train", "fold2/valid"): "fold1 and fold2 are taken",
    ("images/train", "images/valid", "masks/train", "masks/valid"): "hold folders called ant, bee.",
    ("x/train", "y/valid"): "x and y are taken for two classes, and both hold folders called ant",
    ("train", "train/valid"): "valid is taken for a class, and holds folders called ant, bee,",
}


@pytest.mark.parametrize("trees", SAID_OF_NO_CLASSES, ids=" ".join)
def test_sets_that_are_taken_for_classes_are_named(tmp_path, trees):
    for number, tree in enumerate(trees):
        fill(tmp_path / tree, "ant", "bee", n=3 + number)
    said = " ".join(data.from_folder(tmp_path, 16).remarks())
    assert SAID_OF_NO_CLASSES[trees] in said


@pytest.mark.parametrize("names", ["test2 train1", "testImages trainImages", "testA trainA trainB"])
def test_flat_sets_that_are_taken_for_classes_are_named(tmp_path, names):
    fill(tmp_path, *names.split(), n=15)
    said = " ".join(data.from_folder(tmp_path, 16).remarks())
    assert "{} and {} are taken for two classes. If they are".format(*names.split()) in said


@pytest.mark.parametrize("place", ["archive/PetImages", "x/y/train"])
def test_folders_above_all_classes_are_not_inside_them(tmp_path, place):
    fill(tmp_path / place, "Cat", "Dog", n=150)
    assert data.from_folder(tmp_path, 16).remarks() == []


def test_sets_called_so_in_several_words_are_sets(tmp_path):
    fill(tmp_path / "training_set", "ant", "bee", n=100)
    fill(tmp_path / "test_set", "ant", "bee", n=3)
    assert data.from_folder(tmp_path, 16).remarks() == []


def test_of_many_classes_the_remarks_take_no_time():
    names = [f"n{number:06}" for number in range(20_000)]
    places = {f"train/{name}/1.jpg": ("training", name) for name in names}
    # Pairs of these would be 200 million.
    assert remarks.no_classes(SimpleNamespace(classes=names), places) == []


TWO = [("train", "bus"), ("test 1", "test 2"), ("set", "Set b"), ("class1", "class2"), ("1", "2")]


@pytest.mark.parametrize("names", TWO)
def test_classes_whose_names_sound_like_sets_are_classes(tmp_path, names):
    fill(tmp_path, *names, n=15)
    assert not any("taken for" in one for one in data.from_folder(tmp_path, 16).remarks())


def test_of_many_copies_a_few_are_named(root):
    fill(root, "cats", "dogs", n=9)
    for number in range(20):
        shutil.copy(root / "cats" / "0.png", root / "dogs" / f"again{number}.png")
    said = [one for one in read(root)[0].remarks() if "validation: each" not in one]
    across = [one for one in said if "two classes at once" in one]
    assert across and across[0].endswith("(cats and dogs).") and across[0].count("again") == 1
    assert any("and 18 more" in one for one in said) and max(map(len, said)) < 200, said


def test_files_of_one_colour_are_named(root):
    fill(root, "cats", "dogs", n=15)
    lines = np.zeros((20, 20, 3), np.uint8)
    lines[5] = 255
    Image.fromarray(lines).save(root / "dogs" / "drawing.png")
    for name, colour in {"cats/cap.png": "black", "dogs/sky.png": (3, 140, 250)}.items():
        Image.new("RGB", (20, 20), colour).save(root / name)
    (said,) = [one for one in read(root)[0].remarks() if "colour" in one]
    assert said.startswith("2 file(s) are of one colour everywhere, such as ")
    assert "cats/cap.png" in said and "dogs/sky.png" in said
    assert not any("one colour" in remark for remark in data.digits().remarks())


# --- The split ------------------------------------------------------------------------------------

SIZES = {"Bär": 1, "ant": 2, "bee": 3, "cat 2": 5, "dog": 7, "eel": 10, "猫": 23}
STORED = {  # of lessonkit 1.0
    ("", 0): "5bd9177d0f80b743", ("", 1): "3d2272a359e313a1", ("", 77): "b5ded532188d9a52",
    ("train", 0): "9be6f0a758151d50", ("train", 1): "04304e26d38f81db",
    ("train", 77): "813a34740a737fc3",
}  # fmt: skip


@pytest.mark.parametrize("where, seed", STORED)
def test_readable_files_keep_the_split_that_a_seed_has_always_given(root, where, seed):
    for label, n in SIZES.items():
        for i in range(n):
            place = root / where / label / ("deeper" if i % 4 == 3 else "")
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{i}.png").touch()
    found, _ = folder.find_pictures(root, seed)
    text = "\n".join(f"{p.path} {p.label} {p.part == cleaning.VALID}" for p in found)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == STORED[where, seed]


@pytest.mark.parametrize("seed", range(5))
def test_the_fifth_is_drawn_from_what_can_be_read(root, seed):
    fill(root, "cats", "dogs", n=20)
    before = set(data.from_folder(root, 16, seed=seed).valid_files)
    broken = [root / "cats" / f"{i}.png" for i in range(0, 20, 2)]
    for file in broken:
        file.write_bytes(b"")
    images = data.from_folder(root, 16, seed=seed)
    assert look.counts(images) == {"cats": (8, 2), "dogs": (16, 4)}
    after = set(images.valid_files)
    assert {f for f in after if "dogs" in f} == {f for f in before if "dogs" in f}
    readable = {f for f in before if "cats" in f and root / f not in broken}
    assert readable <= after or after & set(before) >= {f for f in after if "cats" in f}
    assert data.from_folder(root, 16, seed=seed).valid_files == images.valid_files


@pytest.mark.parametrize("n_broken", [0, 1, 2, 3])
def test_dropping_a_broken_picture_moves_no_other_to_another_set(root, n_broken):
    fill(root, "cats", "dogs", n=10)
    for i in range(n_broken):
        (root / "cats" / f"{i}.png").write_bytes(b"")
    before = data.from_folder(root, 16)
    cleaning.write(root, cleaning.Cleaning(tuple(f"cats/{i}.png" for i in range(n_broken))))
    after = data.from_folder(root, 16)
    assert (after.train_files, after.valid_files) == (before.train_files, before.valid_files)
    assert torch.equal(after.valid.images, before.valid.images) and after.key == before.key


def test_the_work_of_splitting_grows_with_the_pictures_alone():
    """Ten times as many classes take about ten times as long: not a hundred times."""

    def seconds(n_classes):
        pictures = [
            cleaning.Picture(f"{c}/{i}.png", str(c), "train") for c in range(n_classes)
            for i in range(20)
        ]  # fmt: skip
        started = time.process_time()
        folder._draw(folder._Found(pictures, {}, []), 0)
        return time.process_time() - started

    assert min(seconds(2000) for _ in range(3)) < 40 * min(seconds(200) for _ in range(3))


# --- What is easily overlooked --------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["archive/photos", "a/b/c"])
@pytest.mark.parametrize("sets", [False, True])
def test_pictures_may_lie_in_a_folder_within_a_folder(root, wrapper, sets):
    for part in ("train", "valid") if sets else ("",):
        fill(root / wrapper / part, "cats", "dogs")
    images, classes, n, said = read(root)
    assert (classes, images.skipped, said) == (["cats", "dogs"], [], [])
    assert n == ((12, 12, 0) if sets else (10, 2, 0))


@pytest.mark.parametrize("more", [None, "train", "valid", "docs"])
def test_a_training_set_whose_name_is_misspelt_is_no_class(root, more):
    for part in ("trian", "valid"):
        fill(root / part, "cats", "d\u00fcck" if part == "trian" else "du\u0308ck")
    if more:
        fill(root / more.replace("train", "trian"), "foxes", n=0)
    with pytest.raises(DataError, match=r"trian and valid hold the same folders.*trian train; if"):
        read(root)


@pytest.mark.parametrize(
    "names",
    [("01_train", "02_val"), ("train_images", "val_images", "test_images"), ("traindata", "dev")],
)
def test_sets_under_names_of_ones_own_are_no_classes(root, names):
    for name in names:
        fill(root / name, "cats", "dogs")
    with pytest.raises(DataError, match=f"{' and '.join(sorted(names))} hold the same folders"):
        read(root)


@pytest.mark.parametrize("inner", [("train",), ("train", "valid")])
def test_sets_may_lie_in_a_folder_called_train(root, inner):
    for name in inner:
        fill(root / "train" / name, "cats", "dogs")
    _, classes, n, said = read(root)
    assert (classes, said) == (["cats", "dogs"], [])
    assert n == ((12, 12, 0) if len(inner) > 1 else (10, 2, 0))


@pytest.mark.parametrize("names", [("test", "control"), ("Training", "Rest")])
def test_classes_may_be_called_like_sets_without_validation(root, names):
    for name in names:
        fill(root / name, "monday", "tuesday")
    assert read(root)[1] == sorted(names)


def test_a_validation_set_whose_name_is_misspelt_is_named(root):
    for part in ("train", "vaild"):
        fill(root / part, "cats", "dogs")
    ((path, why),) = read(root)[0].skipped
    assert path == "vaild" and "if it is a set of its own, call it valid" in why


@pytest.mark.parametrize(("full", "empty"), [("val", "valid"), ("valid", "validation")])
def test_of_two_folders_for_a_set_the_one_with_pictures_counts(root, full, empty):
    for part in ("train", full):
        fill(root / part, "cats", "dogs")
    fill(root / empty, "cats", "dogs", n=0)
    fill(root, empty, n=1)  # a cover
    images, _, n, _ = read(root)
    assert n == (12, 12, 0) and all(file.startswith(f"{full}/") for file in images.valid_files)
    assert [path for path, _ in images.skipped] == [empty]


@pytest.mark.parametrize("name", [".foxes", "~foxes"])
def test_a_class_folder_that_is_hidden_is_named(root, name):
    fill(root, "cats", "dogs", name)
    fill(root, ".ipynb_checkpoints", "@eaDir")  # nobody's class
    fill(root / "cats", ".picasaoriginals")
    (root / ".git").mkdir()
    images, classes, _, _ = read(root)
    assert classes == ["cats", "dogs"]
    assert images.skipped == [(name, "is not looked at: . and ~ begin hidden names")]


def test_classes_that_differ_by_a_letter_of_no_width_are_told_apart_aloud(root):
    fill(root, "cat", "cat\u200b", "dog")
    (said,) = read(root)[3]
    assert "'cat' and 'cat\\u200b'" in said and "count as 2 classes" in said
