"""Exercises of notebook 03, augmentation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from lessonkit import augment, data, models, schedule
from lessonkit.course.exercises.quiz import choice, function
from lessonkit.course.exercises.training import Refused, train_unvalidated, training
from lessonkit.images.image_data import Split
from lessonkit.learner import Learner


def _probabilities(views: int, pictures: int, classes: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).exponential(size=(views, pictures, classes)) ** 2
    return drawn / drawn.sum(2, keepdims=True)


def _glass_door(seed: int) -> Learner:
    """Two layers; 1,000 digits of 14 px, to be judged by ones that are mirrored and shifted."""
    digits = data.digits()
    known, new = digits.train.images[::4, :, ::2, ::2], digits.valid.images[::2, :, ::2, ::2]
    draw = torch.Generator().manual_seed(seed)
    dx, dy = torch.randint(-2, 3, (2, len(new)), generator=draw).tolist()
    moved = [x.roll((b, a), (1, 2)).flip(-1) for x, a, b in zip(new, dx, dy, strict=True)]
    images = replace(
        digits.with_augment(augment.none()),
        train=Split(known.contiguous(), digits.train.labels[::4]),
        valid=Split(torch.stack(moved), digits.valid.labels[::2]),
        size=14,
    )
    torch.manual_seed(seed)
    layers = nn.Flatten(), nn.Linear(3 * 14 * 14, 64), nn.ReLU(), nn.Linear(64, 10)
    normalise = models.Normalise((0.5,) * 3, (0.25,) * 3)
    return Learner(nn.Sequential(normalise, *layers), images, seed=seed, batch_size=50)


def _train_with(learn: Learner, vary: Callable[[Tensor], Tensor]) -> None:
    given = learn.images.train.images[:50]
    batch = given.clone()
    if vary(batch) is None:
        if torch.equal(batch, given):
            return  # not answered yet
        raise Refused("It changes the pictures and returns nothing: end with return images.")

    def varied(images: Tensor, draws: torch.Generator) -> Tensor:
        result = vary(images.clone())
        if isinstance(result, list | tuple):
            result = torch.stack([torch.as_tensor(picture) for picture in result])
        result = torch.as_tensor(result)
        if result.shape != images.shape or result.dtype != torch.uint8:
            wanted = f"uint8 of shape {list(images.shape)}, as they were given"
            got = f"{str(result.dtype).removeprefix('torch.')} of shape {list(result.shape)}"
            raise Refused(f"The pictures must come back as {wanted}; these are {got}.")
        return result

    learn.augment = varied
    train_unvalidated(learn, schedule.cosine(0.01, 20 * learn.n_batches))


def _about_the_changes(learn: Learner, accuracy: float) -> str:
    """What 400 copies of one picture, two dots side by side, show of the reader's changes."""
    dots = torch.zeros(50, 3, 14, 14, dtype=torch.uint8)  # as many as in training
    dots[:, :, 6, 6], dots[:, :, 6, 7] = 200, 100
    seen = torch.cat([learn.augment(dots, learn.generator)[:, 0].int() for _ in range(8)])
    brightest = seen.flatten(1).argmax(1)
    rows, columns = brightest // 14, brightest % 14
    beside = seen[torch.arange(400), rows, (columns + 1) % 14]
    mirrored = beside != 100
    across, down = (columns - 6 - mirrored.long()).abs(), (rows - 6).abs()
    if accuracy >= 0.5:
        alike = all((far.view(8, 50) == far.view(8, 50)[:, :1]).all() for far in (across, down))
        return "But all pictures of a batch are shifted alike: each wants its own." if alike else ""
    if mirrored.float().mean() < 0.2:
        return "The judge's digits are mirrored, and hardly any of yours."
    if min(len(rows.unique()), len(columns.unique())) < 3:
        return "The judge's digits are shifted in both directions, each by a number of its own."
    most = int(max(across.max(), down.max()))
    if most == 2:
        return "Your shifts reach far enough. Are half or more mirrored, each shifted by itself?"
    return f"Yours are shifted by up to {most} px. How far are the judge's?"


