"""The challenge: the best classifier of unseen parts of the Earth in one minute of training.

What you get are satellite tiles to train on, and others, from other blocks of the map, to validate
with. What you are judged by are tiles from further blocks. The course has trained networks on
those, and its ledger chose some learning rates by them; here they are kept out of training.

A minute is not the same on all machines. So a budget is counted in *course seconds*: the clock
starts after one training step has been timed, and a machine on which that step takes twice as long
as on the course's own gets twice the time. It is the time on the wall that is measured, as
processor time wouldn't count a graphics card's; the step is timed on the processor, so the
leaderboard says which entries had a graphics card.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lessonkit import data, models
from lessonkit.course import hardware, records
from lessonkit.course.datasets import earth_painting, embedded
from lessonkit.course.time_limit import TooLate, time_limit
from lessonkit.images.image_data import ImageData
from lessonkit.learner import Learner

__all__ = [
    "SECONDS", "TO_BEAT", "Entry", "draw", "enter", "forget", "images", "leaderboard", "result",
]  # fmt: skip

SECONDS = 60.0  # course seconds
REFERENCE_STEP = 0.066  # s: small_cnn(8, width=8), 64 tiles of 64 px, one core of a server
GRACE = 1.05  # nobody stops to the millisecond
HIDDEN_SEED = 9  # the first that leaves every class 25 hidden tiles and 100 to train on
NAME = "challenge"


class Entry(NamedTuple):
    """Who entered, the accuracy on the hidden tiles, course seconds, and the device.

    `score` is None for one that was late.
    """

    name: str
    score: float | None
    seconds: float
    device: str


# --- The tiles ----------------------------------------------------------------------------------


@cache
def _rows() -> tuple[np.ndarray, np.ndarray]:
    """Which of the course's training tiles are for training here, and which are hidden."""
    tiles = embedded.earth_tiles()
    left, top, right, bottom = tiles.boxes[~tiles.valid].T
    centres = np.stack([(top + bottom) // 2, (left + right) // 2], 1)
    blocks = earth_painting.sets(centres, HIDDEN_SEED)  # a tile that lies in both is left out
    return np.flatnonzero(blocks == "training"), np.flatnonzero(blocks == "validation")


def images(size: int = 64) -> ImageData:
    """The tiles to train on, and the course's validation tiles; nothing of the hidden blocks."""
    return data.earth(size).with_training(_rows()[0])


def _hidden() -> tuple[Tensor, Tensor]:
    tiles, rows = data.earth().train, _rows()[1]
    return tiles.images[rows], tiles.labels[rows]


# --- Entering -----------------------------------------------------------------------------------


def enter(
    name: str,
    train: Callable[[ImageData, float], Any] | None,
    seconds: float = SECONDS,
    board: list[Entry] | None = None,
) -> Entry | None:
    """Run `train(images, seconds)` in `seconds` course seconds, and judge what it returns.

    It gets the pictures and the seconds that it has on this machine. It returns a Learner, or a
    function from uint8 pictures [N, 3, 64, 64] to probabilities [N, 8]. What takes longer is
    stopped. The entry is added to `board`, or to the leaderboard on your disk. Without a function
    it says that it waits. Raises ValueError for a result that can't be judged.
    """
    if train is None or train is ...:
        print("The challenge waits for your function.")
        return None
    if not callable(train):
        raise ValueError(f"The challenge wants a function, not {train!r}.")
    pace = _step_seconds() / REFERENCE_STEP
    result, used, late = _in_time(train, images(), seconds * pace)
    if not late and result is None:
        print("The challenge waits: your function returns nothing yet.")
        return None
    score = None if late else _score(result)
    entry = Entry(str(name), score, used / pace, hardware.best_device())
    if late:
        print(f"{name} was late: stopped, and entered without a score. Plan for less work.")
    if board is None:
        try:
            records.write(NAME, [*_read(), list(entry)])
        except OSError as error:
            print(f"Your entry can't be kept: {error}")
    else:
        board.append(entry)
    return entry


def _step_seconds() -> float:
    tiles = data.earth().train
    model = models.small_cnn(8, width=8)
    return hardware.training_step_seconds(model, tiles.images[:64], tiles.labels[:64])


def _in_time(train: Callable, pictures: ImageData, seconds: float) -> tuple[Any, float, bool]:
    """What `train` returns, the seconds it took, and whether that was too long."""
    allowed, started = seconds * GRACE, time.perf_counter()
    result, stopped = None, False
    try:
        with time_limit(allowed):
            result = train(pictures, seconds)
    except TooLate:
        stopped = True
    used = time.perf_counter() - started
    return result, used, stopped or used > allowed


def _score(result: Any) -> float:
    """The accuracy on the hidden tiles."""
    tiles, labels = _hidden()
    if isinstance(result, Learner):
        if result.size != tiles.shape[-1]:
            tiles = F.interpolate(tiles, (result.size,) * 2, mode="bilinear", antialias=True)
        result = result.predict
    if not callable(result):
        raise ValueError(
            "An entry returns a Learner or a function from pictures to probabilities, not "
            f"something of type {type(result).__name__}."
        )
    shape, found = (len(labels), len(embedded.CLIMATES)), result(tiles)
    if found is None:
        raise ValueError(
            f"Your function from pictures to probabilities returns nothing: return {list(shape)}."
        )
    try:
        probabilities = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"An entry's function returns probabilities, not something of type "
            f"{type(found).__name__}."
        ) from None
    if not probabilities.isfinite().all():
        raise ValueError("Some of these probabilities are no numbers (NaN), or infinite.")
    if tuple(probabilities.shape) != shape:
        raise ValueError(
            f"For {shape[0]} tiles, probabilities of shape {list(shape)} are wanted, not "
            f"{list(probabilities.shape)}."
        )
    return (probabilities.argmax(1).cpu() == labels).float().mean().item()


# --- The board ----------------------------------------------------------------------------------


def leaderboard(board: list[Entry] | None = None) -> list[Entry]:
    """All entries, and those to beat: the best first, late ones last.

    Without a `board`, those on your disk. `forget()` deletes them.
    """
    if board is None:
        board = [Entry(*row) for row in _read()]

    def height(entry: Entry) -> float:
        return -1.0 if entry.score is None else entry.score

    return sorted([*TO_BEAT, *board], key=height, reverse=True)


def forget() -> None:
    """Delete all entries on your disk."""
    records.forget(NAME)


def result(entry: Entry | None, board: list[Entry] | None = None) -> None:
    """Say how an entry did, and draw the leaderboard with it; for None, which waits, nothing."""
    if entry is None:
        return
    try:
        entries = leaderboard(board)
    except OSError:  # `enter` has said so
        entries = []
    if entry not in entries:  # it couldn't be kept
        entries = leaderboard([entry])
    place = entries.index(entry)
    if entry.score is None:
        said = "late, and so without a score"
    else:
        said = f"{entry.score:.3f} after {entry.seconds:.0f} course seconds"
        said += f", place {place + 1} of {len(entries)}"
    if entry.score is not None and place > 0:
        above = entries[place - 1]
        said += f", {100 * (above.score - entry.score):.1f} points behind “{above.name}”"
    print(f"{entry.name}: {said}.")
    draw(entries, entry)


def draw(entries: list[Entry], newest: Entry | None = None, ax: Any = None) -> Any:
    """The entries as bars, the first on top, the `newest` in orange; returns the axes."""
    import matplotlib.pyplot as plt

    from lessonkit import plot

    ax = ax or plt.subplots(figsize=(8, 0.7 + 0.4 * len(entries)), layout="constrained")[1]
    own = [entry not in TO_BEAT for entry in entries]
    bars = ax.barh(
        range(len(entries)),
        [entry.score or 0 for entry in entries],
        color=[
            plot.COLOURS["orange" if entry == newest else "sky"] if mine else "0.8"
            for entry, mine in zip(entries, own, strict=True)
        ],
        edgecolor="black",
        hatch=["" if mine else "//" for mine in own],
    )
    told = ["late" if entry.score is None else f"{entry.score:.3f}" for entry in entries]
    ax.bar_label(bars, told, padding=3)
    names = [e.name if e.device == "cpu" else f"{e.name} ({e.device})" for e in entries]
    ax.set_yticks(range(len(entries)), names, parse_math=False)
    ax.set(xlabel="accuracy on the hidden tiles; hatched: to be beaten", xlim=(0, 1))
    ax.invert_yaxis()
    return ax


def _read() -> list[list]:
    return records.read(NAME, [_is_entry], [])


def _is_entry(row: Any) -> bool:
    if not (isinstance(row, list) and len(row) == len(Entry._fields)):
        return False
    name, score, seconds, device = row
    in_range = score is None or (isinstance(score, float | int) and 0 <= score <= 1)
    timed = isinstance(seconds, float | int) and seconds >= 0
    return isinstance(name, str) and in_range and timed and isinstance(device, str)


# --- The entries to beat ------------------------------------------------------------------------


# Medians of three seeds, by benchmarks/challenge.py, which has their code, too.
TO_BEAT = [
    Entry("the recipe, as far as it gets", 0.630, 40.7, "cpu"),
    Entry("a small network from scratch", 0.551, 46.9, "cpu"),
]
