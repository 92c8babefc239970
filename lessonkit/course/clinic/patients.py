"""Twelve training runs, each with one mistake in it. Read this file only after your diagnosis.

A patient is one short function. It makes a learner and trains it, `ill` or with the one mistake put
right; everything else is the same, so two charts side by side show what the mistake does.
"""

import copy
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lessonkit import augment, data, models
from lessonkit.course.datasets import embedded
from lessonkit.images.image_data import ImageData, Split
from lessonkit.learner import Learner, adamw
from lessonkit.machine import progress
from lessonkit.models import LayerGroups, Normalise
from lessonkit.networks import backbone

__all__ = [
    "Run", "boxes", "fresh", "healthy", "loss_on_one_batch", "mistake", "patient",
    "trained_on_digits", "treat",
]  # fmt: skip

ARCH = "tf_efficientnet_lite0"
DEVICE = "cpu"  # small networks: no graphics card is needed, and patients are alike everywhere
FOR_YOU_TO_TREAT = (2, 6, 11)


class Run(NamedTuple):
    """A patient's number, its learner after training, and the seed of the run."""

    number: int
    learn: Learner
    seed: int = 0

    @property
    def accuracy(self) -> float:
        """On the validation set, after training."""
        return self.learn.history.epochs[-1]["accuracy"]

    @property
    def train_loss(self) -> float:
        """The mean loss of the last epoch's mini-batches."""
        return self.learn.history.epochs[-1]["train_loss"]

    @property
    def valid_loss(self) -> float:
        """The loss on the validation set, after training."""
        return self.learn.history.epochs[-1]["valid_loss"]


# --- The patients -------------------------------------------------------------------------------


def shuffled_labels(ill: bool, seed: int) -> Learner:
    """The list of labels was shuffled once more than the list of pictures."""
    digits = _digits()
    if ill:
        digits = replace(
            digits, train=_shuffle(digits.train, seed), valid=_shuffle(digits.valid, seed)
        )
    learn = _small_network(digits, seed)
    learn.fit(0.1, 1, cycle_len=6)
    return learn


def learning_rate_too_low(ill: bool, seed: int) -> Learner:
    """Somebody had read that 3e-4 is always a good learning rate."""
    learn = _small_network(_digits(), seed)
    learn.fit(3e-4 if ill else 0.1, 1, cycle_len=4)
    return learn


def dead_units(ill: bool, seed: int) -> Learner:
    """One far too large step, before the chart begins, has left a layer with biases of -10."""
    learn = _small_network(_digits(), seed)
    normalise_and_shift = learn.groups[1][1][1]  # of the fourth convolution
    nn.init.constant_(normalise_and_shift.bias, -10.0 if ill else 0.0)
    learn.fit(0.1, 1, cycle_len=4)
    return learn


def learning_rate_too_high(ill: bool, seed: int) -> Learner:
    """Not high enough to explode."""
    learn = _small_network(_digits(), seed)
    learn.fit(3.0 if ill else 0.1, 1, cycle_len=6)
    return learn


def never_annealed(ill: bool, seed: int) -> Learner:
    """The learning rate never comes down."""
    learn = _small_network(_digits(), seed)
    if ill:
        learn.fit(1.0, 6)
    else:
        learn.fit(1.0, 1, cycle_len=6)
    return learn


def augmentation_changes_the_meaning(ill: bool, seed: int) -> Learner:
    """The preset for satellite tiles, flips and quarter turns, on digits."""
    how = augment.top_down() if ill else augment.symbols()
    learn = _small_network(_digits().with_augment(how), seed)
    learn.fit(0.1, 1, cycle_len=8)
    return learn


def overfitting(ill: bool, seed: int) -> Learner:
    """Forty rounds over every eighth tile."""
    train, valid = _split(at_random=False, seed=seed)
    learn = _head(train[seed % 8 :: 8], valid, seed)
    learn.fit(2e-3, 1, cycle_len=40 if ill else 4)
    return learn


def leak(ill: bool, seed: int) -> Learner:
    """Tiles that overlap were dealt into both sets, because they were split at random."""
    train, valid = _split(at_random=ill, seed=seed)
    learn = _head(train, valid, seed)
    learn.fit(1e-3, 1, cycle_len=8)
    return learn


