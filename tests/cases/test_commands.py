"""The command line among odd names, closed outputs and wrong variables."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from lessonkit import Learner, augment, models, recipe
from lessonkit.__main__ import main
from lessonkit.training import processes
from tests.tiny import coloured, creatures_folder, save_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model of two classes in the folder that one is in, with a picture beside it."""
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.pt", models.small_cnn(2, 4), ["cat", "d\tog"], 16, augment.none())
    Image.new("RGB", (20, 20)).save(tmp_path / "1.png")
    return "m.pt"


EMPTY = [
    ["check", ""],
    ["train", ""],
    ["train", "x", "--out", ""],
    ["predict", "m.pt", ""],
    ["predict", "", "1.png"],
    ["predict", "m.pt", "1.png", "--csv", ""],
    ["export", "m.pt", ""],
]


@pytest.mark.parametrize("arguments", EMPTY, ids=" ".join)
def test_an_empty_name_is_not_the_folder_one_is_in(arguments, model, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    assert end.value.code == 2 and "a name is needed, not ''" in said.err and not said.out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="such names aren't allowed there")
@pytest.mark.parametrize("name", ["a\nb", "tab\tx", "\x1b[31mred", "\r", "\x9b1m", "\x7f"])
def test_a_name_stays_in_its_line_and_commands_no_terminal(name, model, capsys):
    os.mkdir("odd")
    os.rename("1.png", f"odd/{name}.png")
    assert main(["predict", model, "odd"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    path, label, _ = line.split("\t")
    assert path.encode().decode("unicode_escape") == f"odd/{name}.png" and path.isprintable()
    assert label in ("cat", r"d\tog")
    Path(f"odd/{name}.png").write_bytes(b"")
    assert main(["predict", model, "odd"]) == 2
    assert capsys.readouterr().err == f"lessonkit: {path} is empty (0 bytes).\n"


def test_a_name_in_any_script_is_shown_as_it_is(model, capsys):
    os.rename("1.png", "Bär 猫😺\u202f1.png")
    assert main(["predict", model, "Bär 猫😺\u202f1.png"]) == 0
    assert capsys.readouterr().out.startswith("Bär 猫😺\u202f1.png\t")


@pytest.mark.skipif(sys.platform == "win32", reason="another shell")
def test_outputs_that_are_closed_stop_nothing(model, tmp_path):
    arguments = [sys.executable, "-m", "lessonkit", "predict", model, "1.png", "--csv", "t.csv"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[1].startswith("1.png,")


def test_a_folder_is_not_said_to_be_missing(model, capsys):
    os.mkdir("folder.pt")
    assert main(["predict", "folder.pt", "1.png"]) == 2
    assert "no model file folder.pt: that is a folder" in capsys.readouterr().err


TWO = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORLD_SIZE", "two"),
        ("WORLD_SIZE", "2.0"),
        ("WORLD_SIZE", "-1"),
        ("RANK", ""),
        ("RANK", "x"),
        ("RANK", "2"),  # of two, 0 and 1: it used to wait for ten minutes
        ("LOCAL_RANK", "x"),
        ("MASTER_PORT", "abc"),
        ("MASTER_PORT", "99999"),
    ],
)
def test_a_variable_that_is_set_wrongly_is_named(name, value, monkeypatch):
    for known, good in {**TWO, name: value}.items():
        monkeypatch.setenv(known, good)

    def never(*_, **__):
        raise AssertionError("it must not wait for others")

    monkeypatch.setattr(processes.dist, "rendezvous", never)
    wrong = f"variable {name} is '{value}', not a whole number"
    with pytest.raises(ValueError, match=wrong), processes.joined():
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="signals end processes in another way there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_waits_for_others_can_be_stopped(number):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "lessonkit", "train", "nowhere"],
        env={**os.environ, **TWO, "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)},
    )
    try:
        ends = time.monotonic() + 120
        with socket.socket() as other:
            while other.connect_ex(("127.0.0.1", port)):  # until it waits there
                assert process.poll() is None and time.monotonic() < ends
                time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(20) == -number
    finally:
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="such names aren't allowed there")
@pytest.mark.parametrize("odd", ["\x1b[31m", "\u202e", "\n"])
def test_no_sentence_commands_the_terminal(odd, tmp_path, monkeypatch, capsys):
    """Names stand in remarks, in what is left out, in warnings and in errors."""
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "set" / f"{label}{odd}").mkdir(parents=True)
        for name in "abc":  # copies of one another
            Image.new("RGB", (20, 20)).save(tmp_path / "set" / f"{label}{odd}" / f"{name}.png")
    (tmp_path / "set" / f"cat{odd}" / f"{odd}.png").write_bytes(b"")
    (tmp_path / "set" / f"cow{odd}").mkdir()
    assert main(["check", "set"]) == 0
    assert main(["check", f"no{odd}where"]) == 2
    assert main(["train", "set", "--out", f"no{odd}where/model.pt"]) == 2
    said = capsys.readouterr()
    name = ascii(odd)[1:-1]
    for sentence in (f"cat{name}/{name}.png is empty", f"in two classes at once, such as cat{name}",
                     f"cow{name} is not a class", f"no folder no{name}where"):  # fmt: skip
        assert sentence in said.out + said.err
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())


def test_the_table_of_a_training_commands_no_terminal(tmp_path, monkeypatch, capsys):
    learn = Learner(models.small_cnn(3, 2), coloured(), device="cpu")
    made = SimpleNamespace(learner=learn, table=lambda: "always\nsaying \x1b[31mred\x07")
    monkeypatch.setattr(recipe, "eight_steps", lambda *_, **__: made)
    (tmp_path / "photos").mkdir()
    creatures_folder(tmp_path / "photos", 4)
    assert main(["train", str(tmp_path / "photos"), "--out", str(tmp_path / "m.pt")]) == 0
    assert "always\nsaying \\x1b[31mred\\x07\n" in capsys.readouterr().out
