"""The lesson's 8 steps to an image classifier, one after the other.

One recipe for all pictures: what differs between photos and satellite tiles is measured on the
way, and each step records what it chose.
"""

import json
import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit.files import safe_files
from lessonkit.images.image_data import ImageData, check_images
from lessonkit.learner import Learner
from lessonkit.lr_finder import LRFinderResult
from lessonkit.machine import progress
from lessonkit.machine.bars import Bar
from lessonkit.models import LayerGroups
from lessonkit.training import distributed
from lessonkit.training.history import Diverged
from lessonkit.training.optimizers import radam

__all__ = [
    "Report", "Step", "careful_lr", "eight_steps", "familiarity", "lr_ratios", "train_cycles",
]  # fmt: skip

HEAD_STEPS = 60  # mini-batches of a head's first cycle; two epochs of 200 pictures are only 14
HEAD_CYCLES = 4  # at most, each twice as long as the one before: 900 mini-batches in all
WHOLE_STEPS = 8  # mini-batches of the whole network's first cycle, at least
WHOLE_CYCLES = 4  # at most: of 1, 2, 4 and 8 epochs, or more if those are short
SAFE_LR = 1e-3  # of Adam's kind, head or whole network: has served photos and satellite tiles
ATTEMPTS = 4  # at cycles that diverge, in all: each with a tenth of the LR before
UNFAMILIAR, FAMILIAR = 0.2, 0.6  # below: one LR for all; above: a tenth for each earlier group
CLEARLY = 1.64  # standard errors above guessing: by chance, one run in twenty gets there
FEW, SMALL_BATCH = 1000, 32  # pictures: in batches of 64 an epoch of few would be a few steps
SMOOTHING, MANY = 0.1, 20  # of labels, at most; less for familiar pictures or fewer mini-batches


def eight_steps(
    images: ImageData,
    arch: str = "tf_efficientnet_lite0",
    seed: int = 0,
    hold_out: float = 0.0,
    cycles: int = WHOLE_CYCLES,
    **learner: Any,
) -> "Report":
    """Train a classifier of `images` on top of a pretrained network; returns what each step did.

    The validation set says when to stop and which state to keep, so the accuracy on it is a little
    too good. What a new picture may expect is measured on `images.test`, which chooses nothing.
    Without one, `hold_out` sets that fraction of the training pictures aside for it (of each class,
    drawn by `seed`), from 0 to 0.5; with one, it is ignored. `cycles`: the most in step 8, each
    twice as long as the one before. `learner`: other arguments of Learner, such as `device`; below
    1,000 training pictures the `batch_size` is 32, unless it is given. Raises ValueError for a
    network that can't be had, `cycles` that can't be counted, or a `hold_out` that leaves a class
    without pictures; never because a step diverged.
    """
    check_images(images)
    if not (isinstance(cycles, Integral) and cycles >= 0):
        raise ValueError(f"cycles is a whole number, such as {WHOLE_CYCLES}, not {cycles}.")
    if hold_out and images.test is None:
        images = images.with_hold_out(hold_out, seed)
    if len(images.train.labels) < FEW:
        learner = {"batch_size": SMALL_BATCH} | learner
    learn = Learner.pretrained(arch, images, seed=seed, **learner)
    with progress.bar("eight_steps: 8 steps", 8) as bar:
        report = Report(learn, bar)
        _train_head(learn, report)
        _train_all_layers(learn, report, cycles)
        report.finish()
    return report


def _train_head(learn: Learner, report: "Report") -> None:
    """Steps 1 to 4."""
    report.begin("augmentation on, precompute on")
    learn.activations()
    chose, test = f"augmentation {learn.images.augment.name}", learn.images.test
    chose += f"; {len(test.labels)} pictures choose nothing, for the result" if test else ""
    report.add(chose=chose)

    report.begin("find a learning rate")
    lr, chose = careful_lr(learn.lr_find(), 3 * SAFE_LR)
    report.add(lr, chose)

    report.begin("train the head")
    # Departs from the lesson's one or two epochs: with many pictures a head has far to go, and on
    # stored activations the way takes seconds. Where it begins to learn by heart, the loss tells
    # before the accuracy does.
    epochs = math.ceil(HEAD_STEPS / learn.n_batches)
    lr, note = train_cycles(learn, lr, [epochs * 2**i for i in range(HEAD_CYCLES)], by_loss=True)
    report.add(lr, note=note)

    report.begin("train the head with augmentation")
    learn.precompute = False
    lr, note = train_cycles(learn, lr, [1, 1])
    report.add(lr, note=note)


