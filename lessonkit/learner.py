"""The training loop, in the lesson's own words: fit, freeze, precompute, TTA.

From top to bottom: pictures, layer groups, a fit, one epoch, one step, results, files.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit import models
from lessonkit.images.image_data import DataError, ImageData, check_images
from lessonkit.lr_finder import LRFinderResult, check_steps, lr_find
from lessonkit.machine import devices, progress
from lessonkit.schedule import as_schedule, constant, sgdr
from lessonkit.training import distributed, optimizers
from lessonkit.training.history import Diverged, History, Interrupted, check_end, check_loss
from lessonkit.training.memory import all_on, as_one, in_parts, pictures_at_once
from lessonkit.training.optimizers import adamw, sgd

__all__ = ["Diverged", "History", "Interrupted", "Learner", "adamw", "sgd"]


class Learner:
    """A network, the pictures to train it on, and how to train it.

    model: maps uint8 pictures [N, 3, S, S] to logits [N, classes], in float32.
    images: the pictures to train on and to validate with; None for a learner that only predicts.
    seed: decides the order of the pictures and how they are augmented (0).
    optimizer: makes a torch optimiser from a list of parameter groups: `sgd` (the default), `adamw`
        or `radam` of `training.optimizers`, or yours, which keeps the groups that it is given.
    device: "cuda", "mps" or "cpu"; by default the fastest that is there.
    batch_size: how many pictures a mini-batch has at most; by default 64, or 32 where there are
        fewer than 500 for training.
    max_grad_norm: the longest gradient, as a norm over all weights that train, that a step may
        follow; a longer one is shortened to it. math.inf, the default, clips nothing.
    checkpoint: a `training.checkpoint.Checkpoint`, so that killed training can go on; by default
        nothing is written.

    `label_smoothing`, an attribute from 0 (the default) to 1, is the fraction of each target's
    probability that is spread evenly over all classes.
    Raises ValueError for a device that isn't here, and a seed, batch_size or max_grad_norm that
    makes no sense.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageData | None,
        seed: int = 0,
        optimizer: Callable[[list[dict]], torch.optim.Optimizer] = sgd,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        max_grad_norm: float = math.inf,
        checkpoint: Any = None,
    ):
        if not (isinstance(max_grad_norm, Real) and max_grad_norm > 0):  # nor a NaN
            raise ValueError(
                f"max_grad_norm is a length above 0, not {max_grad_norm}; math.inf clips nothing."
            )
        if not (isinstance(seed, Integral) and -(2**63) <= seed < 2**64):  # torch takes no others
            raise ValueError(f"seed is a whole number of at most 64 bits, such as 0, not {seed}.")
        self.device = devices.chosen(device)
        self.model = model.to(self.device)
        self.groups = models.layer_groups(model)
        self.optimizer = optimizer
        self.max_grad_norm = max_grad_norm
        self.label_smoothing = 0.0
        self.checkpoint = checkpoint
        self.generator = torch.Generator().manual_seed(int(seed))
        self.history = History()
        self.frozen_to = 0  # groups before this one are frozen
        self._images, self.augment = None, None
        self.batch_size = batch_size
        self._precompute = self._said_that_augmentation_waits = False
        # A graphics card must be waited for each time that a loss is read: once an epoch is enough.
        self._reads_each_loss = self.device.type == "cpu"
        self._half = devices.half_type(self.device)
        self._bfloat16: bool | None = None  # may a frozen body use it? found out when first needed
        self._activations: tuple = (None, None, {})  # pictures, their _glance, their activations
        if images is not None:
            self.set_data(images)

    @classmethod
    def pretrained(
        cls, arch: str, images: ImageData, precompute: bool = True, seed: int = 0, **kwargs: Any
    ) -> "Learner":
        """A network trained on ImageNet with a new head for the classes of `images`.

        Only the head is unfrozen. With `precompute` it trains on cached activations of the body.
        `arch` and errors are as in `models.pretrained`; `kwargs` are other arguments of Learner.
        """
        check_images(images)
        model = models.pretrained(arch, len(images.classes))
        learn = cls(model, images, seed, **{"optimizer": adamw, "max_grad_norm": 1.0, **kwargs})
        learn.freeze()
        learn.precompute = precompute
        return learn

    # --- Pictures -------------------------------------------------------------------------------

    @property
    def images(self) -> ImageData:
        """The pictures; DataError for a learner that has none, such as one that was loaded."""
        if self._images is None:
            raise DataError(
                "This learner has no pictures: give it some by learn.set_data(images), or by "
                "Learner.load(path, images)."
            )
        return self._images

    def set_data(self, images: ImageData) -> None:
        """Go on with other pictures, such as larger ones; DataError unless classes are the same."""
        check_images(images)
        known = getattr(self, "classes", images.classes)
        if images.classes != known:
            has = ", ".join(images.classes)
            raise DataError(f"This network knows the classes {', '.join(known)}; these have {has}.")
        self._images, self.classes, self.size = images, images.classes, images.size
        self.augment = images.augment

    @property
    def batch_size(self) -> int:
        """How many pictures a mini-batch has at most; may be set, to None for the usual number."""
        return self._batch_size or (64 if len(self.images.train.labels) >= 500 else 32)

    @batch_size.setter
    def batch_size(self, n: int | None) -> None:
        if not (n is None or (isinstance(n, Integral) and n >= 1)):
            raise ValueError(f"batch_size is a whole number of pictures from 1 on, not {n!r}.")
        self._batch_size = n if n is None else int(n)

    @property
    def n_batches(self) -> int:
        """How many mini-batches an epoch has."""
        return math.ceil(len(self.images.train.labels) / self.batch_size)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: (inputs, labels) in a new random order, batches of nearly equal sizes.

        Inputs are augmented pictures, uint8 [n, 3, S, S], or activations, float32 [n, features],
        while `precompute` is on; labels are int64 [n]. Of several processes each gets its part.
        ValueError for an augmentation that gives other pictures than uint8 ones.
        """
        images, labels = self.images.train
        source = all_on(self.device, self.activations()["train"] if self.precompute else images)
        order = torch.randperm(len(labels), generator=self.generator).to(source.device)
        labels = labels.to(source.device)
        draws = distributed.own_draws(self.generator)
        for rows in map(distributed.share, order.tensor_split(self.n_batches)):
            inputs, truth = source[rows].to(self.device), labels[rows].to(self.device)
            yield inputs if self.precompute else self._augmented(inputs, draws), truth

    def _augmented(self, inputs: Tensor, draws: torch.Generator) -> Tensor:
        varied = self.augment(inputs, draws)
        # Floats from 0 to 1 would be taken for bytes: the network would learn from black pictures.
        if varied.dtype != inputs.dtype or len(varied) != len(inputs):
            raise ValueError(
                "An augmentation gives back as many pictures as it gets, uint8 from 0 to 255, not "
                f"{str(varied.dtype).removeprefix('torch.')} {list(varied.shape)}."
            )
        return varied

    # --- Layer groups ---------------------------------------------------------------------------

    def freeze_to(self, i: int) -> None:
        """Freeze the layer groups before group `i`: their weights stay, they run in eval mode.

        A negative `i` counts from the end, as in a list. ValueError for a group that isn't there.
        """
        if not (isinstance(i, Integral) and -len(self.groups) <= i < len(self.groups)):
            raise ValueError(f"The layer groups have numbers to {len(self.groups) - 1}, not {i}.")
        self.frozen_to = range(len(self.groups))[i]
        for n, group in enumerate(self.groups):
            group.requires_grad_(n >= self.frozen_to)
        if self.precompute and not self._only_head_trains():
            self._precompute = False
            progress.note("precompute is off now: activations of layers that train can't be kept.")

    def freeze(self) -> None:
        """Train the last group, the head, only. ValueError for a network that is one group."""
        if len(self.groups) == 1:
            raise ValueError(
                "There is nothing to freeze: this network is a single layer group. Make it a "
                "models.LayerGroups(body, head), and the body can be frozen."
            )
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Train all layer groups."""
        self.freeze_to(0)

    @property
    def precompute(self) -> bool:
        """True: the head trains on stored activations, un-augmented; ValueError if more trains."""
        return self._precompute

    @precompute.setter
    def precompute(self, on: bool) -> None:
        if on and not self._only_head_trains():
            raise ValueError("precompute needs a frozen body below a head: call freeze() first.")
        self._precompute = bool(on)

    def activations(self) -> dict[str, Tensor]:
        """The frozen body's output for "train" and "valid" pictures, float32 [N, features].

        Computed once for these weights and pictures, then read from the cache.
        """
        from lessonkit.training import activations  # from scratch nobody needs them

        return activations.of(self)

    def _body(self) -> nn.Module:
        return nn.Sequential(*self.groups[:-1])

    def _only_head_trains(self) -> bool:
        return len(self.groups) > 1 and self.frozen_to == len(self.groups) - 1

    def _trained_part(self) -> nn.Module:
        return self.groups[-1] if self._only_head_trains() else self.model

    def _train_mode(self) -> None:
        for n, group in enumerate(self.groups):
            group.train(n >= self.frozen_to)

    # --- A fit ----------------------------------------------------------------------------------

    def fit(
        self,
        lr: float | Sequence[float],
        n_cycle: int,
        cycle_len: int | None = None,
        cycle_mult: int = 1,
    ) -> None:
        """Train for `n_cycle` epochs at a constant LR, or for `n_cycle` cosine cycles.

        Cycle k takes cycle_len * cycle_mult**k epochs. `lr` is one number for all unfrozen groups
        or one for each group. Every fit starts a fresh optimiser; its momentum survives restarts.
        Raises ValueError for a bad LR, Diverged when the loss explodes, Interrupted after Ctrl-C.
        """
        lrs = optimizers.lr_per_group(lr, len(self.groups), self.frozen_to)
        if cycle_len is None and cycle_mult != 1:
            raise ValueError("cycle_mult needs a cycle_len: without one the LR stays constant.")
        length = 1 if cycle_len is None else cycle_len
        cycles = sgdr(1.0, n_cycle, length, cycle_mult, self.n_batches)
        self._follow(constant(1.0, len(cycles)) if cycle_len is None else cycles, lrs)

    def fit_schedule(self, lrs: Sequence[float], ratios: float | Sequence[float] = 1.0) -> None:
        """Train along any schedule, such as `schedule.one_cycle(3e-3, 5 * learn.n_batches)`.

        A group's LR is that of `lrs` [steps], one for each mini-batch, times its own of `ratios`,
        or the one for all. There may be any number of steps: the last epoch may end early, and is
        validated then. All else is as in `fit`.
        """
        shares = optimizers.lr_per_group(ratios, len(self.groups), self.frozen_to)
        self._follow(as_schedule(lrs), shares)

    def steps(self, lrs: Sequence[float], ratios: float | Sequence[float] = 1.0) -> Iterator[float]:
        """Train along `lrs` as `fit_schedule` does, but step by step: yields each step's loss.

        For experiments that look at the network between two steps, in eval mode too, or stop when
        they like. Nothing is validated, recorded or put back here.
        """
        shares = optimizers.lr_per_group(ratios, len(self.groups), self.frozen_to)
        try:
            for loss in self._steps(self._new_optimizer(shares), as_schedule(lrs), shares):
                yield loss.item()
                self._train_mode()
        finally:
            self.model.eval()

    def lr_find(self, lr: float | Sequence[float] = 1.0, steps: int = 100) -> LRFinderResult:
        """Run the LR finder on the unfrozen groups: 1e-5 to 10 over `steps` batches.

        Of `lr`, only the ratios between the groups count. Leaves everything as it was, but in eval
        mode, as after a fit. Raises ValueError for a bad LR or number of steps.
        """
        lrs = optimizers.lr_per_group(lr, len(self.groups), self.frozen_to)
        batches, steps = self._endless_batches(), check_steps(steps)
        optimizer, state = self._new_optimizer(lrs), self.generator.get_state()
        with progress.bar(f"lr_find: up to {steps} batches", steps) as bar:

            def step(_, inputs: Tensor, labels: Tensor) -> float:
                loss = self._step(optimizer, inputs, labels).item()
                bar.step(loss=loss, lr=optimizer.param_groups[-1]["lr"])
                return loss

            train = partial(step, self.augment)  # so that its random numbers, too, are put back
            try:
                self._train_mode()
                return lr_find(
                    self.model, optimizer, batches, F.cross_entropy, steps=steps, train_step=train
                )
            finally:
                self.generator.set_state(state)
                self.model.eval()

    def _follow(self, shape: np.ndarray, lrs: list[float]) -> None:
        """A fit: one step for each number of `shape`, at that number times each group's LR."""
        epochs = np.split(shape, range(self.n_batches, len(shape), self.n_batches))
        self._say_once_that_augmentation_waits()
        before = {name: t.clone() for name, t in self._trained_part().state_dict().items()}
        optimizer, start = self._new_optimizer(lrs), len(self.history.loss)
        with progress.bar(f"fit: {len(epochs)} epoch{'s'[: len(epochs) > 1]}", len(shape)) as bar:
            try:
                if self.checkpoint:
                    epochs = self.checkpoint.remaining(self, optimizer, epochs)
                for epoch in epochs:
                    self._train_epoch(optimizer, epoch, lrs, start, bar)
            except Diverged:
                self._trained_part().load_state_dict(before)
                raise
            except KeyboardInterrupt:
                raise Interrupted from None
            finally:
                self.model.eval()

    def _say_once_that_augmentation_waits(self) -> None:
        waits = self.precompute and getattr(self.augment, "name", "") != "none"
        if waits and not self._said_that_augmentation_waits:
            self._said_that_augmentation_waits = True
            progress.note(
                "precompute is on: the head trains on stored activations of unaugmented pictures,\n"
                "so augmentation does nothing until you set learn.precompute = False."
            )

    def _new_optimizer(self, lrs: list[float]) -> torch.optim.Optimizer:
        smoothing = self.label_smoothing  # torch takes a negative one, or NaN, for none
        if not (isinstance(smoothing, Real) and 0 <= smoothing <= 1):
            raise ValueError(f"label_smoothing is a fraction from 0 to 1, not {smoothing}.")
        # Small float16 gradients would become 0, so they are scaled up; other types need nothing.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._half is torch.float16)
        return self.optimizer(optimizers.parameter_groups(self.groups, lrs, self.frozen_to))

    # --- One epoch ------------------------------------------------------------------------------

    def _train_epoch(self, optimizer, shape: np.ndarray, lrs: list[float], start: int, bar) -> None:
        """Train, then validate; the history had `start` mini-batches when the fit began."""
        started, losses = time.perf_counter(), self.history.loss
        first = len(losses)
        unread: list[tuple[float, Tensor]] = []
        try:
            for factor, loss in zip(shape, self._steps(optimizer, shape, lrs), strict=True):
                lr = float(lrs[-1] * factor)
                unread.append((lr, loss))
                if self._reads_each_loss:
                    self._read(unread, start)
                known = {"loss": losses[-1]} if len(losses) > start else {}
                bar.step(**known, lr=lr)
        finally:
            self._read(unread, start)
        distributed.same_buffers(self.model)
        valid_loss, accuracy = self.validate()
        check_end(valid_loss, self.history.lr[start:])
        sizes = [len(part) for part in self.images.train.labels.tensor_split(self.n_batches)]
        row = {
            "epoch": len(self.history.epochs) + 1,
            "lr": self.history.lr[-1],
            "train_loss": float(np.average(losses[first:], weights=sizes[: len(shape)])),
            "valid_loss": valid_loss,
            "accuracy": accuracy,
            "seconds": time.perf_counter() - started,
        }
        self.history.epochs.append(row)
        self.history.ends.append(len(losses))
        bar.row(row)

    def _read(self, unread: list[tuple[float, Tensor]], start: int) -> None:
        """Move LRs and losses into the history; Diverged if the loss has exploded."""
        history, read = self.history, unread[:]
        unread.clear()
        for lr, loss in read:
            history.loss.append(loss.item())  # waits for the card: Ctrl-C may come here
            history.lr.append(lr)
            check_loss(history.loss[start:], history.lr[start:], self.n_batches, len(self.classes))

    # --- One step -------------------------------------------------------------------------------

    def _steps(self, optimizer, shape: np.ndarray, lrs: list[float]) -> Iterator[Tensor]:
        """Train on a mini-batch for each number of `shape`; yields losses, still on the device."""
        self._train_mode()
        batches = self._endless_batches()
        for factor, (inputs, labels) in zip(shape.tolist(), batches, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = lrs[group["layer_group"]] * factor
            yield self._step(optimizer, inputs, labels)

    def _endless_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return chain.from_iterable(iter(self.batches, None))  # one epoch after the other

    def _step(self, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward and one step of the optimiser; returns the loss, on the device."""
        optimizer.zero_grad()
        network, loss = self._trained_part(), torch.zeros((), device=self.device)
        n = pictures_at_once(self.model, inputs)  # all of them, if they aren't large
        for part, truth in zip(inputs.split(n), labels.split(n), strict=True):
            share = len(truth) / len(labels)
            with torch.autocast(self.device.type, self._half, enabled=self._half is not None):
                logits = self._checked(network(self._features(part)))
                goal = F.cross_entropy(logits, truth, label_smoothing=self.label_smoothing)
            self._scaler.scale(goal * share).backward()
            plain = F.cross_entropy(logits.float(), truth) if self.label_smoothing else goal
            loss += plain.detach() * share  # without smoothing, as in validation
        training = nn.ModuleList(self.groups[self.frozen_to :])  # frozen ones keep old gradients
        loss = distributed.average(training, loss, len(labels))
        self._scaler.unscale_(optimizer)
        if self.max_grad_norm < math.inf:
            nn.utils.clip_grad_norm_(training.parameters(), self.max_grad_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        return loss

    def _checked(self, logits: Any) -> Tensor:
        """The network's outputs; ValueError unless each picture has one for each class."""
        shape, n = list(getattr(logits, "shape", ())), len(self.classes)
        if len(shape) != 2 or shape[1] != n:
            raise ValueError(
                f"For {n} classes the network must give logits [N, {n}], one for each picture and "
                f"class, not {shape or type(logits).__name__}: give it another last layer."
            )
        return logits

    def _features(self, inputs: Tensor) -> Tensor:
        """What the part of the network that trains is given, of a batch from `batches()`."""
        if self.precompute or not self._only_head_trains():
            return inputs
        from lessonkit.training import activations

        return activations.run(self._body(), inputs, activations.use_bfloat16(self))

    # --- Results --------------------------------------------------------------------------------

    def validate(self, tta: bool = False) -> tuple[float, float]:
        """(loss, accuracy) on the validation set as it is, or with `tta` over fixed views of it."""
        labels = self.images.valid.labels
        logs = self.tta().clamp_min(1e-12).log() if tta else self._valid_logits().log_softmax(1)
        loss, right = F.nll_loss(logs, labels), logs.argmax(1) == labels
        return distributed.first(lambda: (loss.item(), right.float().mean().item()))

    def tta(self) -> Tensor:
        """Test-time augmentation: probabilities [n_valid, classes], the mean over fixed views."""
        return self.predict(self.images.valid.images, tta=True)

    @torch.no_grad()
    def predict(
        self, images: Tensor | str | Path | Iterable[str | Path], tta: bool = False
    ) -> Tensor:
        """Probabilities [N, classes] for uint8 pictures [N, 3, S, S] or paths of picture files.

        A single picture [3, S, S] or path is N = 1; with `tta` they are means over fixed views.
        Raises DataError for anything else, and for a file that gives no picture; with `tta`
        ValueError where the augmentation has no views.
        """
        from lessonkit.images.as_pictures import as_pictures  # training needs none of it

        images = as_pictures(images, getattr(self, "size", 0))
        if tta and not hasattr(self.augment, "views"):
            raise ValueError("TTA takes an augmentation with views(pictures): this one has none.")
        self.model.eval()

        def mean_of_views(batch: Tensor) -> Tensor:
            views = self.augment.views(batch) if tta else [batch]
            return torch.stack([self._probabilities(view) for view in views]).mean(0)

        return as_one(map(mean_of_views, in_parts(images, 64, self.device)), len(images))

    def _probabilities(self, batch: Tensor) -> Tensor:
        logits = self.model(batch)
        return (self._checked(logits) if hasattr(self, "classes") else logits).softmax(1)

    @torch.no_grad()
    def _valid_logits(self) -> Tensor:
        self.model.eval()
        source = self.activations()["valid"] if self.precompute else self.images.valid.images
        features = map(self._features, in_parts(source, self.batch_size, self.device))
        return self._checked(as_one(map(self._trained_part(), features), len(source)))

    def plot_lr(self, ax: Any = None) -> Any:
        """Draw the LR of every mini-batch so far; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.lr_history(self.history, ax)

    def plot_loss(self, ax: Any = None) -> Any:
        """Draw the loss of every mini-batch and of each epoch; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.loss_history(self.history, ax)

    # --- Files ----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write network, classes, size and settings to a file without code: `model_files.write`."""
        from lessonkit.files import model_files

        model_files.write(path, self)

    @classmethod
    def load(cls, path: str | Path, images: ImageData | None = None, **kwargs: Any) -> "Learner":
        """A learner saved by `save`, for predicting, or with `images` for training on.

        It trains as the saved one did, but without precompute, with `images`' augmentation, and as
        `kwargs`, arguments of Learner, say. Raises safe_files.ModelFileError for any other, damaged
        or altered file, DataError when `images` have other classes.
        """
        from lessonkit.files import model_files

        model, arguments, attributes = model_files.read(path)
        learn = cls(model, None, **(arguments | kwargs))
        learn.freeze_to(attributes.pop("frozen_to"))
        vars(learn).update(attributes)
        if images is not None:
            learn.set_data(images)
        return learn
