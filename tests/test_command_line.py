"""`python -m lessonkit`: what it prints and writes, and that a mistake costs one line only."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lessonkit.__main__ import main
from lessonkit.recipe import Report
from tests.test_recipe import NAMES
from tests.tiny import coloured

ROOT = Path(__file__).resolve().parent.parent
KEYS = {
    "accuracy", "accuracy_tta", "seconds", "classes", "n_train", "n_valid", "steps", "skipped",
}  # fmt: skip


def command(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lessonkit", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
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
    done = command(
        "train", photos, "--size", 32, "--out", "model.pt", "--report", "report.json", cwd=folder
    )
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


def test_predict_names_path_class_and_probability(trained, photos):
    _, folder = trained
    files = [photos / "green" / "3.png", photos / "rot und blau" / "4.png"]
    done = command("predict", folder / "model.pt", *files)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == list(map(str, files))
    assert [row[1] for row in rows] == ["green", "rot und blau"]
    assert all(0.5 < float(row[2]) <= 1 for row in rows)
    assert (done.returncode, done.stderr) == (0, "")


def test_predict_as_json_with_tta_goes_on_after_a_bad_picture(trained, photos, capsys):
    _, folder = trained
    bad, good = photos / "green" / "broken.jpg", photos / "green" / "1.png"
    status = main(["predict", str(folder / "model.pt"), str(bad), str(good), "--json", "--tta"])
    out, err = capsys.readouterr()
    (answer,) = json.loads(out)
    assert answer["path"] == str(good) and answer["class"] == "green"
    assert status == 2 and err.count("\n") == 1 and "broken.jpg is empty" in err


def test_check_says_what_would_be_left_out(photos, capsys):
    assert main(["check", str(photos)]) == 0
    out = capsys.readouterr().out
    assert "green/broken.jpg is empty" in out and "1 file(s) would be left out" in out
    assert "green: 11 for training, 3 for validation" in out


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
    "seed": (["train", "PHOTOS", "--seed", "-1"], "from 0 on"),
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


def test_ctrl_c_ends_training_with_a_sentence(photos, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lessonkit", "train", str(photos), "--size", "64"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()  # what was read
    process.stdout.readline()  # a note of the first training step
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "topped" in err and "Traceback" not in err
    if kept := [path.name for path in tmp_path.iterdir()]:  # a step had already ended
        assert kept == ["model.pt.resume"] and "--resume" in err
    else:
        assert "Nothing was written" in err


@pytest.mark.parametrize("name", ["train", "predict", "check"])
def test_help_explains_every_option(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    usage, _, details = capsys.readouterr().out.partition("positional arguments:")
    options = set(re.findall(r"--[a-z]+", usage)) | {"-h"}
    lines = re.split(r"\n  (?=\S)", details.partition("\n\n")[0] + details.partition("options:")[2])
    explained = {line.split()[0].strip(",") for line in lines if re.search(r"\S\s{2,}\S", line)}
    assert options <= explained


def test_names_that_a_terminal_cannot_show_stop_nothing(tmp_path):
    for label in ("Bär", "猫"):
        (tmp_path / label).mkdir()
        for i in range(4):
            Image.new("RGB", (20, 20)).save(tmp_path / label / f"{i}.png")
        (tmp_path / label / "😺.jpg").write_bytes(b"")
    done = command("check", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"\u732b/\U0001f63a.jpg is empty" in done.stdout
    assert r"B\xe4r: 3 for training, 1 for validation" in done.stdout


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
