"""The solar cells: what the package holds, the split, what it says where it is missing."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import augment, data
from lessonkit.course.datasets import cells
from tools import cells as make_cells


@pytest.fixture(scope="module")
def images():
    return data.cells(16)


def test_the_set_is_as_published(images):
    known = cells.cell_labels()
    values, counts = np.unique(known.defect.round(2), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
        0.0: 1508, 0.33: 295, 0.67: 106, 1.0: 715,
    }  # fmt: skip
    assert set(known.kind) == {"mono", "poly"}
    labels = torch.cat([images.train.labels, images.valid.labels])
    assert labels.bincount().tolist() == [1508 + 295, 106 + 715]  # defective: above 1/2
    assert images.classes == ["functional", "defective"] and images.test is None


def test_pictures_are_grey_and_those_of_their_files(images):
    known = cells.cell_labels()
    labels, valid = cells.split(known, 0)
    for part, rows in ((images.train, ~valid), (images.valid, valid)):
        first = np.flatnonzero(rows)[0]
        with Image.open(known.files[first]) as file:
            small = np.asarray(file.convert("L").resize((16, 16), Image.Resampling.BOX), float)
        picture = part.images[0].numpy()
        assert (picture[0] == picture[1]).all() and (picture[0] == picture[2]).all()
        assert np.corrcoef(picture[0].ravel(), small.ravel())[0, 1] > 0.95
        assert part.labels[0] == labels[first]


def test_a_quarter_of_each_class_and_kind_is_for_validation_drawn_by_the_seed(images):
    strata = np.repeat([0, 1, 2], [100, 41, 3])
    drawn = cells.stratified(strata, 0.25, seed=0)
    assert np.bincount(strata[drawn]).tolist() == [25, 10, 1]
    assert (cells.stratified(strata, 0.25, 0) == drawn).all()
    assert (cells.stratified(strata, 0.25, 1) != drawn).any()
    n = len(images.train.labels), len(images.valid.labels)
    assert sum(n) == 2624 and abs(n[1] - 656) <= 2
    other = data.cells(16, seed=1)
    assert other.key != images.key and not torch.equal(other.valid.images, images.valid.images)
    assert torch.equal(images.resized(16).valid.images, images.valid.images)


def test_a_cell_is_mirrored_both_ways_and_never_turned_by_a_quarter(images):
    picture = images.train.images[:1]
    ways = [picture, picture.flip(-1), picture.flip(-2), picture.flip(-1, -2)]
    drawn = images.augment(picture.expand(200, -1, -1, -1), torch.Generator().manual_seed(0))
    close = torch.stack([(drawn.int() - way.int()).abs().amax((1, 2, 3)) <= 1 for way in ways])
    assert close.any(0).all() and (close.sum(1) > 25).all()
    views = list(images.augment.views(picture))
    assert len(views) == 4
    for view in views:
        assert any((view.int() - way.int()).abs().max() <= 1 for way in ways)


def test_augmentations_of_before_draw_what_they_drew_before():
    # Half turns are drawn only where they are on: other presets' draws must not have moved.
    torch.manual_seed(0)
    matrices = augment.symbols()._draw_matrices(3, None)
    torch.manual_seed(0)
    _, degrees = torch.rand(3), torch.rand(3)  # mirror is drawn by all
    angle = torch.deg2rad(-10 + 20 * degrees)
    torch.testing.assert_close(matrices[:, 0, 1] / matrices[:, 0, 0], -torch.tan(angle))


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data.DataError, match=r"pip install elpv-dataset==1\.0\.0\.post1"):
        data.cells(16)


def test_another_edition_is_refused_and_a_damaged_picture_named(monkeypatch, tmp_path):
    known = cells.cell_labels()
    package = tmp_path / "elpv_dataset"
    (package / "data" / "images").mkdir(parents=True)
    spec = importlib.util.spec_from_file_location("elpv_dataset", package / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    labels = known.files[0].parents[1] / "labels.csv"
    shutil.copy(labels, package / "data")
    monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(data.DataError, match=r"cell0001\.png .*force-reinstall"):
        data.cells(16)
    with (package / "data" / "labels.csv").open("a") as file:
        file.write("images/cell9999.png  1.0  mono\n")
    with pytest.raises(data.DataError, match="another edition"):
        data.cells(16)


def test_make_cells_keeps_the_quarter_for_the_result_out_of_everything_else(images):
    ours, ones = make_cells.pictures(16, 0, weighted=False)
    assert torch.equal(ours.test.images, images.valid.images) and (ones == 1).all()
    together = torch.cat([ours.train.images, ours.valid.images]).flatten(1)
    assert sorted(together.tolist()) == sorted(images.train.images.flatten(1).tolist())
    assert len(ours.valid.labels) == pytest.approx(0.15 * len(images.train.labels), abs=2)

    theirs, weights = make_cells.pictures(16, 0, weighted=True)
    assert torch.equal(theirs.test.images, ours.test.images)
    known = cells.cell_labels()
    defect = torch.from_numpy(known.defect[cells.split(known, 0)[1]])
    assert torch.equal(theirs.test.labels, (defect > 0).long())  # 1/3 counts as defective ...
    torch.testing.assert_close(weights[defect > 0].double(), defect[defect > 0])  # ... by a third
    assert (weights[defect == 0] == 1).all() and theirs.key != ours.key
