"""What the 8 steps did: each step's learning rate, accuracy and seconds, as a table and as JSON."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lessonkit import progress, storage
from lessonkit.learner import Learner

__all__ = ["Report", "Step"]


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

    def add(self, name: str, lr: float | list[float] | None = None, chose: str = "") -> None:
        """Record a step that has just ended; its accuracy is measured if it trained."""
        seconds = self._clock() - self._last
        if not self.steps or not chose:
            self.accuracy = self.learner.validate()[1]
        self.steps.append(Step(name, lr, self.accuracy, seconds, chose))
        self.bar.step()
        self.bar.row({"step": name, "accuracy": self.accuracy, "seconds": seconds})
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
        total = f"{self.accuracy_tta:>34.3f}{self.seconds:>9.1f}"
        return "\n".join([*lines, f"{'test-time augmentation; all seconds':<42}{total}"])

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
        with storage.atomic_path(path) as part:
            text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
            # File names may hold bytes that are no text: backslashes are how JSON writes those.
            part.write_text(text, encoding="utf-8", errors="backslashreplace")


def _lrs(lr: float | list[float] | None) -> str:
    if lr is None:
        return "–"
    return " ".join(f"{value:.1e}" for value in (lr if isinstance(lr, list) else [lr]))