def _train_all_layers(learn: Learner, report: "Report", cycles: int) -> None:
    """Steps 5 to 8."""
    report.begin("unfreeze")
    learn.unfreeze()
    learn.optimizer = radam  # what ImageNet taught is easily lost in rough first steps
    report.add(chose="all layer groups train from here on")

    report.begin("lower LRs for earlier layers")
    ratios, chose = lr_ratios(learn)
    report.add(chose=chose)
    unfamiliar = 1 - math.log10(ratios[-1] / ratios[-2])
    learn.label_smoothing = SMOOTHING * unfamiliar * min(1.0, learn.n_batches / MANY)

    report.begin("find the learning rate again")  # 40 batches, as each one takes its time
    lr, chose = careful_lr(learn.lr_find(ratios, steps=40), SAFE_LR)
    lrs = [lr * share for share in ratios]
    report.add(lrs, chose)

    report.begin("train the whole network")
    # Departs from the lesson's first cycle of one epoch where that is only a few mini-batches.
    epochs = math.ceil(WHOLE_STEPS / learn.n_batches)
    lrs, note = train_cycles(learn, lrs, [epochs * 2**i for i in range(cycles)])
    report.add(lrs, note=note)


def careful_lr(found: LRFinderResult, at_most: float) -> tuple[float, str]:
    """An LR that the finder's rules agree on, not above `at_most`, and why.

    A single rule fails: an early spike fools `steepest`, and where a few pictures are soon learned
    by heart, the curve has no lowest point. So it takes the lower of two, and stays near what has
    served before. (The lesson: where the loss is still clearly improving, which is 3 to 10 times
    higher, and too high for Adam's kind.) A curve that never falls, or only by chance where the LR
    is tiny, is usual after a head has learned the training pictures, and says nothing about what
    the other layers can learn.
    """
    safe = min(SAFE_LR, at_most)
    if found.never_falls:
        return safe, f"the loss never falls by 5 %: {safe:.0e}, which has served"
    rules = {found.steepest: "where the loss falls fastest"}
    rules[found.lowest / 10] = "a tenth of the lowest point's"
    lr = min(rules)
    if SAFE_LR / 3 <= lr <= at_most:
        return lr, rules[lr]
    kept = at_most if lr > at_most else safe
    return kept, f"{rules[lr]}, {lr:.0e}, is outside what has served: {kept:.0e} instead"


def lr_ratios(learn: Learner) -> tuple[list[float], str]:
    """Each layer group's LR, divided by the head's, and why; for a body that hasn't trained yet.

    The more the pictures look like ImageNet's, the better the early layers fit already and the
    less they should change: each group's LR is 1 to 10 times lower than the next one's. Between the
    two there is no threshold, at which nearly the same pictures would get quite another ratio.
    ValueError for a network that no longer has ImageNet's classifier.
    """
    sure = familiarity(learn.model, learn.images.train.images)
    share = min(max((sure - UNFAMILIAR) / (FAMILIAR - UNFAMILIAR), 0.0), 1.0)
    times = 10**share
    how = f"{times:.1f} times less for each earlier group" if times > 1 else "equal for all groups"
    why = f"{how}: ImageNet's classifier is {sure:.0%} sure of these pictures"
    return [times ** (i + 1 - len(learn.groups)) for i in range(len(learn.groups))], why


