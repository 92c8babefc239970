"""The lesson's 8 steps to an image classifier, one after the other.

One recipe for all pictures: what differs between photos and satellite tiles is measured on the
way, and each step records what it chose.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit.files import safe_files
from lessonkit.images.image_data import ImageData
from lessonkit.learner import Learner
from lessonkit.machine import progress
from lessonkit.models import LayerGroups
from lessonkit.training import distributed
from lessonkit.training.history import Diverged
from lessonkit.training.optimizers import radam

__all__ = [
    "Report", "Step", "eight_steps", "familiarity", "lr_ratios", "train_until_overfitting",
    "whole_network_lr",
]  # fmt: skip

HEAD_STEPS = 60  # mini-batches that a new head needs; two epochs of 200 pictures are only 14
LR_RATIOS = {0.5: 10.0, 0.3: 3.0, 0.0: 1.0}  # familiar at least -> times less a group
SAFE_LR = 1e-3  # of the head, in whole networks: has served both photos and satellite tiles
SMOOTHING, MANY = 0.1, 20  # of labels, if unfamiliar pictures fill so many mini-batches an epoch
MAX_CYCLES = 3  # of 1, 2 and 4 epochs


def eight_steps(
    images: ImageData, arch: str = "tf_efficientnet_lite0", seed: int = 0, **learner: Any
) -> "Report":
    """Train a classifier of `images` on top of a pretrained network; returns what each step did.

    `learner`: other arguments of Learner, such as `device`.
    """
    learn = Learner.pretrained(arch, images, seed=seed, **learner)
    with progress.bar("eight_steps: 8 steps", 8) as bar:
        report = Report(learn, bar)
        report.begin("augmentation on, precompute on")
        learn.activations()
        report.add(chose=f"augmentation {images.augment.name}")

        report.begin("find a learning rate")
        head_lr = learn.lr_find().steepest
        report.add(head_lr, "where the loss falls fastest")

        report.begin("train the head")
        epochs = max(2, math.ceil(HEAD_STEPS / learn.n_batches))
        learn.fit(head_lr, 1, cycle_len=epochs)
        report.add(head_lr)

        report.begin("train the head with augmentation")
        learn.precompute = False
        learn.fit(head_lr, 2, cycle_len=1)
        report.add(head_lr)

        report.begin("unfreeze")
        learn.unfreeze()
        learn.optimizer = radam  # what ImageNet taught is easily lost in rough first steps
        report.add(chose="all layer groups train from here on")

        report.begin("lower LRs for earlier layers")
        ratios, chose = lr_ratios(learn)
        report.add(chose=chose)
        learn.label_smoothing = SMOOTHING * (ratios[0] == 1 and learn.n_batches >= MANY)

        report.begin("find the learning rate again")
        lr, chose = whole_network_lr(learn, ratios)
        lrs = [lr * share for share in ratios]
        report.add(lrs, chose)

        report.begin("train the whole network")
        train_until_overfitting(learn, lrs)
        report.add(lrs)
        report.finish()
    return report


def lr_ratios(learn: Learner) -> tuple[list[float], str]:
    """Each layer group's LR as a share of the head's, and why; the body must still be untouched.

    The more the pictures look like ImageNet's, the better the early layers fit already and the
    less they should change: each group 10 or 3 times less than the next, or as much as the next.
    """
    sure = familiarity(learn.model, learn.images.train.images)
    times = next(times for at_least, times in LR_RATIOS.items() if sure >= at_least)
    how = f"{times:g} times less for each earlier group" if times > 1 else "the same for all groups"
    why = f"{how}: ImageNet's classifier is {sure:.0%} sure of these pictures"
    return [times ** (i + 1 - len(learn.groups)) for i in range(len(learn.groups))], why


def whole_network_lr(learn: Learner, ratios: list[float]) -> tuple[float, str]:
    """The head's LR for training all groups, and why: the finder's, unless it is far from safe."""
    found = learn.lr_find(ratios, steps=40).suggestion  # 40 batches, as each one takes its time
    if SAFE_LR / 3 <= found <= SAFE_LR * 3:
        return found, "a tenth of the LR where the finder's loss is lowest"
    return (
        SAFE_LR,
        f"the usual one, as {found:.0e}, the finder's, is far from what serves others",
    )


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
            progress.say(f"{reason} The best cycle so far is kept.")
            break
        before, (loss, accuracy) = loss, learn.validate()
        if (accuracy, -loss) > best:
            best, weights = (accuracy, -loss), _copy(learn.model)
        elif cycle and loss > before:
            break
    learn.model.load_state_dict(weights)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def familiarity(model: LayerGroups, images: Tensor) -> float:
    """How sure the network's *old* classifier is about pictures: its mean top probability.

    From 0.001, none of ImageNet's 1,000 classes fits better than another, to 1. It is asked about
    100 of the uint8 pictures [N, 3, S, S], at the size that it knows: at others it is too sure of
    itself. Hendrycks & Gimpel 2016 (arXiv 1610.02136) tell unfamiliar pictures this way.
    """
    sample = images[:: max(1, len(images) // 100)][:100].float()
    sides = (model.imagenet_size, model.imagenet_size)
    pictures = F.interpolate(sample, sides, mode="bicubic", antialias=True).clamp(0, 255)
    batches = pictures.to(torch.uint8).split(20)
    device = next(model.parameters()).device
    classifier = model.imagenet[0].to(device)  # hidden from torch, it stayed where it was made
    logits = torch.cat([classifier(model[:-1](batch.to(device))) for batch in batches])
    return distributed.first(lambda: logits.softmax(1).amax(1).mean().item())


# --- What the steps did --------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step: `lr` is a number, one for each layer group, or None where there is none yet."""

    name: str
    lr: float | list[float] | None
    accuracy: float  # on the validation set, as it stands after the step
    seconds: float
    chose: str = ""  # what a step that doesn't train decided


