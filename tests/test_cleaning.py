"""Decisions about single pictures: kept beside the folder, applied wherever it is read."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lessonkit import data
from lessonkit.__main__ import main
from lessonkit.data import DataError
from lessonkit.images import cleaning
from lessonkit.images.cleaning import Cleaning

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def root(tmp_path):
    """Two classes of ten pictures, each of its own shade."""
    root = tmp_path / "my_pictures"
    for label, start in (("cat", 0), ("dog", 100)):
        (root / label).mkdir(parents=True)
        for i in range(10):
            Image.new("L", (20, 20), start + 5 * i).save(root / label / f"{i}.png")
    return root


def read(root, **more):
    return data.from_folder(root, size=16, **more)


def labels(images):
    files, numbers = images.train_files + images.valid_files, [*images.train.labels]
    numbers += images.valid.labels
    return {file: images.classes[k] for file, k in zip(files, numbers, strict=True)}


def test_decisions_are_written_beside_the_folder_and_nothing_inside_changes(root):
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    file = cleaning.write(root, Cleaning(("cat/1.png",), {"dog/2.png": "cat"}))
    assert file == root.with_name("my_pictures.cleaning.json") and file.is_file()
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before
    assert cleaning.read(root) == Cleaning(("cat/1.png",), {"dog/2.png": "cat"})


def test_a_picture_is_dropped_or_relabelled_but_not_both(root):
    with pytest.raises(ValueError, match="is both dropped and given another class"):
        cleaning.write(root, Cleaning(("cat/1.png",), {"cat/1.png": "dog"}))
    assert cleaning.read(root) == Cleaning()


def test_the_folder_may_be_named_by_any_path(root, monkeypatch):
    monkeypatch.chdir(root)
    assert (
        cleaning.file_beside(".") == cleaning.file_beside(f"{root}/") == cleaning.file_beside(root)
    )


def test_without_a_file_there_are_no_decisions_and_none_leave_no_file(root):
    assert cleaning.read(root) == Cleaning() and not Cleaning()
    file = cleaning.write(root, Cleaning(("cat/1.png",)))
    cleaning.write(root, Cleaning())
    assert not file.exists()


def test_dropped_pictures_are_gone_and_named_and_relabelled_ones_change_class(root):
    cleaning.write(root, Cleaning(("cat/1.png", "dog/3.png"), {"dog/2.png": "cat"}))
    images = read(root)
    assert images.cleaned == "my_pictures.cleaning.json: 2 dropped, 1 relabelled"
    assert images.cleaned in repr(images)
    why = "was dropped by my_pictures.cleaning.json"
    assert images.skipped == [("cat/1.png", why), ("dog/3.png", why)]
    found = labels(images)
    assert len(found) == 18 and found["dog/2.png"] == "cat"
    assert all(label == file[:3] for file, label in found.items() if file != "dog/2.png")


def test_the_others_stay_in_their_set_with_their_pixels(root):
    before = read(root)
    cleaning.write(root, Cleaning((before.train_files[0],), {before.valid_files[0]: "dog"}))
    after = read(root)
    assert after.train_files == before.train_files[1:]
    assert sorted(after.valid_files) == sorted(before.valid_files)
    assert np.array_equal(after.train.images, before.train.images[1:])
    assert after.key != before.key and after.resized(32).cleaned == after.cleaned


def test_one_may_look_at_the_folder_as_if_nothing_had_been_decided(root):
    before = read(root)
    cleaning.write(root, Cleaning(("cat/1.png",)))
    again = read(root, clean=False)
    assert (again.key, again.cleaned, again.skipped) == (before.key, "", [])
    assert again.resized(32).cleaned == ""


def test_pictures_that_are_gone_are_named_and_the_rest_holds(root):
    cleaning.write(root, Cleaning(("cat/1.png", "cat/2.png"), {"dog/2.png": "cat"}))
    (root / "cat" / "1.png").unlink()
    (root / "dog" / "2.png").unlink()
    line = read(root).cleaned
    assert line.startswith("my_pictures.cleaning.json: 1 dropped, 0 relabelled; 2 no longer there")
    assert line.endswith("cat/1.png, dog/2.png")


def test_a_class_that_no_folder_has_is_a_slip(root):
    cleaning.write(root, Cleaning((), {"dog/2.png": "cta"}))
    with pytest.raises(DataError, match="the class cta, which no folder has; there are cat, dog"):
        read(root)


def test_decisions_that_leave_one_class_get_the_usual_sentence(root):
    cleaning.write(root, Cleaning(tuple(f"cat/{i}.png" for i in range(10))))
    with pytest.raises(DataError, match=r"two classes or more.*only dog"):
        read(root)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"version": 2, "drop": [], "relabel": {}}',
        b'{"version": 1, "drop": "cat/1.png", "relabel": {}}',
        b'{"version": 1, "drop": [1], "relabel": {}}',
        b'{"version": 1, "drop": [], "relabel": {"cat/1.png": null}}',
        b'{"version": 1, "drop": ["cat/1.png"], "relabel": {"cat/1.png": "dog"}}',
    ],
)
def test_a_damaged_file_gets_a_sentence_that_says_what_to_do(root, content, capsys):
    cleaning.file_beside(root).write_bytes(content)
    with pytest.raises(DataError, match=r"cleaning\.json can't be used .*correct it, or delete it"):
        read(root)
    assert main(["check", str(root)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_an_editor_has_saved_with_a_mark_is_read(root):
    file = cleaning.write(root, Cleaning(("cat/1.png",)))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert cleaning.read(root).drop == ("cat/1.png",)


def test_writing_that_fails_leaves_the_old_decisions(root, monkeypatch):
    file = cleaning.write(root, Cleaning(("cat/1.png",)))

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", full_disk)
        with pytest.raises(OSError):
            cleaning.write(root, Cleaning(("cat/2.png",)))
    assert cleaning.read(root).drop == ("cat/1.png",)
    assert [path.name for path in root.parent.glob("*cleaning*")] == [file.name]


def test_names_that_are_no_text_survive(root):
    odd = Cleaning(("cat/Bär 猫\n.png", "cat/bad\udcff.png"))
    cleaning.write(root, odd)
    assert set(cleaning.read(root).drop) == set(odd.drop)


def test_a_folder_with_a_split_is_cleaned_by_paths_below_it(root, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(root, split / "train")
    shutil.copytree(root, split / "valid")
    cleaning.write(split, Cleaning(("valid/cat/1.png",)))
    images = read(split)
    assert (len(images.train.labels), len(images.valid.labels)) == (20, 19)


def test_the_command_line_says_what_was_cleaned(root, capsys):
    cleaning.write(root, Cleaning(("cat/1.png",), {"dog/2.png": "cat"}))
    assert main(["check", str(root)]) == 0
    said = capsys.readouterr().out
    assert "cat/1.png was dropped by my_pictures.cleaning.json" in said
    assert "my_pictures.cleaning.json: 1 dropped, 1 relabelled" in said