def train_cycles(
    learn: Learner, lr: float | list[float], epochs: Sequence[int], by_loss: bool = False
) -> tuple[float | list[float], str]:
    """Train cosine cycles, each of so many `epochs`, until they overfit; keep the last good state.

    Clearly worse is an accuracy that is below the best so far by more than one standard error. A
    few hundred validation pictures can't tell finer differences, and the highest of several
    accuracies is mostly luck, whereas longer training is mostly worth something: so the latest
    state that isn't clearly worse is kept. Overfitting is a cycle that ends clearly worse and gets
    worse, in loss and in accuracy: the first cycles have to shake the network loose, and what they
    lose comes back. `by_loss`, as for a head, which converges: the state with the lowest loss,
    until the loss rises. What came before the first cycle competes too.

    Where a cycle diverges, `fit` puts the weights back, and it is tried again with a tenth of the
    LR, three times at most in all. Returns the LR of the last try, and what happened, if it did.
    """
    n_valid = len(learn.images.valid.labels)
    loss, accuracy = learn.validate()
    lowest, highest, weights, cycle, failures = loss, accuracy, _copy(learn.model), 0, 0
    while cycle < len(epochs) and failures < ATTEMPTS:
        try:
            learn.fit(lr, 1, cycle_len=epochs[cycle])
        except Diverged:
            failures += 1
            if failures < ATTEMPTS:
                lr = lr / 10 if isinstance(lr, Real) else [one / 10 for one in lr]
            continue
        cycle += 1
        before, (loss, accuracy) = (loss, accuracy), learn.validate()
        standard_error = math.sqrt(highest * (1 - highest) / n_valid)
        if loss < lowest if by_loss else accuracy >= highest - standard_error:
            weights = _copy(learn.model)
        elif cycle > 1 and loss >= before[0] and (by_loss or accuracy <= before[1]):
            break
        lowest, highest = min(loss, lowest), max(accuracy, highest)
        if accuracy == 1.0:  # more could not be seen
            break
    learn.model.load_state_dict(weights)
    if failures == ATTEMPTS:
        return lr, f"diverged at {ATTEMPTS} LRs down to this one: the best state so far is kept"
    times = "once" if failures == 1 else f"{failures} times"
    return lr, f"diverged {times}: weights back, a tenth of the LR" if failures else ""


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def familiarity(model: LayerGroups, images: Tensor) -> float:
    """How sure the network's *old* classifier is about pictures: its mean top probability.

    From 0.001, where none of ImageNet's 1,000 classes fits better than another, to 1. It is asked
    at most 100 of the uint8 pictures [N, 3, S, S], evenly spread, at the size that it knows: at
    others it is too sure of itself. Hendrycks & Gimpel 2016 (arXiv 1610.02136) detect unfamiliar
    pictures this way.
    `model` is one that `models.pretrained` made, in eval mode, its body as it was then (nobody
    checks that); ValueError for one without the old classifier.
    """
    if not getattr(model, "imagenet", ()):
        raise ValueError("Only a network from models.pretrained has an old classifier to ask.")
    n = min(100, len(images))
    sample = images[torch.arange(n) * len(images) // n].float()  # they may lie class by class
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
    chose: str = ""  # what a step that doesn't train decided, and why
    note: str = ""  # what went wrong on the way
    accuracy_test: float | None = None  # on pictures that chose nothing, if there are any


@dataclass
class Report:
    """The steps so far, and the learner that they train."""

    learner: Learner
    bar: Bar = field(repr=False)
    steps: list[Step] = field(default_factory=list)
    accuracy: float = 0.0
    accuracy_tta: float = 0.0
    accuracy_test: float | None = None
    accuracy_test_tta: float | None = None
    seconds: float = 0.0

    def __post_init__(self):
        self._started = self._last = self._clock()

    def begin(self, name: str) -> None:
        """Say which step comes next."""
        self._name = name
        self.bar.stage(f"{len(self.steps) + 1} {name}")

    def add(self, lr: float | list[float] | None = None, chose: str = "", note: str = "") -> None:
        """Record the step that just ended; accuracy is measured if it trained or is the first."""
        seconds = self._clock() - self._last
        if not self.steps or not chose:
            self.accuracy, self.accuracy_test = self.learner.validate()[1], self._on_test()
        step = Step(self._name, lr, self.accuracy, seconds, chose, note, self.accuracy_test)
        self.steps.append(step)
        self.bar.step()
        self.bar.row({"accuracy": self.accuracy, "seconds": seconds})
        self._last = self._clock()

    def finish(self) -> None:
        """Stop the clock, then measure the accuracy with test-time augmentation."""
        self.seconds = self._clock() - self._started
        self.accuracy_tta = self.learner.validate(tta=True)[1]
        self.accuracy_test_tta = self._on_test(tta=True)

    def _on_test(self, tta: bool = False) -> float | None:
        test = self.learner.images.test
        if test is None:
            return None
        right = self.learner.predict(test.images, tta).argmax(1) == test.labels
        return distributed.first(lambda: right.float().mean().item())

    @property
    def result(self) -> str:
        """What new pictures may expect, in a sentence, and how much it is worth."""
        images = self.learner.images
        if images.test is None:
            labels, accuracy = images.valid.labels, self.accuracy
            n = len(images.train.labels)
            said = (
                f"{accuracy:.3f} on the {len(labels)} validation pictures, which also chose when "
                "to stop: new ones may do a little worse. A folder test/ beside train/ would tell, "
                f"or a fifth held out, which costs {round(n / 5)} of the {n} training pictures."
            )
        else:
            labels, accuracy = images.test.labels, self.accuracy_test
            said = f"{accuracy:.3f} on the {len(labels)} test pictures, which chose nothing."
        commonest = images.train.labels.mode().values.item()
        guess = (labels == commonest).float().mean().item()
        if accuracy <= guess + CLEARLY * math.sqrt(guess * (1 - guess) / len(labels)):
            said += (
                f" That is not clearly better than always saying {images.classes[commonest]} "
                f"({guess:.3f}): do the pictures show what their labels say, and are there enough?"
            )
        return f"Result: {said}"

    def _clock(self) -> float:
        # Epochs that a checkpoint makes unnecessary count too: they took their time in another run.
        checkpoint = self.learner.checkpoint
        return time.perf_counter() + (checkpoint.seconds if checkpoint else 0.0)

    def table(self) -> str:
        """The steps, one to a line, and the result, for people to read."""
        lines = [f"{'':<42}{'LR':>24}{'accuracy':>10}{'seconds':>9}"]
        for number, step in enumerate(self.steps, 1):
            name = f"{number} {step.name}"
            lines.append(f"{name:<42}{_lrs(step.lr):>24}{step.accuracy:>10.3f}{step.seconds:>9.1f}")
            lines += [f"  {said}" for said in (step.chose, step.note) if said]
        lines.append(f"{'all 8 steps':<66}{self.accuracy:>10.3f}{self.seconds:>9.1f}")
        lines.append(f"{'with test-time augmentation':<66}{self.accuracy_tta:>10.3f}")
        return "\n".join([*lines, *textwrap.wrap(self.result, 85)])

    def as_dict(self) -> dict:
        """The report as numbers, strings and lists, for JSON; with a test set's accuracy if any."""
        images = self.learner.images
        on_test = {}
        if images.test is not None:
            on_test = {"n_test": len(images.test.labels), "accuracy_test": self.accuracy_test}
            on_test |= {"accuracy_test_tta": self.accuracy_test_tta}
        return {
            "accuracy": self.accuracy,
            "accuracy_tta": self.accuracy_tta,
            "seconds": self.seconds,
            "classes": images.classes,
            "n_train": len(images.train.labels),
            "n_valid": len(images.valid.labels),
            "steps": [asdict(step) for step in self.steps],
            "skipped": [{"path": path, "why": why} for path, why in images.skipped],
            **on_test,
        }

    def write(self, path: str | Path) -> None:
        """Write `as_dict` as JSON; an older file is replaced only once all is written."""
        with safe_files.atomic_path(path) as part:
            text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
            # File names may hold bytes that are no text: backslashes are how JSON writes those.
            part.write_text(text, encoding="utf-8", errors="backslashreplace")


def _lrs(lr: float | list[float] | None) -> str:
    lrs = lr if isinstance(lr, list) else [] if lr is None else [lr]
    return " ".join(f"{value:.1e}" for value in lrs) or "–"