def precompute_keeps_augmentation_out(ill: bool, seed: int) -> Learner:
    """The head trains on stored activations, so no augmented picture ever reaches it."""
    photos = data.creatures(64, seed).with_augment(augment.side_on())
    learn = Learner.pretrained(ARCH, photos, precompute=ill, seed=seed, device=DEVICE)
    with redirect_stdout(io.StringIO()):  # the learner's note would give the diagnosis away
        learn.fit(3e-3, 1, cycle_len=8)
    return learn


def batch_statistics(ill: bool, seed: int) -> Learner:
    """Weights were frozen by hand, but BatchNorm still measures, and stores, each batch."""
    photos = data.creatures(64, seed).with_augment(augment.none())
    learn = Learner(_unfolded(2), photos, seed, adamw, DEVICE, max_grad_norm=1.0)
    if ill:
        for group in learn.groups[:-1]:
            group.requires_grad_(False)  # its weights stay as they are; its mode is another matter
    else:
        learn.freeze()  # the same, and eval mode as well
    learn.fit(1e-3, 1, cycle_len=6)
    return learn


def body_still_frozen(ill: bool, seed: int) -> Learner:
    """A body that has seen digits only looks at the Earth, and isn't allowed to learn."""
    learn = _digits_body_on_earth(seed)
    if ill:
        learn.freeze()
    learn.fit(0.1, 1, cycle_len=6)
    return learn


def not_normalised(ill: bool, seed: int) -> Learner:
    """The body gets bytes from 0 to 255, where it is used to numbers around 0."""
    tiles = data.earth().with_augment(augment.none()).with_training(slice(seed % 8, None, 8))
    learn = Learner.pretrained(ARCH, tiles, seed=seed, device=DEVICE)
    if ill:
        learn.groups[0][0] = Normalise((0.0,) * 3, (1 / 255,) * 3)  # (x - 0) / 1
    learn.fit(1e-3, 1, cycle_len=8)
    return learn


ALL = [
    shuffled_labels, learning_rate_too_low, dead_units, learning_rate_too_high, never_annealed,
    augmentation_changes_the_meaning, overfitting, leak, precompute_keeps_augmentation_out,
    batch_statistics, body_still_frozen, not_normalised,
]  # fmt: skip
PATIENTS: dict[int, Callable[[bool, int], Learner]] = dict(enumerate(ALL, 1))


# --- What they are made of ----------------------------------------------------------------------


def _digits() -> ImageData:
    return data.digits(16).with_augment(augment.none()).with_training(slice(None, None, 4))


def _small_network(images: ImageData, seed: int) -> Learner:
    network = models.small_cnn(len(images.classes), 8, seed)
    return Learner(network, images, seed, device=DEVICE)


def _shuffle(split: Split, seed: int) -> Split:
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(seed))
    return Split(split.images, split.labels[order])


@cache
def _earth() -> tuple[Tensor, Tensor, int]:
    """Activations [N, 1280] and labels of all tiles, and how many of them are for training."""
    tiles = data.earth().with_augment(augment.none())
    stored = Learner.pretrained(ARCH, tiles, seed=0, device=DEVICE).activations()
    labels = torch.cat([tiles.train.labels, tiles.valid.labels])
    return torch.cat([stored["train"], stored["valid"]]), labels, len(tiles.train.labels)


