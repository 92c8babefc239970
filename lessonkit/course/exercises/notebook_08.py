"""Exercises of notebook 08, your own images."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lessonkit import augment, data, schedule
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import train_unvalidated, training
from lessonkit.data import Split
from lessonkit.learner import Learner


def _by_size(contents: list[bytes]) -> list[int]:
    sizes = [len(content) for content in contents]
    return [i for i, size in enumerate(sizes) if size in sizes[:i]]


_FILES = [
    [b"owl", b"cow", b"owl", b"hen", b"owl", b"cow"],
    [b"a", b"b", b"c"],
    [b"", b"x" * 999, b"", b"x" * 998 + b"y"],
    [b"fox", b"fox"],
    [b"abcd", b"dbca", b"acbd", b"abcd"],  # of the same letters, or with the same ends
]


N_FILED, N_WRONG = 62, 12  # of the 93 photos; the others are new ones


def _messy_folder(seed: int) -> Learner:
    """Photos, a fifth of them filed wrongly, to train on; the others, rightly labelled, to test."""
    photos = data.creatures().with_augment(augment.none())
    pixels, labels = (torch.cat(pair) for pair in zip(photos.train, photos.valid, strict=True))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    inside, outside = order[:N_FILED], order[N_FILED:]
    filed_as = labels[inside].clone()
    filed_as[:N_WRONG] = 1 - filed_as[:N_WRONG]
    mixed = torch.from_numpy(np.random.default_rng(seed + 1).permutation(N_FILED))
    images = replace(
        photos,
        train=Split(pixels[inside[mixed]], filed_as[mixed]),
        valid=Split(pixels[outside], labels[outside]),
        key=f"messy folder {seed}: {photos.key}",
        train_files=[],
        valid_files=[],
        skipped=[],
        copies=[],
    )
    return Learner.pretrained("tf_efficientnet_lite0", images, seed=seed)


def _rows(chosen: Any, n: int) -> np.ndarray:
    """The numbers of the chosen rows: given as such, as np.where gives them, or as a mask."""
    if isinstance(chosen, tuple) and len(chosen) == 1:
        [chosen] = chosen
    rows = np.array([row.item() if hasattr(row, "item") else row for row in chosen])
    is_mask = rows.dtype == bool or (len(rows) == n and set(rows.tolist()) == {0, 1})
    return np.flatnonzero(rows) if is_mask else rows


def _train_on_the_chosen(learn: Learner, choose: Callable[[torch.Tensor, torch.Tensor], Any]):
    """20 epochs on the photos whose rows `choose` returns; none while it returns nothing."""
    rows = choose(learn.activations()["train"], learn.images.train.labels)
    if rows is not None:
        rows = _rows(rows, len(learn.images.train.labels))
        learn.set_data(learn.images.with_training(sorted({int(row) for row in rows})))
        train_unvalidated(learn, schedule.cosine(1e-3, 20 * learn.n_batches))


EXERCISES = {
    "08.1": function(
        lambda contents: [i for i, content in enumerate(contents) if content in contents[:i]],
        _FILES,
        "The first file with a content stays, each later one is a copy. On a disk you would "
        "compare sizes first, and then a checksum, so that no file has to be kept in memory.",
        wrong={
            (lambda contents: [i for i, one in enumerate(contents) if contents.count(one) > 1]): (
                "The first of each group is here as well: drop these, and none is left."
            ),
            (lambda contents: [i for i, one in enumerate(contents) if one in contents[i + 1 :]]): (
                "These are the ones that have a copy later on: the last of each stays."
            ),
            _by_size: "Two files of the same size may hold different things: compare contents.",
            (lambda files: [i for i in range(1, len(files)) if files[i] == files[i - 1]]): (
                "A copy may stand anywhere later in the list, not only next to it."
            ),
        },
        hint="Go through the list and ask of each content whether it was there before.",
    ),
    "08.2": number(
        0.8,
        "p · 0.9 + (1 - p) · 0.1 = 0.74 gives p = 0.64 / 0.8 = 0.8. The mess hides six points.",
        within=0.004,
        percent=True,
        wrong={
            0.74: "That is what the folder says. Where its label is wrong and the network right, "
            "it counts against the network.",
            0.84: "Adding the fraction of wrong labels assumes that each of them cost a point. But "
            "a network that is wrong on a wrong label is counted as right.",
            0.64: "That is 0.74 - 0.1, half-way through the sum: divide by 1 - 2 · 0.1.",
            0.74 / 0.9: "That assumes that the network never agrees with a wrong label. By its own "
            "mistakes it does.",
            0.666: "Taking a tenth off would be for a folder that flatters. Wrong labels make a "
            "good network look worse.",
            0.692: "That puts 0.74 in for p: it is the result that is 0.74, and p that is wanted.",
        },
        hint="Put w = 0.1 into p(1 - w) + (1 - p)w = 0.74 and solve for p.",
    ),
    "08.3": training(
        _messy_folder,
        0.88,
        "The most doubted photos hold most of the wrong labels, so the head does better on fewer "
        "photos. Right ones went with them: a person who looks would have kept those.",
        "Are wrong labels still in it, or have too many right ones gone? Ask which labels a head "
        "doubts that hasn't seen the photo, and leave out about as many as are wrong.",
        "says = look.out_of_fold(activations, labels, 2) are probabilities. Put the rows in order "
        "of the one that the photo's own label gets, and return all but the lowest ones.",
        use=_train_on_the_chosen,
        seeds=(7, 8, 9, 10, 11, 12),
        seconds=600,  # half a minute on an idle machine
    ),
    "08.4": choice(
        "split by mushroom",
        ["collect more photos", "split by mushroom", "train longer", "drop the doubted ones"],
        {
            "collect more photos": "More of them would help training. But as long as the sets "
            "share mushrooms, you can't measure whether it did.",
            "train longer": "It has 0.99 already. The question is what the 0.99 is worth.",
            "drop the doubted ones": "Those may be the only photos that tell you something. First "
            "make the number mean something.",
        },
        "All photos of one mushroom belong in one set, as the climate tiles of one part of the "
        "Earth do. Otherwise the network is examined on what it knows.",
        hint="How could a network get to 0.99 here without having learned what you want it to?",
    ),
}
