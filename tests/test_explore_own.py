"""The widgets for your own pictures: cleaning, upload, and the map to click on."""

import base64
import html
import io
import json
import unicodedata
import warnings

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import Learner, data, models
from lessonkit.course import explorers as explore
from lessonkit.course.datasets.earth_painting import COLOURS
from lessonkit.images import cleaning

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "my_pictures"
    for label, colour in (("cat", "red"), ("dog", "green"), ("<emu>", "blue")):
        (root / label).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (20, 20), colour).save(root / label / f"{i}.png")
    return root


def dropdowns(box):
    for child in getattr(box, "children", ()):
        if isinstance(child, widgets.Dropdown):
            yield child
        yield from dropdowns(child)


# --- Cleaning -----------------------------------------------------------------------------------


@pytest.fixture
def cleaner(root):
    images = data.from_folder(root, size=16)
    suspects = {"cat/0.png": "looks like a dog", "dog/1.png": "twice", "<emu>/2.png": "blurred"}
    return explore.cleaner(root, images, suspects)


def test_names_that_are_no_text_can_be_shown_and_decided_about(tmp_path):
    for name in ("cat/one", "cat/two", "dog/caf\udce9", "dog/two"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            Image.new("RGB", (20, 20), "red").save(tmp_path / "photos" / f"{name}.png")
        except OSError:
            pytest.skip("this file system has no such names")
    images = data.from_folder(tmp_path / "photos", size=16)
    box = explore.cleaner(tmp_path / "photos", images, {"dog/caf\udce9.png": "blurred"})
    [dropdown] = dropdowns(box)
    assert dropdown.description == "dog/caf\\udce9.png"
    json.dumps(box._repr_mimebundle_(), ensure_ascii=False).encode()
    dropdown.value = ("drop", "")
    box.save()
    assert cleaning.read(tmp_path / "photos").drop == ("dog/caf\udce9.png",)


def test_nothing_is_written_until_the_button_is_pressed(cleaner, root):
    assert repr(cleaner) == "cleaner: 3 pictures, 0 to drop, 0 to relabel"
    one, two, three = dropdowns(cleaner)
    assert "Nothing is saved yet" in cleaner.status.value
    one.value = ("relabel", "dog")
    assert "not saved yet" in cleaner.status.value
    one.value = ("keep", "")
    assert "nothing to save" in cleaner.status.value
    one.value, two.value = ("relabel", "dog"), ("drop", "")
    assert repr(cleaner) == "cleaner: 3 pictures, 1 to drop, 1 to relabel"
    assert not cleaning.file_beside(root).exists()
    assert "not saved yet" in cleaner.status.value
    cleaner.button.click()
    saved = cleaning.Cleaning(("dog/1.png",), {"cat/0.png": "dog"})
    assert cleaning.read(root) == saved
    assert "1 dropped, 1 relabelled" in cleaner.status.value
    assert three.value == ("keep", "")


def test_deciding_by_name_is_what_the_controls_do(cleaner, root):
    cleaner.decide("cat/0.png", "<emu>")
    cleaner.decide("dog/1.png")
    cleaner.save()
    assert cleaning.read(root) == cleaning.Cleaning(("dog/1.png",), {"cat/0.png": "<emu>"})
    with pytest.raises(KeyError):
        cleaner.decide("cat/3.png")
    with pytest.raises(ValueError, match="'lynx' is none of the classes"):
        cleaner.decide("cat/0.png", "lynx")


def test_it_stays_with_its_folder(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    images = data.from_folder(root.name, size=16)
    cleaner = explore.cleaner(root.name, images, {"cat/0.png": "looks like a dog"})
    monkeypatch.chdir(root)
    cleaner.decide("cat/0.png")
    cleaner.save()
    assert cleaning.read(root).drop == ("cat/0.png",)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises((OSError, ValueError)):
        cleaner.save()
    assert "Not saved" in cleaner.status.value


def test_decisions_from_before_stay(cleaner, root):
    cleaning.write(root, cleaning.Cleaning(("dog/4.png",), {"cat/0.png": "dog"}))
    cleaner.decide("dog/1.png")
    cleaner.save()
    saved = cleaning.Cleaning(("dog/1.png", "dog/4.png"), {"cat/0.png": "dog"})
    assert cleaning.read(root) == saved
    cleaner.decide("cat/0.png")
    cleaner.save()
    assert not cleaning.read(root).relabel


def test_keeping_takes_a_decision_back(cleaner, root):
    one, two, _ = dropdowns(cleaner)
    cleaner.decide("cat/0.png")
    cleaner.decide("dog/1.png", "cat")
    cleaner.save()
    assert data.from_folder(root, 16).cleaned
    one.value = two.value = ("keep", "")
    cleaner.save()
    assert repr(cleaner) == "cleaner: 3 pictures, 0 to drop, 0 to relabel"
    assert "0 dropped, 0 relabelled" in cleaner.status.value
    assert not cleaning.file_beside(root).exists() and not data.from_folder(root, 16).cleaned


def test_a_new_table_shows_what_is_saved(cleaner, root):
    cleaning.write(root, cleaning.Cleaning(("dog/1.png",), {"cat/0.png": "<emu>"}))
    images = data.from_folder(root, 16, clean=False)
    again = explore.cleaner(root, images, dict.fromkeys(cleaner.decisions, "?"))
    assert [box.value for box in dropdowns(again)] == [
        ("relabel", "<emu>"), ("drop", ""), ("keep", ""),
    ]  # fmt: skip
    assert "Saved before: 1 dropped, 1 relabelled." in again.status.value
    again.save()
    assert cleaning.read(root).relabel == {"cat/0.png": "<emu>"}


def test_two_tables_of_the_same_pictures_end_up_agreeing(cleaner, root):
    other = explore.cleaner(root, data.from_folder(root, 16), {"cat/0.png": "?", "cat/2.png": "?"})
    cleaner.decide("cat/0.png", "dog")
    cleaner.save()
    other.decide("cat/2.png")
    other.save()
    assert cleaning.read(root) == cleaning.Cleaning(("cat/2.png",), {"cat/0.png": "dog"})
    assert other.decisions["cat/0.png"].value == ("relabel", "dog")


def test_a_picture_relabelled_earlier_goes_back_to_its_folder_and_forth(cleaner, root):
    cleaning.write(root, cleaning.Cleaning((), {"cat/0.png": "dog"}))
    again = explore.cleaner(root, data.from_folder(root, 16), {"cat/0.png": "?"})
    assert repr(again).endswith("0 to relabel")  # it counts as a dog already
    for label, relabel in (("cat", {}), ("dog", {"cat/0.png": "dog"}), ("cat", {})):
        again.decide("cat/0.png", label)
        in_the_box = again.decisions["cat/0.png"].value
        again.save()
        assert cleaning.read(root).relabel == relabel
        assert again.decisions["cat/0.png"].value == in_the_box
    again.decide("cat/0.png", "<emu>")
    again.save()
    assert cleaning.read(root).relabel == {"cat/0.png": "<emu>"}
    again.decisions["cat/0.png"].value = ("keep", "")
    again.save()
    assert cleaning.read(root).relabel == {"cat/0.png": "dog"}


def test_a_class_that_had_one_picture_only_and_lost_it_is_no_error(tmp_path):
    root = tmp_path / "animals"
    for file in ("cat/0.png", "dog/0.png", "dog/1.png", "emu/0.png", "emu/1.png"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20)).save(root / file)
    cleaning.write(root, cleaning.Cleaning((), {"cat/0.png": "dog"}))
    with pytest.warns(UserWarning, match="cat is not a class"):
        images = data.from_folder(root, 16)
    assert images.classes == ["dog", "emu"]
    cleaning.write(root, cleaning.Cleaning((), {}))  # meanwhile, by another table
    again = explore.cleaner(root, images, {"cat/0.png": "?"})
    assert repr(again).endswith("0 to relabel")
    again.save()


@pytest.mark.parametrize("folders", [("cat/cat", "cat/dog"), ("Bär", "dog")])
def test_a_picture_goes_to_another_class_and_back_whatever_the_folders_are_called(
    folders, tmp_path
):
    # Around all may lie a folder called like a class; a Mac writes ä as two letters, a and dots.
    root, suspects = tmp_path / "my_pictures", {}
    for folder in (unicodedata.normalize("NFD", folder) for folder in folders):
        (root / folder).mkdir(parents=True)
        suspect = unicodedata.normalize("NFD", f"{folder}/é.png")
        suspects[suspect] = "?"
        for file in (suspect, f"{folder}/1.png"):
            Image.new("L", (20, 20)).save(root / file)
    images = data.from_folder(root, 16)
    own = dict(zip(suspects, images.classes, strict=True))
    other = dict(zip(suspects, reversed(images.classes), strict=True))
    for labels, relabel in ((other, other), (own, {})):
        desk = explore.cleaner(root, data.from_folder(root, 16), suspects)
        for file, label in labels.items():
            desk.decide(file, label)
        desk.save()
        assert cleaning.read(root).relabel == relabel
    assert data.from_folder(root, 16).key == images.key


def test_every_box_is_named_after_its_picture_and_offers_every_other_class(cleaner):
    boxes = list(dropdowns(cleaner))
    assert [box.description for box in boxes] == ["cat/0.png", "dog/1.png", "<emu>/2.png"]
    assert all(len(box.options) == 4 for box in boxes)
    page = "".join(c.value for row in cleaner.children[0].children for c in row.children[:1])
    assert "under &lt;emu&gt;" in page and "<emu>" not in page and "looks like a dog" in page


def test_names_with_dollars_are_no_formulas(root):
    (root / "cat" / "x$^$y.png").write_bytes((root / "cat" / "0.png").read_bytes())
    desk = explore.cleaner(root, data.from_folder(root, 16), {"cat/x$^$y.png": "dear"})
    assert desk._repr_mimebundle_()["image/png"]


def test_viewers_without_a_kernel_get_a_picture(cleaner):
    bundle = cleaner._repr_mimebundle_()
    assert bundle["text/plain"] == repr(cleaner)
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.size == (920, 150)


def test_a_file_that_cannot_be_written_is_told(cleaner, root, monkeypatch):
    cleaner.decide("dog/1.png")

    def no(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cleaning, "write", no)
    with pytest.raises(PermissionError):
        cleaner.save()
    assert "Not saved" in cleaner.status.value


def test_a_picture_that_is_not_in_the_set_is_refused(root):
    with pytest.raises(ValueError):
        explore.cleaner(root, data.from_folder(root, size=16), {"cat/9.png": "?"})


# --- Upload -------------------------------------------------------------------------------------


class Reddish:
    """A learner that knows red from blue."""

    def __init__(self):
        self.classes, self.size = ["<red>", "blue"], 16

    def predict(self, images):
        assert images.shape[1:] == (3, self.size, self.size) and images.dtype == torch.uint8
        share = images.float().mean((2, 3))[:, [0, 2]] + 1
        return share / share.sum(1, keepdim=True)


def png(colour):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


def choose(upload, *files, part=4_000_000):
    """What the button's script does with files, (name, content) each, that a person chooses."""
    for number, (name, content) in enumerate(files):
        for start in range(0, max(1, len(content)), part):
            ends = start + part >= len(content)
            about = {"name": name, "number": number, "start": start, "ends": ends}
            message = {"method": "custom", "content": about}
            buffers = [memoryview(content)[start : start + part]]
            upload.button._handle_msg({"content": {"data": message}, "buffers": buffers})


def said(upload):
    return [answer.get("class", answer.get("error")) for answer in upload.answers]


def test_uploaded_pictures_are_classified_and_a_broken_one_gets_its_sentence():
    upload = explore.upload(Reddish())
    assert repr(upload) == "upload: 0 pictures"
    choose(upload, ("a", png("red")), ("b", b"junk"), ("c", png("blue")), ("d", b""))
    assert said(upload)[::2] == ["<red>", "blue"] and "is not a picture" in said(upload)[1]
    assert "is empty" in said(upload)[3]
    assert upload.answers[0]["probability"] > 0.9
    assert repr(upload) == "upload: 4 pictures, 2 of them can't be read"
    assert upload._repr_mimebundle_()["text/plain"] == repr(upload)
    assert "&lt;red&gt;" in upload.table.value and "<red>" not in upload.table.value
    choose(upload, ("d", png("red")))
    assert [answer["name"] for answer in upload.answers] == ["d"]


def test_a_file_comes_in_parts_however_large_it_is():
    upload = explore.upload(Reddish())
    choose(upload, ("a", png("red")), ("b", png("blue")), part=17)
    assert said(upload) == ["<red>", "blue"]
    whole = png("red")
    about = {"name": "a", "number": 0, "start": 0, "ends": False}
    upload.button._handle_custom_msg(about, [memoryview(whole)[:50]])  # the page was closed here
    choose(upload, ("c", whole), part=40)
    assert said(upload) == ["<red>"]


def test_files_of_one_name_and_the_same_file_again_are_all_answered():
    upload = explore.upload(Reddish())
    choose(upload, ("image.jpg", png("red")), ("image.jpg", png("blue")))
    assert said(upload) == ["<red>", "blue"]
    # As if it had been trained further, on larger pictures.
    upload.learn.classes, upload.learn.size = ["other", "names"], 24
    choose(upload, ("image.jpg", png("red")), ("image.jpg", png("blue")))
    assert said(upload) == ["other", "names"]


def test_an_error_of_the_network_is_told_where_one_looks():
    def full(_):
        raise RuntimeError("out of <memory>")

    upload = explore.upload(Reddish())
    upload.learn.predict = full
    choose(upload, ("a.png", png("red")), ("b.png", png("red")))
    assert upload.table.value.count("could not be classified") == 2
    assert "out of &lt;memory&gt;" in upload.table.value


def test_without_files_no_earlier_answer_stays_and_without_classes_there_is_no_button():
    upload = explore.upload(Reddish())
    upload.show({"a": png("red")})
    upload.show({})
    assert said(upload) == [] and "No pictures yet" in upload.table.value
    with pytest.raises(ValueError, match="knows no classes yet"):
        explore.upload(Learner(models.small_cnn(2, width=2), None))


def test_a_picture_that_is_not_among_those_to_decide_about_gets_a_sentence(root):
    images = data.from_folder(root, 16)
    with pytest.raises(ValueError, match=r"cat/99\.png isn't among"):
        explore.cleaner(root, images, {"cat/99.png": "dark"})


def test_names_of_uploaded_files_are_shown_and_never_run():
    upload = explore.upload(Reddish())
    files = {"<script>alert(1)</script>": png("red"), "<b>": b""}
    upload.show(files)
    assert "<script>" not in upload.table.value
    assert all(f"<td>{html.escape(name)}" in upload.table.value for name in files)


# --- The map ------------------------------------------------------------------------------------


def says_desert(images):
    assert images.shape == (1, 3, 64, 64) and images.dtype == torch.uint8
    probabilities = torch.full((1, 8), 0.02)
    probabilities[0, 2] = 0.86
    return probabilities


@pytest.fixture(scope="module")
def world():
    return explore.click_map(says_desert)


def test_the_map_says_what_the_network_and_the_map_say(world):
    world.reset()
    assert repr(world) == "click_map: longitude=10 latitude=23"
    told = "23.0° north, 10.0° east: the network says desert, 86%; the map says desert."
    assert world.alt == told and world.image.alt == told
    assert Image.open(io.BytesIO(world.image.value)).size == (920, 390)


def place_of(world, longitude, latitude):
    """Where a spot is in the picture, as shares from its upper left."""
    x, y = world.axes[0].transData.transform((longitude, latitude))
    return x / world.figure.bbox.width, 1 - y / world.figure.bbox.height


def test_a_click_goes_where_it_points(world):
    before = world.image.value
    world.image.clicked = [*place_of(world, -65, -3), 1]
    assert world.values == {
        "longitude": pytest.approx(-65, abs=0.1),
        "latitude": pytest.approx(-3, abs=0.1),
    }
    assert "the map says rainforest" in world.alt and world.image.value != before
    now = world.values
    for outside in ([0.79, 0.5, 2], [0.9, 0.2, 5], [0.0, 0.0, 3], [0.99, 0.99, 4]):
        world.image.clicked = outside
        assert world.values == now


def test_the_network_is_asked_once_a_click():
    asked = []
    world = explore.click_map(lambda images: asked.append(images) or says_desert(images))
    world.image.clicked = [*place_of(world, -65, -3), 1]
    assert len(asked) == 2  # where it began, and where it was clicked


def test_the_map_can_be_drawn_everywhere(world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, control in world.controls.items():
            for end in (control.min, control.max):
                control.value = end
                assert world.values[name] == end and "drawn" not in world.caption.value
        world.image.clicked = [*place_of(world, -40, 40), 9]
    assert "the map says sea" in world.alt
    assert not world.axes[2].get_title(loc="right")  # nothing is hatched there


def test_the_map_is_wide_enough_to_hit_a_country(world):
    assert world.axes[0].bbox.width > 600 and world.axes[0].bbox.height > 300


def test_viewers_without_a_kernel_get_the_map(world):
    data, metadata = world._repr_mimebundle_()
    assert data["text/plain"] == repr(world)
    still, live = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.float32)
        for png in (base64.b64decode(data["image/png"]), world.image.value)
    )
    assert np.abs(still - live).mean() < 4  # of 255: 256 colours instead of all
    assert len(data["image/png"]) < len(world.image.value)
    assert metadata["image/png"]["alt"] == world.alt


def test_climates_can_be_told_apart_without_red_or_green():
    # Viénot, Brettel & Mollon 1999, for deuteranopes, in linear light.
    def seen(colour):
        linear = (np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255) ** 2.2
        blind = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
        return (blind @ linear).clip(0, 1) ** (1 / 2.2)

    colours = [seen(colour) for colour in COLOURS.values()]
    for i, one in enumerate(colours):
        for other in colours[:i]:
            assert np.abs(one - other).max() > 0.1