@dataclass
class Report:
    """The steps so far, and the learner that they train."""

    learner: Learner
    bar: progress.Bar = field(repr=False)
    steps: list[Step] = field(default_factory=list)
    accuracy: float = 0.0
    accuracy_tta: float = 0.0
    seconds: float = 0.0

    def __post_init__(self):
        self._started = self._last = self._clock()

    def begin(self, name: str) -> None:
        """Say which step comes next."""
        self._name = name
        self.bar.stage(f"{len(self.steps) + 1} {name}")

    def add(self, lr: float | list[float] | None = None, chose: str = "") -> None:
        """Record the step that has just ended; its accuracy is measured if it trained."""
        seconds = self._clock() - self._last
        if not self.steps or not chose:
            self.accuracy = self.learner.validate()[1]
        self.steps.append(Step(self._name, lr, self.accuracy, seconds, chose))
        self.bar.step()
        self.bar.row({"accuracy": self.accuracy, "seconds": seconds})
        self._last = self._clock()

    def finish(self) -> None:
        """Measure the accuracy with test-time augmentation, and stop the clock."""
        self.accuracy_tta = self.learner.validate(tta=True)[1]
        self.seconds = self._clock() - self._started

    def _clock(self) -> float:
        # What a journal answers in no time did take its time, in the run that it is from.
        return time.perf_counter() + self.learner.journal.seconds

    def table(self) -> str:
        """A line a step, for people."""
        lines = [f"{'':<42}{'LR':>24}{'accuracy':>10}{'seconds':>9}"]
        for number, step in enumerate(self.steps, 1):
            name = f"{number} {step.name}"
            lines.append(f"{name:<42}{_lrs(step.lr):>24}{step.accuracy:>10.3f}{step.seconds:>9.1f}")
            lines += [f"  {step.chose}"] if step.chose else []
        lines.append(f"{'all 8 steps':<66}{self.accuracy:>10.3f}{self.seconds:>9.1f}")
        lines.append(f"{'with test-time augmentation':<66}{self.accuracy_tta:>10.3f}")
        return "\n".join(lines)

    def as_dict(self) -> dict:
        """The report as numbers, strings and lists, for JSON."""
        images = self.learner.images
        return {
            "accuracy": self.accuracy,
            "accuracy_tta": self.accuracy_tta,
            "seconds": self.seconds,
            "classes": images.classes,
            "n_train": len(images.train.labels),
            "n_valid": len(images.valid.labels),
            "steps": [asdict(step) for step in self.steps],
            "skipped": [{"path": path, "why": why} for path, why in images.skipped],
        }

    def write(self, path: str | Path) -> None:
        """Write `as_dict` as JSON; an older file is replaced only once all is written."""
        with safe_files.atomic_path(path) as part:
            text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
            # File names may hold bytes that are no text: backslashes are how JSON writes those.
            part.write_text(text, encoding="utf-8", errors="backslashreplace")


def _lrs(lr: float | list[float] | None) -> str:
    if lr is None:
        return "–"
    return " ".join(f"{value:.1e}" for value in (lr if isinstance(lr, list) else [lr]))
