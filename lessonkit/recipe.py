"""The lesson's 8 steps to an image classifier, one after the other.

One recipe for all pictures: what differs between photos and satellite tiles is measured on the
way, and each step records what it chose.
"""

import math
from typing import Any

from torch import Tensor, nn

from lessonkit import progress
from lessonkit.data import ImageData
from lessonkit.familiarity import familiarity
from lessonkit.history import Diverged
from lessonkit.learner import Learner
from lessonkit.optimizers import radam
from lessonkit.report import Report

__all__ = ["eight_steps", "lr_ratios", "train_until_overfitting", "whole_network_lr"]

HEAD_STEPS = 60  # mini-batches that a new head needs; two epochs of 200 pictures are only 14
LR_RATIOS = {0.5: 10.0, 0.3: 3.0, 0.0: 1.0}  # familiar at least -> times less a group
SAFE_LR = 1e-3  # of the head, in whole networks: has served both photos and satellite tiles
SMOOTHING, MANY = 0.1, 20  # of labels, if unfamiliar pictures fill so many mini-batches an epoch
MAX_CYCLES = 3  # of 1, 2 and 4 epochs


def eight_steps(
    images: ImageData, arch: str = "tf_efficientnet_lite0", seed: int = 0, **learner: Any
) -> Report:
    """Train a classifier of `images` on top of a pretrained network; returns what each step did.

    `learner`: other arguments of Learner, such as `device`.
    """
    learn = Learner.pretrained(arch, images, seed=seed, **learner)
    with progress.bar("eight_steps: 8 steps", 8) as bar:
        report = Report(learn, bar)
        learn.activations()
        report.add("augmentation on, precompute on", chose=f"augmentation {images.augment.name}")

        head_lr = learn.lr_find().steepest
        report.add("find a learning rate", head_lr, "where the loss falls fastest")

        epochs = max(2, math.ceil(HEAD_STEPS / learn.n_batches))
        learn.fit(head_lr, 1, cycle_len=epochs)
        report.add("train the head", head_lr)

        learn.precompute = False
        learn.fit(head_lr, 2, cycle_len=1)
        report.add("train the head with augmentation", head_lr)

        learn.unfreeze()
        learn.optimizer = radam  # what ImageNet taught is easily lost in rough first steps
        report.add("unfreeze", chose="all layer groups train from here on")

        ratios, chose = lr_ratios(learn)
        report.add("lower LRs for earlier layers", ratios, chose)
        learn.label_smoothing = SMOOTHING * (ratios[0] == 1 and learn.n_batches >= MANY)

        lr, chose = whole_network_lr(learn, ratios)
        lrs = [lr * share for share in ratios]
        report.add("find the learning rate again", lrs, chose)

        train_until_overfitting(learn, lrs)
        report.add("train the whole network", lrs)
        report.finish()
    return report


def lr_ratios(learn: Learner) -> tuple[list[float], str]:
    """Each layer group's LR as a share of the head's, and why; the body must still be untouched.

    The more the pictures look like ImageNet's, the better the early layers fit already and the
    less they should change: each group 10 or 3 times less than the next, or as much as the next.
    """
    sure = familiarity(learn.model, learn.images.train.images)
    times = next(times for at_least, times in LR_RATIOS.items() if sure >= at_least)
    why = f"{times:g} times for each group: ImageNet's classifier is {sure:.0%} sure of these"
    return [times ** (i + 1 - len(learn.groups)) for i in range(len(learn.groups))], why


def whole_network_lr(learn: Learner, ratios: list[float]) -> tuple[float, str]:
    """The head's LR for training all groups, and why: the finder's, unless it is far from safe."""
    found = learn.lr_find(ratios, steps=40).suggestion  # 40 batches, as each one takes its time
    if SAFE_LR / 3 <= found <= SAFE_LR * 3:
        return found, "a tenth of the LR where the finder's loss is lowest"
    return SAFE_LR, f"the finder says {found:.0e}, far from what has served before: that instead"


def train_until_overfitting(learn: Learner, lrs: list[float]) -> None:
    """Cosine cycles of 1, 2, 4 epochs until they overfit; the best cycle is kept.

    Overfitting: the validation loss rises, and the accuracy is no better than it has been. Best is
    the highest accuracy, and of equal ones the lowest loss. What came before the first cycle
    competes too, and the first cycle may make things worse: it has to shake the network loose.
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
        elif cycle and loss > before:
            break
    learn.model.load_state_dict(weights)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