def _split(at_random: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    _, labels, n_train = _earth()
    rows = np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(rows) if at_random else rows
    return order[:n_train], order[n_train:]


def boxes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Where patient 8's training and validation tiles lie, int64 [N, 4].

    Left, top, right and bottom are in pixels of the map; right and bottom are not part of it.
    """
    tiles = embedded.earth_tiles()
    ordered = np.concatenate([tiles.boxes[~tiles.valid], tiles.boxes[tiles.valid]])
    train, valid = _split(at_random=True, seed=seed)
    return ordered[train], ordered[valid]


def _head(train: np.ndarray, valid: np.ndarray, seed: int) -> Learner:
    """A head whose "pictures" are activations of tiles, by their rows."""
    activations, labels, _ = _earth()
    tiles = data.earth().with_augment(augment.none())
    sets = [Split(activations[rows], labels[rows]) for rows in (train, valid)]
    head = nn.Linear(activations.shape[1], len(tiles.classes))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    images = replace(tiles, train=sets[0], valid=sets[1])
    learn = Learner(head, images, seed, adamw, DEVICE, max_grad_norm=1.0)
    learn.augment = lambda stored, draws: stored  # no pictures: there is nothing to augment
    return learn


def _unfolded(n_classes: int) -> LayerGroups:
    """The pretrained network with its BatchNorm layers, which `models.pretrained` folds away."""
    network = models.pretrained(ARCH, n_classes)
    early, late = backbone.halves(backbone.chain(backbone.create(ARCH, load=True)))
    return LayerGroups(nn.Sequential(network[0][0], *early), nn.Sequential(*late), network[2])


@cache
def trained_on_digits(seed: int) -> LayerGroups:
    """The small network after four epochs of digits: patient 11's body began as this one's."""
    learn = _small_network(_digits(), seed)
    with progress.quiet():
        learn.fit(0.1, 1, cycle_len=4)
    return learn.model


def _digits_body_on_earth(seed: int) -> Learner:
    tiles = data.earth(16).with_training(slice(None, None, 2))
    learn = _small_network(tiles, seed)
    body = copy.deepcopy(trained_on_digits(seed))
    learn.model[0], learn.model[1] = body[0], body[1]
    learn.groups = models.layer_groups(learn.model)
    return learn


# --- Seeing a patient ---------------------------------------------------------------------------


def patient(number: int, seed: int = 0) -> Run:
    """Train patient `number`, from 1 to 12, with its mistake; ValueError for another number."""
    return _run(number, True, seed)


def treat(number: int, seed: int = 0) -> Run:
    """Train it again with the mistake put right, and everything else as it was."""
    return _run(number, False, seed)


def healthy(seed: int = 0) -> Run:
    """A run with nothing wrong, number 0: what patients 1 to 5 would look like."""
    return Run(0, _run(2, False, seed).learn, seed)


def fresh(number: int, seed: int = 0) -> Learner:
    """The learner of patient 2, 6 or 11 before any training, all else as the patient has it."""
    if number == 11:
        learn = _digits_body_on_earth(seed)
        learn.freeze()
        return learn
    if number not in FOR_YOU_TO_TREAT:
        raise ValueError(f"Patients {FOR_YOU_TO_TREAT} are treated by hand, not {number}.")
    how = augment.none() if number == 2 else augment.top_down()
    return _small_network(_digits().with_augment(how), seed)


def mistake(number: int) -> str:
    """What was wrong with a patient: its number, and the name and docstring of its function."""
    function = PATIENTS[checked(number)]
    return f"{number}, {function.__name__.replace('_', ' ')}: {function.__doc__}"


def loss_on_one_batch(learn: Learner, lr: float = 0.1, steps: int = 40) -> float:
    """The loss of 32 training pictures in the last of `steps` steps on nothing but them.

    Guessing is ln(n) for n classes. The cheapest of all tests: any network that can learn knows 32
    pictures by heart by then. A copy is trained, so the learner stays as it is.
    """
    n = len(learn.images.train.labels)
    k = min(n, 32)
    few = learn.images.with_training([i * n // k for i in range(k)])  # of all classes
    momentum = partial(torch.optim.SGD, momentum=0.9)
    trained = Learner(copy.deepcopy(learn.model), few, 0, momentum, learn.device, 32)
    trained.augment = lambda inputs, generator: inputs  # they may be activations
    *_, loss = trained.steps([lr] * steps)
    return loss


def _run(number: int, ill: bool, seed: int) -> Run:
    train = PATIENTS[checked(number)]
    with progress.quiet():
        return Run(number, train(ill, seed), seed)


def checked(number: int) -> int:
    """`number` itself; ValueError unless a patient has it."""
    if number not in PATIENTS:
        raise ValueError(f"There are the patients 1 to {len(PATIENTS)}, not {number}.")
    return number
