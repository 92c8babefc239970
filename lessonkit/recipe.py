"""The lesson's 8 steps to an image classifier, one after the other.

One recipe for all pictures: what differs between photos and satellite tiles is measured on the
way, and each step records what it chose.
"""

import math

from torch import Tensor, nn

from lessonkit import models
from lessonkit.data import ImageData
from lessonkit.history import Diverged
from lessonkit.learner import Learner
from lessonkit.report import Report

__all__ = ["eight_steps", "lr_ratio"]

HEAD_STEPS = 60  # mini-batches that a new head needs; two epochs of 200 pictures are only 14
FAMILIAR = 0.35  # see `lr_ratio`
MAX_CYCLES = 3  # of 1, 2 and 4 epochs


def eight_steps(images: ImageData, arch: str = "tf_efficientnet_lite0", seed: int = 0) -> Report:
    """Train a classifier of `images` on top of a pretrained network; returns what each step did."""
    learn = Learner.pretrained(arch, images, seed=seed)
    report = Report(learn)
    familiarity = models.familiarity(learn.model, images.train.images)
    report.add(
        "augmentation on, precompute on",
        chose=f"{images.augment.name}; activations of {len(images.train.labels)} pictures kept",
    )

    head_lr = learn.lr_find().steepest
    report.add("find a learning rate", head_lr, "where the loss falls fastest")

    epochs = max(2, math.ceil(HEAD_STEPS / learn.n_batches))
    learn.fit(head_lr, 1, cycle_len=epochs)
    report.add("train the head", head_lr)

    learn.precompute = False
    learn.fit(head_lr, 2, cycle_len=1)
    report.add("train the head with augmentation", head_lr)

    learn.unfreeze()
    report.add("unfreeze", chose="all layer groups train from here on")

    ratio = lr_ratio(familiarity)
    ratios = [1 / ratio**2, 1 / ratio, 1.0]
    report.add(
        "lower LRs for earlier layers",
        ratios,
        f"{ratio:g} times lower each: ImageNet's classifier is {familiarity:.0%} sure",
    )

    lr = learn.lr_find(ratios).suggestion
    lrs = [lr * share for share in ratios]
    report.add("find the learning rate again", lrs, "a tenth of the LR of the lowest loss")

    train_until_overfitting(learn, lrs)
    report.add("train the whole network", lrs)
    report.finish()
    return report


def lr_ratio(familiarity: float) -> float:
    """How many times lower each earlier layer group's LR should be, from `models.familiarity`.

    The more the pictures look like ImageNet's, the better the early layers fit already.
    """
    return 10.0 if familiarity > 0.5 else 3.0 if familiarity > FAMILIAR else 1.0


def train_until_overfitting(learn: Learner, lrs: list[float]) -> None:
    """Cosine cycles of 1, 2, 4 epochs until the validation loss rises; the best cycle is kept.

    Best is the highest validation accuracy, and of equal ones the lowest loss; what came before
    the first cycle competes too.
    """
    loss, accuracy = learn.validate()
    best, weights = (accuracy, -loss), _copy(learn.model)
    for cycle in range(MAX_CYCLES):
        try:
            learn.fit(lrs, 1, cycle_len=2**cycle)
        except Diverged as reason:
            print(f"{reason} The best cycle so far is kept.")
            break
        before, (loss, accuracy) = loss, learn.validate()
        if (accuracy, -loss) > best:
            best, weights = (accuracy, -loss), _copy(learn.model)
        if cycle and loss > before:
            break
    learn.model.load_state_dict(weights)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