EXERCISES = {
    "03.1": choice(
        "symbols",
        ["side_on", "top_down", "symbols", "none"],
        {
            "side_on": "The photos are taken from the side, but what is on them is letters: "
            "side_on mirrors, and a mirrored S is no letter.",
            "top_down": "That turns and mirrors: an M would become a W, and keep the label M.",
            "none": "Then you leave out changes that keep the letter: signs hang a little askew, "
            "and are seen from near and far.",
        },
        "What counts is what the label means, not how the picture was taken. Letters may be "
        "rotated, enlarged and shifted a little, never mirrored or turned.",
        hint="Go through the changes each preset makes, and ask of each whether an S stays an S.",
    ),
    "03.2": function(
        lambda sizes, right, reached: np.exp(np.interp(reached, right, np.log(sizes))),
        [
            ([50, 100, 200, 400], [0.6, 0.75, 0.8, 0.9], 0.7),
            ([10, 1000], [0.2, 0.8], 0.5),
            ([30, 90, 270, 810, 2430], [0.31, 0.52, 0.7, 0.83, 0.9], 0.88),
            ([64, 256], [0.5, 0.75], 0.75),
        ],
        "On the log axis the curve is read between its points, and exp leads back to pictures. "
        "np.interp(x, xs, ys) finds x among xs and answers with ys: here the accuracies are looked "
        "up, and the logarithms of the sizes are found.",
        wrong={
            (lambda sizes, right, reached: np.interp(reached, right, sizes)): (
                "You read between the points on a linear axis. The picture's axis is a log one: "
                "interpolate the logarithms of the sizes."
            ),
            (lambda sizes, right, reached: np.interp(reached, right, np.log(sizes))): (
                "That is the logarithm of the number of pictures. Take exp of it."
            ),
            (lambda sizes, right, reached: sizes[np.abs(np.array(right) - reached).argmin()]): (
                "You took the nearest of the sizes. Read between them."
            ),
        },
        hint="Look `reached` up among the accuracies, and find the logarithm of the size there.",
        atol=1.0,  # 122, 122.4 or 123 pictures
    ),
    "03.3": function(
        lambda width, height: 1 - min(width, height) / max(width, height),
        [(256, 112), (90, 198), (128, 128), (1920, 1080), (3, 4)],
        "The square is as wide as the shorter side, so of the longer side, and of the area, the "
        "rest is lost: half of a picture that is twice as wide as it is high.",
        wrong={
            (lambda width, height: min(width, height) / max(width, height)): (
                "That is the fraction that is left. What is cut off is 1 minus that."
            ),
            (lambda width, height: 1 - height / width): "That is right for wide pictures only. "
            "Upright ones lose their top and bottom.",
            (lambda width, height: 100 * (1 - min(width, height) / max(width, height))): (
                "That is in percent. A fraction lies between 0 and 1."
            ),
            (lambda width, height: max(width, height) - min(width, height)): (
                "That is a number of pixels. A fraction of the picture is wanted."
            ),
        },
        hint="The middle square is as wide as the shorter side. What is left of the longer one?",
    ),
    "03.4": training(
        _glass_door,
        0.5,
        "With the changes that the new digits really show, the same thousand pictures bring four "
        "times the accuracy. The preset for symbols leaves mirroring out, and here it is right: "
        "what the pictures will look like decides, and no rule.",
        "Which changes do the judge's digits show? Give the network just those.",
        "Mirrored: images.flip(-1), of all or of a random half. And every picture with a roll of "
        "its own, by -2 to 2 pixels across and down: torch.randint(-2, 3, (2,)).",
        _about_the_changes,
        use=_train_with,
        seeds=(7, 8, 9),
    ),
    "03.5": function(
        lambda views: views.mean(0).argmax(1),
        [
            _probabilities(4, 6, 3, 1),
            _probabilities(8, 20, 5, 2),
            _probabilities(2, 9, 2, 3),
            _probabilities(5, 1, 4, 4),
            np.array([[[0.6, 0.4]], [[0.1, 0.9]]]),  # which a hint can show
        ],
        "The mean over the views first, then the most likely class. A view that is unsure adds "
        "little, which a vote would not take into account.",
        wrong={
            (lambda views: stats.mode(views.argmax(2)).mode): (
                "You let the views vote. Then a view with 0.51 counts as much as one with 0.99: "
                "average the probabilities first."
            ),
            (lambda views: np.log(views).mean(0).argmax(1)): "You multiply the probabilities, or "
            "average their logarithms. That is a way, too, in which one view that says no has a "
            "veto. Here their plain mean is asked for.",
            (lambda views: views[0].argmax(1)): "You use the first view only. That is the "
            "prediction without TTA.",
            (lambda views: views.max(0).argmax(1)): "You follow the one view that is surest. "
            "Networks are often sure and wrong: take the mean.",
            (lambda views: views.mean(0)): "Those are the mean probabilities. Which class has the "
            "largest one?",
        },
        hint="Average over the first axis, the views; then take the class with the largest mean.",
    ),
}
