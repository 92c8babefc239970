"""What a look at a folder finds: sides, copies, and labels that a network doubts."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit.course import look
from tests.tiny import coloured


def photo(seed, side=64):
    """A smooth random picture: blobs of colour, as different from another seed's as photos are."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def squares(images):
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2)


def test_counts_are_those_of_each_class_and_set():
    images = coloured(n=60)
    counts = look.counts(images)
    assert list(counts) == images.classes
    assert sum(n for n, _ in counts.values()) == len(images.train.labels)
    assert counts["class 1"][1] == int((images.valid.labels == 1).sum())


@pytest.mark.parametrize(("orientation", "shown"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40))])
def test_sides_are_those_that_a_viewer_shows(tmp_path, orientation, shown):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 30)).save(tmp_path / "x.jpg", exif=exif)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    found = look.sides(tmp_path, ["x.jpg", "broken.jpg", "gone.jpg"])
    assert found == {"x.jpg": (*shown, orientation != 1)}


def test_exact_duplicates_are_groups_of_equal_bytes_under_any_name(tmp_path):
    for i in range(4):
        photo(i).save(tmp_path / f"{i}.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "a.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "b.png")
    shutil.copy(tmp_path / "3.png", tmp_path / "c.png")
    changed = bytearray((tmp_path / "1.png").read_bytes())
    changed[-20] ^= 1  # the same length, another content
    (tmp_path / "d.png").write_bytes(changed)
    files = [path.name for path in tmp_path.iterdir()]
    assert look.exact_duplicates(tmp_path, files) == [
        ["0.png", "a.png", "b.png"],
        ["3.png", "c.png"],
    ]


def test_a_file_that_has_gone_since_is_a_copy_of_none(tmp_path):
    for name in ("0.png", "1.png", "2.png"):
        photo(0).save(tmp_path / name)
    files = ["0.png", "1.png", "2.png", "gone.png"]
    assert look.exact_duplicates(tmp_path, files) == [["0.png", "1.png", "2.png"]]
    assert set(look.sides(tmp_path, files)) == {"0.png", "1.png", "2.png"}


def test_copies_in_another_size_brightness_or_quality_are_nearest(tmp_path):
    originals = [photo(seed) for seed in range(12)]
    originals[3].resize((40, 40)).save(tmp_path / "x.jpg", quality=60)
    smaller = Image.open(tmp_path / "x.jpg").resize((64, 64))
    darker = originals[7].point(lambda value: 0.7 * value + 20)
    images = squares([*originals, smaller, darker])
    which, similarity = look.nearest(images)
    assert which[12] == 3 and which[13] == 7 and which[3] == 12
    copies = look.near_duplicates(images, at_least=0.95)
    assert {(i, j) for i, j, _ in copies} == {(3, 12), (7, 13)}
    assert copies[0][2] >= copies[1][2] > 0.95
    others = [i for i in range(12) if i not in (3, 7)]
    assert (similarity[others] < 0.9).all()


def test_pictures_of_one_colour_are_similar_to_nothing():
    flat = torch.full((3, 3, 32, 32), 128, dtype=torch.uint8)
    assert (look.nearest(flat)[1] == 0).all()


def test_more_pictures_than_fit_into_one_part_are_all_compared():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1200, 3, 16, 16), generator=generator, dtype=torch.uint8)
    images[1150] = images[20]
    which, similarity = look.nearest(images)
    assert which[1150] == 20 and which[20] == 1150 and similarity[20] == pytest.approx(1)


@pytest.fixture
def noisy():
    """Features of two classes that lie apart, their labels, and which of these are wrong."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(80) % 2
    features = torch.randn(80, 200, generator=generator)
    features[:, :100] += (2 * truth - 1)[:, None]
    wrong = torch.arange(0, 80, 10)
    labels = truth.clone()
    labels[wrong] = 1 - labels[wrong]
    return features, labels, wrong


def test_a_head_learns_wrong_labels_by_heart_but_not_out_of_fold(noisy):
    features, labels, wrong = noisy
    rows = torch.arange(len(labels))
    by_heart = look.head_on(features, labels, 2, steps=400)(features).softmax(1)[rows, labels]
    unseen = look.out_of_fold(features, labels, 2)[rows, labels]
    assert (by_heart[wrong] > 0.5).all()
    found = set(unseen.argsort()[: len(wrong)].tolist()) & set(wrong.tolist())
    assert len(found) >= len(wrong) - 1


def test_out_of_fold_answers_are_probabilities_and_repeatable(noisy):
    features, labels, _ = noisy
    one, two = (look.out_of_fold(features, labels, 2, seed=3) for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, look.out_of_fold(features, labels, 2))
    torch.testing.assert_close(one.sum(1), torch.ones(len(labels)))


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"folds": 0}, {"groups": [3] * 80}])
def test_out_of_fold_says_so_where_nothing_is_left_to_train_on(noisy, wrong):
    features, labels, _ = noisy
    with pytest.raises(ValueError, match="2 or more folds, and 2 or more groups"):
        look.out_of_fold(features, labels, 2, **wrong)


def test_a_copy_is_never_judged_by_a_head_that_knows_it(noisy):
    features, labels, wrong = noisy
    twice, both = torch.cat([features, features]), torch.cat([labels, labels])
    rows = torch.arange(len(both))
    groups = [*range(80), *range(80)]
    leaked = look.out_of_fold(twice, both, 2)[rows, both][wrong]
    kept_together = look.out_of_fold(twice, both, 2, groups=groups)[rows, both][wrong]
    assert kept_together.mean() < leaked.mean()
    assert (kept_together < 0.5).all()
