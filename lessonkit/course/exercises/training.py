"""Exercises in which the reader trains: a function of theirs is run, and its accuracy measured.

The network and its pictures come from `start(seed)`, where possible others than those on the page,
and are new for each seed; what counts is the mean over the seeds. The accuracy asked for should be
one that the default and careless choices miss, which tests/test_exercises.py checks.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lessonkit.course.exercises.judges import Exercise, Verdict, failure, no_function
from lessonkit.course.time_limit import TooLate, time_limit
from lessonkit.images.image_data import ImageData
from lessonkit.learner import Diverged, Learner
from lessonkit.machine import progress

__all__ = ["Refused", "train_unvalidated", "training"]


class Refused(ValueError):
    """What the reader's function does or returns can't count; the message says why."""


class _NotTheirs(Exception):
    """What failed before the reader's function was called; its cause says what."""


def training(
    start: Callable[[int], Learner],
    well: float,
    why: str,
    hint: str,
    stronger: str,
    about: Callable[[Learner, float], str] = lambda learn, accuracy: "",
    use: Callable[[Learner, Any], None] = lambda learn, answer: answer(learn),
    epochs: int | None = None,
    seeds: Sequence[int] = (7,),
    seconds: float = 300.0,
) -> Exercise:
    """The answer is a function with which `use` trains what `start(seed)` returns.

    Right if the mean accuracy on the learner's validation pictures is `well` or better, after at
    most `epochs` epochs and `seconds` for all `seeds`; no more of these are run once it is wrong.
    `about(learn, accuracy)` names what is still wrong with the last of the runs, or nothing; then
    it is right only if that is empty. It is asked after each run with 1.0, too: what it says then
    is wrong at any accuracy. An error of `start` (say, no weights) is raised: it's not theirs.
    """

    def judge(answer: Any) -> Verdict:
        if refused := no_function(answer):
            return Verdict("wrong", refused)
        found: list[float] = []  # the accuracies
        try:
            with progress.quiet(), time_limit(seconds):
                for seed in seeds:
                    learn, accuracy = _run(start, use, answer, seed, epochs)
                    if not learn.history.lr:
                        waits = "waits for your answer: nothing has been trained yet."
                        return Verdict("waiting", waits)
                    found.append(accuracy)
                    at_best = (sum(found) + len(seeds) - len(found)) / len(seeds)
                    if at_best < well or about(learn, 1.0):  # no other seed makes it right
                        break
        except _NotTheirs as error:
            raise error.__cause__ from None
        except Exception as error:  # whatever the reader's code does wrong is what is reported
            return Verdict("wrong", _what_failed(error, seconds))
        accuracy = round(sum(found) / len(found), 9)
        wrong = about(learn, accuracy)
        if accuracy >= well and not wrong:
            return Verdict("right", why)
        if accuracy < well:
            wrong = _too_few(learn, epochs) or wrong
        reached = f"It reaches an accuracy of {_cut(accuracy):.3f}; {well:.2f} is asked for."
        return Verdict("wrong", f"{reached} {wrong or hint}")

    return Exercise(judge, hint, lambda given: stronger)


def train_unvalidated(learn: Learner, lrs: Sequence[float]) -> None:
    """What `learn.fit_schedule(lrs)` does to the weights.

    For judges: nothing is validated after each epoch, which would take half the time.
    """
    for _ in learn.steps(lrs):
        pass


def _cut(accuracy: float) -> float:
    """To three digits, never up: an accuracy missed by one picture is seen to be missed."""
    return math.floor(1000 * accuracy) / 1000


def _too_few(learn: Learner, epochs: int | None) -> str:
    """A sentence if the reader has left out some of the `epochs` that there are, else nothing."""
    trained = len(learn.history.lr) / learn.n_batches
    if not epochs or trained > epochs - 0.5:
        return ""
    return (
        f"You have trained for {trained:.2g} of the {epochs} epochs that there are: use them all."
    )


