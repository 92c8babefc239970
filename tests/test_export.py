"""A model as ONNX: the same answers without PyTorch, and an example that serves them."""

import io
import json
import os
import runpy
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import chdir, redirect_stderr, redirect_stdout
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from lessonkit import augment, models
from lessonkit.__main__ import main
from lessonkit.course.datasets import embedded
from lessonkit.export import to_onnx
from lessonkit.images import as_pictures as pictures
from lessonkit.images import decode
from lessonkit.learner import Learner
from tests.cases import files
from tests.test_command_line import command, replaced_only_when_asked
from tests.tiny import coloured, save_model

ROOT = Path(__file__).resolve().parent.parent
SIZE = 48
PHOTOS = sorted(embedded.creatures_folder().glob("*/*.jpg"))[::13][:7]
CLASSES = ["bird", "Säugetier", "猫\udcff"]  # the last with a byte that is no text


def network(made_by):
    """One whose answers differ from picture to picture."""
    if made_by == "small_cnn":
        model = models.small_cnn(3, 8).train()
        for _ in range(30):  # fills BatchNorm's statistics
            model(pictures.read_pictures(PHOTOS, SIZE))
    else:
        model = models.pretrained("tf_efficientnet_lite0", 3)
    spread = {"small_cnn": 1.0, "pretrained": 0.1}[made_by]
    nn.init.normal_(model[-1].weight, std=spread, generator=torch.Generator().manual_seed(2))
    return model.eval()


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several that wait for each other take a busy core for long
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=["small_cnn", "pretrained"])
def exported(request, tmp_path_factory):
    """A model file, what `export` wrote from it, and what it printed."""
    folder = tmp_path_factory.mktemp("models")
    model = network(request.param)
    save_model(folder / "model.pt", model, CLASSES, SIZE, augment.side_on())
    arguments = ["export", "model.pt", "model.onnx"]
    if request.param == "small_cnn":
        out, err = io.StringIO(), io.StringIO()
        with chdir(folder), redirect_stdout(out), redirect_stderr(err):
            said = main(arguments), out.getvalue(), err.getvalue()
    else:
        done = command(folder, *arguments)
        said = done.returncode, done.stdout, done.stderr
    return folder / "model.pt", folder / "model.onnx", said


def test_export_says_one_sentence_and_leaves_one_file(exported):
    model, onnx_file, said = exported
    assert said == (0, "The ONNX model is in model.onnx.\n", "")
    assert set(onnx_file.parent.iterdir()) == {model, onnx_file}


@pytest.mark.parametrize("n", [1, 2, 7])
def test_onnxruntime_gives_the_same_probabilities_for_photos(exported, n):
    model, onnx_file, _ = exported
    learn = Learner.load(model, device="cpu")
    photos = pictures.read_pictures(PHOTOS[:n], SIZE)
    (found,) = session_of(onnx_file).run(None, {"images": photos.numpy()})
    expected = learn.predict(photos).numpy()
    assert found.dtype == np.float32 and found.shape == (n, 3)
    assert np.abs(found - expected).max() < 1e-4
    assert (found.argmax(1) == expected.argmax(1)).all()
    assert n == 1 or expected.std(0).max() > 0.01  # else a constant would do


def test_inputs_outputs_and_metadata_say_how_to_use_it(exported):
    session = session_of(exported[1])
    ((images,), (probabilities,)) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type) == ("images", "tensor(uint8)")
    assert isinstance(images.shape[0], str) and images.shape[1:] == [3, SIZE, SIZE]
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape == [images.shape[0], 3]
    about = session.get_modelmeta().custom_metadata_map
    assert set(about) == {"classes", "size", "description"}
    assert json.loads(about["classes"]) == CLASSES and int(about["size"]) == SIZE
    assert "uint8 RGB" in about["description"] and "\n" not in about["description"]


def test_the_file_is_valid_and_names_no_place_on_this_machine(exported):
    onnx.checker.check_model(onnx.load(exported[1]), full_check=True)
    contents = exported[1].read_bytes()
    places = [ROOT, Path.home(), sys.prefix, Path(torch.__file__).parent, exported[1].parent]
    names = [str(place) for place in places if str(place) != os.sep]
    for name in [*names, "site-packages", "lessonkit/", 'File "', "Traceback", ".py"]:
        assert name.encode() not in contents, name


def test_a_network_in_the_middle_of_training_is_exported_and_stays_as_it_was(tmp_path):
    learn = Learner(network("small_cnn").train(), coloured(size=SIZE), device="cpu")
    before = {name: tensor.clone() for name, tensor in learn.model.state_dict().items()}
    to_onnx(learn, tmp_path / "model.onnx")
    assert learn.model.training
    assert all(torch.equal(before[name], now) for name, now in learn.model.state_dict().items())
    photos = pictures.read_pictures(PHOTOS, SIZE)
    (found,) = session_of(tmp_path / "model.onnx").run(None, {"images": photos.numpy()})
    assert np.abs(found - learn.predict(photos).numpy()).max() < 1e-4  # BatchNorm as in eval mode


