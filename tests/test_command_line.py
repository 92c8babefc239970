"""`python -m lessonkit`: what it prints and writes, and that a mistake costs one line only."""

import csv
import importlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lessonkit import Learner, augment, models
from lessonkit import __main__ as command_line
from lessonkit.__main__ import main
from lessonkit.course import look
from lessonkit.files import cache as kept_files
from lessonkit.images import decode
from lessonkit.machine import progress
from lessonkit.recipe import Report
from lessonkit.training import distributed, processes
from tests import small_train
from tests.test_recipe import NAMES
from tests.tiny import coloured, save_model

ROOT = Path(__file__).resolve().parent.parent
KEYS = {
    "accuracy", "accuracy_tta", "seconds", "classes", "n_train", "n_valid", "steps", "skipped",
}  # fmt: skip


def command(folder, *arguments):
    """`python -m lessonkit` in a process of its own, in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "lessonkit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of 14 noisy one-coloured pictures, and one file that is none."""
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for label, channel in (("green", 1), ("rot und blau", 0)):
        (root / label).mkdir()
        for i in range(14):
            pixels = generator.integers(0, 120, (32, 32, 3))
            pixels[..., channel] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{i}.png")
    (root / "green" / "broken.jpg").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """One run of `train`: the process that ended, and the folder it wrote to."""
    folder = tmp_path_factory.mktemp("out")
    arguments = ["train", photos, "--size", "32", "--out", "model.pt", "--report", "report.json"]
    done = command(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done, folder


def test_train_writes_a_model_a_report_and_a_table(trained):
    done, folder = trained
    assert {path.name for path in folder.iterdir()} == {"model.pt", "report.json"}
    text = (folder / "report.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(report) == KEYS
    assert [step["name"] for step in report["steps"]] == NAMES
    assert all({"name", "lr", "accuracy", "seconds"} <= set(step) for step in report["steps"])
    assert report["classes"] == ["green", "rot und blau"]
    assert (report["n_train"], report["n_valid"]) == (22, 6)
    assert report["skipped"] == [{"path": "green/broken.jpg", "why": "is empty (0 bytes)"}]
    assert report["accuracy"] > 0.7
    assert all(name in done.stdout for name in NAMES) and "model.pt" in done.stdout
    assert "left out: green/broken.jpg is empty" in done.stderr
    assert "\r" not in done.stdout + done.stderr  # bars are for terminals


def test_what_training_says_can_be_read(trained):
    done, folder = trained
    lines = done.stderr.splitlines()
    steps = [i for i, line in enumerate(lines) if line[:1].isdigit()]
    assert [lines[i] for i in steps] == [f"{n} {name}" for n, name in enumerate(NAMES, 1)]
    for start, end in zip(steps, [*steps[1:], len(lines)], strict=True):
        below = lines[start + 1 : end]  # a fit's epochs come after the step's name, and are few
        assert all(line.startswith("   ") for line in below) and "accuracy" in below[-1]
    fits = [line for line in lines[steps[2] : steps[3]] if "epoch 60" in line]
    assert len(fits) == 1 and "LR" in fits[0] and "valid loss" in fits[0]
    assert "learn." not in done.stdout + done.stderr  # Python is for notebooks
    table = done.stdout.splitlines()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert f"{report['accuracy_tta']:.3f}" in next(x for x in table if "test-time" in x)
    assert f"{report['seconds']:.1f}" in next(x for x in table if "all 8 steps" in x)
    (ratios,) = (line for line in table if line.startswith("6 "))
    assert "e-0" not in ratios and "1.0e+00" not in done.stdout


def test_held_out_pictures_say_what_new_ones_may_expect(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", str(photos), "--size", "32", "--hold-out", "0.25", "--report", "r.json"]
    with small_train.small():
        assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Pictures: 16 for training, 6 for validation, 6 for the result; 2 classes" in out
    assert "on the 6 test pictures, which chose nothing" in out
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (report["n_train"], report["n_valid"], report["n_test"]) == (16, 6, 6)
    assert f"Result: {report['accuracy_test']:.3f} on" in " ".join(out.split())


def test_a_folder_with_a_test_set_needs_none_held_out(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for part in ("train", "valid", "test"):
        shutil.copytree(photos, tmp_path / "sets" / part)
    assert main(["train", "sets", "--size", "32", "--hold-out", "0.2"]) == 2
    assert "sets has a test set of its own: leave out --hold-out" in capsys.readouterr().err


def test_a_model_is_not_replaced_without_a_word(trained, photos, capsys, monkeypatch):
    _, folder = trained
    monkeypatch.chdir(folder)
    before = (folder / "model.pt").read_bytes()
    assert main(["train", str(photos), "--size", "32"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "model.pt exists" in err and "--force" in err
    assert main(["train", str(photos), "--out", "m.pt", "--report", "report.json"]) == 2
    assert "report.json exists" in capsys.readouterr().err

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lessonkit.recipe.eight_steps", stopped)
    assert main(["train", str(photos), "--size", "32", "--force"]) == 130  # it has begun
    assert "Nothing was written" in capsys.readouterr().err
    assert (folder / "model.pt").read_bytes() == before


def test_predict_names_path_class_and_probability(trained, photos, capfd):
    _, folder = trained
    files = [str(photos / "green" / "3.png"), str(photos / "rot und blau" / "4.png")]
    assert main(["predict", str(folder / "model.pt"), *files]) == 0
    out, err = capfd.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == files
    assert [row[1] for row in rows] == ["green", "rot und blau"]
    assert all(0.5 < float(row[2]) <= 1 for row in rows) and err == ""


def test_predict_as_json_with_tta_goes_on_after_a_bad_picture(trained, photos, capsys):
    _, folder = trained
    bad, good = photos / "green" / "broken.jpg", photos / "green" / "1.png"
    status = main(["predict", str(folder / "model.pt"), str(bad), str(good), "--json", "--tta"])
    out, err = capsys.readouterr()
    (answer,) = json.loads(out)
    assert answer["path"] == str(good) and answer["class"] == "green"
    assert status == 2 and err.count("\n") == 1 and "broken.jpg is empty" in err
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["probabilities"]["green"] == answer["probability"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A model file that was trained on nothing, so that it costs nothing."""
    path = tmp_path_factory.mktemp("quick") / "model.pt"
    classes, network = ["猫, gross", "dog"], models.small_cnn(2, 2)
    save_model(path, network, classes, 16, augment.side_on())
    return path


def test_predict_looks_into_folders_and_writes_a_table(quick, tmp_path, capsys):
    tree = tmp_path / "tree"
    names = ["1.png", "a/2.JPG", "a/b c/3.png", 'a/ü,"4".png']
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), "red").save(tree / name)
    for other in ("notes.txt", "a/.5.png", ".hidden.png"):
        (tree / other).write_bytes(b"no picture")
    status = main(["predict", str(quick), str(tree), "--csv", str(tmp_path / "out.csv")])
    out, err = capsys.readouterr()
    assert (status, out) == (0, "") and "out.csv" in err
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == sorted(str(tree / name) for name in names)
    for row in rows:
        probabilities = {name: float(row[f"p({name})"]) for name in ("猫, gross", "dog")}
        assert row["class"] == max(probabilities, key=probabilities.get)
        assert float(row["probability"]) == max(probabilities.values())
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_predict_says_what_it_leaves_out_of_a_folder(quick, tmp_path, monkeypatch, capsys):
    for name in ("1.png", "@eaDir/1.png/thumb.png", ".ipynb_checkpoints/1-checkpoint.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    monkeypatch.setattr(decode, "FORMATS", [name for name in decode.FORMATS if name != "HEIF"])
    monkeypatch.setattr(decode, "SUFFIXES", [".png"])
    (tmp_path / "2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 50)
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main(["predict", str(quick), str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(tmp_path / "1.png")]
    assert "2.HEIC needs another decoder" in err and "locked can't be opened (Perm" in err


def test_predict_answers_many_pictures_as_one_by_one(quick, tmp_path, capsys):
    generator = np.random.default_rng(1)
    for i in range(70):  # more than are read at once
        pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
    assert main(["predict", str(quick), str(tmp_path), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [Path(answer["path"]).stem for answer in answers] == [f"{i:02}" for i in range(70)]
    learn = Learner.load(quick, device="cpu")
    for answer in answers[::23]:
        alone = learn.predict([answer["path"]])[0].tolist()
        assert list(answer["probabilities"].values()) == pytest.approx(alone, abs=1e-6)


def test_patterns_are_expanded_where_the_shell_does_not(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.png", "odd[1].png"):
        Image.new("RGB", (20, 20), "red").save(name)
    assert main(["predict", str(quick), "*.png", "odd[1].png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["a.png", "b.png", "odd[1].png"]


@pytest.mark.parametrize("csv_path", ["model.pt", "x.png"])
def test_answers_never_replace_what_they_are_about(quick, tmp_path, monkeypatch, csv_path, capsys):
    monkeypatch.chdir(tmp_path)
    Path("model.pt").write_bytes(quick.read_bytes())
    Image.new("RGB", (20, 20), "red").save("x.png")
    before = Path(csv_path).read_bytes()
    assert main(["predict", "model.pt", "x.png", "--csv", f"./{csv_path}"]) == 2
    assert "take the place" in capsys.readouterr().err and Path(csv_path).read_bytes() == before


def replaced_only_when_asked(command, capsys):
    """A command that writes labels.txt: refused where that is, until it is told to replace it."""
    exists = "lessonkit: labels.txt exists: give another name, or --force to replace it.\n"
    Path("labels.txt").write_text("my own", encoding="utf-8")
    assert main(command) == 2
    assert capsys.readouterr().err.endswith(exists)
    assert Path("labels.txt").read_text(encoding="utf-8") == "my own"
    assert main([*command, "--force"]) == 0
    assert Path("labels.txt").read_bytes() != b"my own"
    assert not list(Path().glob(".*"))


def test_what_is_there_is_replaced_only_when_asked(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 20), "red").save("x.png")
    replaced_only_when_asked(["predict", str(quick), "x.png", "--csv", "labels.txt"], capsys)


linux = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="Linux has a device that is always full"
)
FULL = "lessonkit: the output: No space left on device\n"


@linux
def test_a_full_disk_under_the_output_is_named():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lessonkit", "cache"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (2, FULL)


@linux
def test_a_full_disk_under_the_help_is_named(monkeypatch, capsys):
    full = io.TextIOWrapper(io.BufferedWriter(io.FileIO("/dev/full", "w")))
    monkeypatch.setattr(sys, "stdout", full)
    assert (main(["--help"]), capsys.readouterr().err) == (2, FULL)
    with suppress(OSError):  # it tries to write once more
        full.close()


def test_the_status_is_told_even_if_no_sentence_can_be(monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "say", full)
    assert main(["check", "nowhere"]) == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-8"])
def test_json_is_json_in_every_encoding(quick, tmp_path, monkeypatch, encoding):
    files = ["em😺ji.png", "ü.png", "odd-\udcff.png" if sys.platform == "linux" else "odd.png"]
    monkeypatch.chdir(tmp_path)
    for name in files:
        Image.new("RGB", (20, 20), "red").save(tmp_path / "x.png")
        os.replace("x.png", name)
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(["predict", str(quick), *files, "--json", "--csv", "t.csv"]) == 0
    assert [answer["path"] for answer in json.loads(raw.getvalue())] == files
    table = Path("t.csv").read_text(encoding="utf-8")  # is valid, whatever the names
    assert "em😺ji.png" in table and "猫, gross" in table


def test_home_is_where_the_tilde_says(quick, tmp_path, monkeypatch, capsys):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pt").write_bytes(quick.read_bytes())
    Image.new("RGB", (20, 20), "red").save(tmp_path / "x.png")
    assert main(["predict", "~/m.pt", "~/x.png", "--csv=~/t.csv"]) == 0
    assert (tmp_path / "t.csv").is_file() and not (tmp_path / "~").exists()
    assert main(["check", "~/nowhere"]) == 2
    assert f"no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err


def test_lessonkit_is_a_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["lessonkit"].partition(":")
    assert getattr(importlib.import_module(module), function) is main


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and re.fullmatch(r"lessonkit \d+\.\d+.*\n", capsys.readouterr().out)


def test_the_cache_can_be_seen_and_cleared_and_nothing_else_goes(cache, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{cache}: 0 entries, 0.0 MB\n"
    entry = kept_files.cached(
        "images-1", lambda folder: (folder / "x").write_bytes(b"0" * 3_000_000)
    )
    (cache / "holiday").mkdir()  # somebody took a folder of their own for the cache
    (cache / "holiday" / "photo.jpg").write_bytes(b"mine")
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{cache}: 1 entry, 3.0 MB\n"
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{cache}: 1 entry, 3.0 MB removed\n"
    assert not entry.exists() and (cache / "holiday" / "photo.jpg").is_file()


def test_what_could_not_be_cleared_is_not_said_to_be_removed(cache, monkeypatch, capsys):
    for name in ("images-1", "images-2"):
        kept_files.cached(name, lambda folder: (folder / "x").write_bytes(b"0" * 3_000_000))
    honest = kept_files._remove
    monkeypatch.setattr(kept_files, "_remove", lambda f: f.name != "images-1" and honest(f))
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{cache}: 1 entry, 3.0 MB removed\n"


def test_check_says_what_would_be_left_out(photos, capsys):
    assert main(["check", str(photos)]) == 0
    out = capsys.readouterr().out
    assert "green/broken.jpg is empty" in out and "1 file would be left out" in out
    assert "green: 11 for training, 3 for validation" in out
    assert "6 pictures for validation: each is 16.7 points" in out and "copies" not in out


@pytest.mark.parametrize(
    "said",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried 9000 bytes.",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 9000 bytes.",  # Windows
        "MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB).",
    ],
)
def test_a_full_memory_costs_one_line_and_status_1(photos, monkeypatch, capsys, said):
    def full(*args):
        raise RuntimeError(said)

    monkeypatch.setattr(look, "counts", full)
    assert main(["check", str(photos)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "memory is full" in line


def test_check_counts_the_pictures_of_a_test_set(photos, tmp_path, capsys):
    for part in ("train", "valid", "test"):
        shutil.copytree(photos, tmp_path / part)
    main(["check", str(tmp_path)])
    n = sum(1 for path in (tmp_path / "test").rglob("*.png"))
    assert f"and {n} pictures in test/" in capsys.readouterr().out


def test_predict_goes_on_where_one_of_several_folders_is_empty(quick, photos, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    good = str(photos / "rot und blau")
    assert main(["predict", str(quick), good, str(tmp_path / "empty")]) == 0
    said = capsys.readouterr()
    assert f"no pictures in {tmp_path / 'empty'}" in said.err and said.out


def test_check_names_copies_and_classes_with_few_pictures(tmp_path, capsys):
    for label, colour in (("few", 0), ("many", 200)):
        (tmp_path / label).mkdir()
        for i in range(5 if label == "few" else 15):
            Image.new("RGB", (20, 20), (colour + i, 0, 0)).save(tmp_path / label / f"{i}.png")
    shutil.copy(tmp_path / "few" / "3.png", tmp_path / "many" / "copy.png")
    assert main(["check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "in two classes at once, such as few/3.png = many/copy.png (few and many)" in out
    assert "few has only 4 pictures to learn from" in out and "many has only" not in out


MISTAKES = {
    "no command": ([], "COMMAND"),
    "unknown option": (["train", "x", "--colour"], "--colour"),
    "no folder": (["train", "nowhere"], "There is no folder nowhere"),
    "size": (["train", "PHOTOS", "--size", "1"], "from 16 to 1024"),
    "size in words": (["train", "PHOTOS", "--size", "big"], "big"),
    "augment": (["train", "PHOTOS", "--augment", "wild"], "wild"),
    "arch": (["train", "PHOTOS", "--size", "32", "--arch", "resnet18x"], "did you mean"),
    "out": (["train", "PHOTOS", "--out", "nowhere/model.pt"], "no folder nowhere"),
    "out is a folder": (["train", "PHOTOS", "--out", "."], "is a folder"),
    "report": (["train", "PHOTOS", "--report", "nowhere/r.json"], "no folder nowhere"),
    "one file for both": (["train", "PHOTOS", "--out", "x", "--report", "./x"], "can't both go"),
    "hold out": (["train", "PHOTOS", "--hold-out", "0.7"], "0 to 0.5 is needed"),
    "hold out in words": (["train", "PHOTOS", "--hold-out", "some"], "not 'some'"),
    "seed": (["train", "PHOTOS", "--seed", "-1"], "from 0 on"),
    "device": (["train", "PHOTOS", "--device", "gpu"], "one of cpu, cuda, mps, not 'gpu'"),
    "missing device": (["train", "PHOTOS", "--device", "mps"], "finds no mps on this machine"),
    "no pictures": (["predict", "x.pt", "."], "There are no pictures in ."),
    "no pattern": (["predict", "x.pt", "*.gif"], "There are no pictures in *.gif"),
    "csv": (["predict", "x.pt", "PHOTOS", "--csv", "nowhere/t.csv"], "no folder nowhere"),
    "long name": (["predict", "x" * 300, "PHOTOS"], "no model file xxx"),
    "csv is a folder": (["predict", "x.pt", "PHOTOS", "--csv", "answers/"], "is a folder: give"),
    "out is a new folder": (["train", "PHOTOS", "--out", "models/"], "is a folder: give the name"),
    "long csv": (["predict", "x.pt", "PHOTOS", "--csv", "x" * 300], "File name too long"),
    "model": (["predict", "nowhere.pt", "x.jpg"], "no model file nowhere.pt"),
    "model is a picture": (["predict", "PHOTOS/green/1.png", "x.jpg"], "not a model saved by"),
    "check": (["check", "nowhere"], "There is no folder"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_costs_one_line_and_status_2(kind, photos, tmp_path, monkeypatch, capsys):
    arguments, words = MISTAKES[kind]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lessonkit"])
    try:
        status = main([a.replace("PHOTOS", str(photos)) for a in arguments])
    except SystemExit as end:  # argparse's way
        status = end.code
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("left out")]
    assert status == 2 and not list(tmp_path.iterdir())
    assert len(err) == 1 and words in err[0] and "Traceback" not in err[0]


def test_predict_names_a_linked_folder_and_takes_classes_that_are_numbers(tmp_path, capsys):
    save_model(tmp_path / "x.pt", models.small_cnn(2, width=2), [0, 1], 16, augment.none())
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 20), "red").save(tmp_path / "photos" / "one.png")
    (tmp_path / "photos" / "more").symlink_to(tmp_path)
    assert main(["predict", str(tmp_path / "x.pt"), str(tmp_path / "photos")]) == 2
    said = capsys.readouterr()
    assert said.out.split("\t")[1] in ("0", "1") and said.out.count("\n") == 1
    assert "more is a link to a folder" in said.err


def test_a_link_to_itself_is_no_reason_for_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    for command in (["train", "."], ["predict", "x.pt", "y.jpg"], ["export", "x.pt"]):
        out = {"train": ["--out", "loop"], "predict": ["--csv", "loop"]}.get(command[0], ["loop"])
        assert main([*command, *out]) == 2
        assert capsys.readouterr().err.startswith("lessonkit: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("method", "call"), [("lr_find", 1), ("fit", 2)])
def test_ctrl_c_or_a_polite_kill_ends_training_with_a_sentence(
    photos, tmp_path, monkeypatch, capfd, method, call, number
):
    original, calls = getattr(Learner, method), []

    def stopped(*args, **how):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(number)
        return original(*args, **how)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Learner, method, stopped)
    with small_train.small():
        assert main(["train", str(photos), "--size", "32"]) == 130
    kept, err = [path.name for path in tmp_path.iterdir()], capfd.readouterr().err
    assert "Stopped" in err and "Traceback" not in err
    if method == "fit":  # a step had already ended
        assert kept == ["model.pt.resume"] and "--resume" in err
    else:
        assert kept == [] and "Nothing was written" in err


@pytest.mark.skipif(sys.platform == "win32", reason="a kill isn't polite there")
def test_a_polite_kill_of_a_process_ends_it_with_a_sentence(photos, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lessonkit", "train", str(photos), "--size", "64"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()  # what was read
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopped" in err and "Traceback" not in err


def test_afterwards_warnings_and_signals_are_as_before(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = warnings.showwarning, signal.getsignal(signal.SIGTERM)
    inside = []

    def find(given, left_out):
        inside.append((warnings.showwarning, signal.getsignal(signal.SIGTERM)))
        return []

    monkeypatch.setattr(command_line, "_files", find)
    assert main(["predict", "model.pt", "nowhere"]) == 2
    assert inside[0][0] != before[0] and inside[0][1] == signal.default_int_handler
    assert (warnings.showwarning, signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(SystemExit):
        main(["--version"])
    assert (warnings.showwarning, signal.getsignal(signal.SIGTERM)) == before


def joining(rank, port, **environment):
    """`train` as the process `rank` of two that torchrun has started."""
    about = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    about |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "lessonkit", "train", "nowhere"],
        env={**os.environ, **about},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_cannot_meet_say_so_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = joining(0, taken.getsockname()[1])
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = (line for line in err.splitlines() if line.startswith("lessonkit: "))
    assert "can't reach one another" in line and "--master-port" in line
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="interfaces have other names there")
def test_a_network_interface_that_is_not_there_costs_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [joining(rank, port, GLOO_SOCKET_IFNAME="nope0") for rank in (0, 1)]
    said = "".join(process.communicate(timeout=120)[1] for process in both)
    assert [process.returncode for process in both] == [2, 2] and "Traceback" not in said
    assert said.count("lessonkit: ") == 1 and "nope0" in said and "GLOO_SOCKET_IFNAME" in said


@pytest.mark.parametrize("size", [None, "", "1"])
def test_a_process_alone_joins_nobody(monkeypatch, size):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if size is not None:
        monkeypatch.setenv("WORLD_SIZE", size)
    with processes.joined():
        assert distributed.rank() == 0


def test_what_a_silent_process_prints_need_not_fit_any_encoding(monkeypatch):
    def of_the_locale(*args, encoding="latin-1", **more):  # what Python takes in some countries
        return open(*args, encoding=encoding, **more)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "open", of_the_locale, raising=False)
    monkeypatch.setattr(processes, "_join", lambda: None)
    monkeypatch.setattr(processes, "rank", lambda: 1)
    monkeypatch.setattr(processes.dist, "destroy_process_group", lambda: None)
    with processes.joined():
        print("– 猫 \udcff")  # an LR that isn't there, and names of classes


@pytest.mark.parametrize(
    "name", ["train", "predict", "check", "export", "cache", "workbook", "progress"]
)
def test_help_explains_every_option(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    usage, _, details = capsys.readouterr().out.partition("\n\n")
    options = set(re.findall(r"--[a-z-]+", usage)) | {"-h"}
    lines = re.split(r"\n  (?=\S)", details.partition("\n\n")[0] + details.partition("options:")[2])
    explained = {line.split()[0].strip(",") for line in lines if re.search(r"\S\s{2,}\S", line)}
    assert options <= explained


def test_names_that_a_terminal_cannot_show_stop_nothing(tmp_path, monkeypatch):
    for label in ("Bär", "猫"):
        (tmp_path / label).mkdir()
        for i in range(4):
            Image.new("RGB", (20, 20)).save(tmp_path / label / f"{i}.png")
        (tmp_path / label / "😺.jpg").write_bytes(b"")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["check", str(tmp_path)]) == 0
    said = raw.getvalue().decode("ascii")
    assert r"\u732b/\U0001f63a.jpg is empty" in said
    assert r"B\xe4r: 3 for training, 1 for validation" in said


def test_a_report_is_json_whatever_the_names_of_files(tmp_path):
    skipped = [("猫/\udcff\n😺.jpg", "is empty (0 bytes)")]
    learn = SimpleNamespace(images=replace(coloured(), skipped=skipped), checkpoint=None)
    Report(learn, bar=None).write(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "猫" in text
    assert json.loads(text)["skipped"] == [{"path": skipped[0][0], "why": skipped[0][1]}]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end in another way there")
def test_a_reader_that_goes_away_costs_no_traceback(photos):
    process = subprocess.Popen(
        [sys.executable, "-m", "lessonkit", "check", str(photos)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()  # as `| head` does when it has seen enough
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141