def _what_failed(error: Exception, seconds: float) -> str:
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, Diverged):
        return "The loss exploded: this learning rate is too high. Try a tenth of it."
    if isinstance(error, TooLate):
        return f"It takes more than {seconds:.0f} seconds. What does it do more often than needed?"
    return failure(error)


def _run(
    start: Callable, use: Callable, answer: Any, seed: int, epochs: int | None
) -> tuple[Learner, float]:
    """A learner trained with the reader's function, and its accuracy on unseen pictures.

    Its history has the LRs of all steps that were trained, whatever the reader did with it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for readers who draw from torch's own generator
        try:
            learn = start(seed)
        except Exception as error:
            raise _NotTheirs from error
        given = learn.images  # those, whatever the reader's function may put there
        before = [weights.clone() for weights in learn.model.state_dict().values()]
        with _watched(given, epochs) as lrs:
            use(learn, answer)
        learn.history.lr = lrs
        after = learn.model.state_dict().values()
        if not lrs and not all(map(torch.equal, before, after)):
            raise Refused(
                "Your function changes the weights, but not by learn.fit or learn.steps. Train "
                "with one of them: they count the epochs that everybody has."
            )
        if not lrs:
            return learn, 0.0
        right = _outputs(learn, given).argmax(1) == given.valid.labels
    return learn, right.double().mean().item()  # exact: 880 of 1,000 reach 0.88


def _outputs(learn: Learner, given: ImageData) -> Tensor:
    """What the network says of the `given` validation pictures: logits or probabilities."""
    if not learn.precompute:
        return learn.predict(given.valid.images)
    learn.set_data(given)
    return learn._valid_logits()  # the frozen body needn't look at these pictures again


@contextmanager
def _watched(given: ImageData, epochs: int | None) -> Iterator[list[float]]:
    """The LRs of all steps that any learner trains meanwhile, without those of its LR finder.

    Refused on other pictures than the `given` ones, and after as many as there are in `epochs`: a
    fit that would take more is refused before it begins.
    """
    plain_steps, plain_fit = Learner._steps, Learner._follow
    lrs, known, seen = [], given.train.images, 0.0
    most = epochs * len(given.train.labels) if epochs else float("inf")

    def after(learn: Learner, n_steps: int) -> float:
        """How many pictures will have been seen after as many more steps, if they are allowed."""
        nonlocal known
        if learn.images.train.images is not known:
            _need_given(learn.images, given)
            known = learn.images.train.images
        will_be = seen + n_steps * len(known) / learn.n_batches  # batches may have any size
        if will_be > most + 0.5:  # sums of fractions aren't exact
            raise Refused(
                f"Everybody has {epochs} epochs here, and so have you: what is asked for is "
                "a better setting, not more time."
            )
        return will_be

    def fit(learn: Learner, shape: Sequence[float], *args: Any) -> None:
        after(learn, len(shape))
        plain_fit(learn, shape, *args)

    def steps(learn: Learner, optimizer: torch.optim.Optimizer, *args: Any) -> Iterator[Tensor]:
        nonlocal seen
        for loss in plain_steps(learn, optimizer, *args):  # may stop early: counted one by one
            seen = after(learn, 1)
            lrs.append(optimizer.param_groups[-1]["lr"])
            yield loss

    Learner._steps, Learner._follow = steps, fit
    try:
        yield lrs
    finally:
        Learner._steps, Learner._follow = plain_steps, plain_fit


def _need_given(images: ImageData, given: ImageData) -> None:
    """Refused unless all training pictures are among the given ones, at whichever size."""
    same_size = given if images.size == given.size else given.resized(images.size)
    known = {picture.numpy().tobytes() for picture in same_size.train.images}
    if any(picture.numpy().tobytes() not in known for picture in images.train.images):
        raise Refused(
            "It trains on other pictures than those it was given. Leave out as many as you like, "
            "but add none, and none of those that it is judged by."
        )