MISTAKES = {
    "no model": (["nowhere.pt", "m.onnx"], "no model file nowhere.pt"),
    "no model file": ([str(PHOTOS[0]), "m.onnx"], "not a model saved by lessonkit"),
    "no folder": (["MODEL", "nowhere/m.onnx"], "no folder nowhere"),
    "a folder": (["MODEL", "."], "is a folder"),
    "onto the model": (["MODEL", "MODEL"], "take the place of the model"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_costs_one_line_and_status_2(kind, exported, tmp_path, monkeypatch, capsys):
    arguments, words = MISTAKES[kind]
    before = exported[0].read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["export", *[a.replace("MODEL", str(exported[0])) for a in arguments]]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err
    assert not list(tmp_path.iterdir()) and exported[0].read_bytes() == before


def test_what_is_there_is_replaced_only_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model.pt", models.small_cnn(2, 2), ["one", "two"], 16, augment.none())
    replaced_only_when_asked(["export", "model.pt", "labels.txt"], capsys)


class Stubborn(nn.Module):
    """Can't be traced: which way it goes depends on the values."""

    def forward(self, images):
        means = images.float().mean((2, 3))
        return means if means.mean() > 100 else -means


class Forgetful(nn.Module):
    """Computes something else once it is traced."""

    def forward(self, images):
        scale = 1.0 if torch.compiler.is_compiling() else 2.0
        return images.float().mean((2, 3)) * scale


@pytest.mark.parametrize("kind, words", [(Stubborn, "can't be"), (Forgetful, "other probab")])
def test_an_export_that_fails_or_differs_writes_nothing(kind, words, tmp_path, capfd):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"the older one")
    learn = Learner(models.LayerGroups(kind(), nn.Identity()), coloured(), device="cpu")
    with pytest.raises(ValueError, match=words) as mistake:
        to_onnx(learn, target)
    assert "\n" not in str(mistake.value) and "Nothing was written" in str(mistake.value)
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"the older one"
    assert capfd.readouterr() == ("", "")


def test_a_learner_that_never_had_pictures_says_why_it_cannot_be_exported(tmp_path):
    with pytest.raises(ValueError, match=r"no classes yet: learn\.set_data"):
        to_onnx(Learner(models.small_cnn(3, 4), None, device="cpu"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_the_way_to_install_them(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it weren't there
    learn = Learner.load(exported[0], device="cpu")
    with pytest.raises(ValueError, match=r"needs the package onnxscript.*pip install"):
        to_onnx(learn, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


# The example that serves it

one_is_enough = pytest.mark.parametrize("exported", ["small_cnn"], indirect=True)


@pytest.fixture(scope="module")
def server(exported):
    """The address at which examples/serve.py serves the exported model."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "serve.py", exported[1], "0"],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    try:
        line = process.stdout.readline()
        assert r"bird, Säugetier, 猫\udcff at http://127.0.0.1:" in line
        yield line.split()[-1]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@one_is_enough
@pytest.mark.parametrize(
    ("contents", "port", "words"),
    [(None, "99999", "no port"), (b"no network", "0", "no classifier"), (None, "taken", "Port")],
)
def test_the_server_says_in_a_sentence_why_it_does_not_start(
    exported, tmp_path, server, contents, port, words
):
    model = exported[1]
    if contents:
        model = tmp_path / "bad.onnx"
        model.write_bytes(contents)
    port = server.rpartition(":")[2] if port == "taken" else port
    command = [sys.executable, ROOT / "examples" / "serve.py", model, port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1


def post(address, contents):
    with urllib.request.urlopen(address, data=contents, timeout=30) as response:
        return response.status, json.load(response)


def test_the_server_answers_as_predict_does(server, exported):
    learn = Learner.load(exported[0], device="cpu")
    for photo in PHOTOS[:3]:
        status, answer = post(server, photo.read_bytes())
        expected = learn.predict([photo])[0]
        assert status == 200 and list(answer["probabilities"]) == CLASSES
        found = torch.tensor(list(answer["probabilities"].values()))
        assert (found - expected).abs().max() < 1e-4
        assert answer["class"] == CLASSES[int(expected.argmax())]


@one_is_enough
@pytest.mark.parametrize("contents", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
def test_the_server_refuses_what_is_no_picture_and_goes_on(server, contents):
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, contents)
    assert refused.value.code == 400
    assert json.load(refused.value)["error"].startswith("Send a picture")
    assert post(server, PHOTOS[0].read_bytes())[0] == 200


@one_is_enough
def test_the_server_reads_no_endless_body(server):
    connection = HTTPConnection(server.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()


def noise(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (61, 97, 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


@pytest.fixture(scope="module")
def square(exported):
    """serve.py's own decoding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["serve.py", str(exported[1]), "0"])
        return runpy.run_path(str(ROOT / "examples" / "serve.py"))["square"]


@one_is_enough
@pytest.mark.parametrize("turned", [1, 6, 7])
@pytest.mark.parametrize(
    "mode, suffix",
    [("RGB", "jpg"), ("RGB", "png"), ("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("LA", "png"),
     ("CMYK", "jpg"), ("1", "png"), ("RGBA", "webp"), ("RGB", "tiff")],
)  # fmt: skip
def test_the_server_sees_the_same_pixels(square, tmp_path, mode, suffix, turned):
    path, exif = tmp_path / f"picture.{suffix}", Image.Exif()
    exif[0x112] = turned
    noise(mode).save(path, exif=exif)
    found = square(path.read_bytes())[0].transpose(1, 2, 0)
    assert np.array_equal(found, decode.decode(path, SIZE))


@one_is_enough
def test_the_server_turns_photos_whatever_other_tags_hold(square, tmp_path):
    path, unwritable = tmp_path / "x.jpg", struct.pack("<ii", -1, 0)  # a resolution of -1/0
    noise("RGB").save(path, exif=files.exif((274, 3, 1, 6), (282, 10, 1, 38)) + unwritable)
    found = square(path.read_bytes())[0].transpose(1, 2, 0)
    assert np.array_equal(found, decode.decode(path, SIZE))


@one_is_enough
def test_the_server_takes_an_alpha_of_zero_for_none(square, tmp_path):
    image = noise("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "x.png")
    found = square((tmp_path / "x.png").read_bytes())[0].transpose(1, 2, 0)
    assert np.array_equal(found, decode.decode(tmp_path / "x.png", SIZE)) and found.std() > 1
