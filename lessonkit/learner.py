"""The training loop, and the words that the lesson has for it: fit, freeze, precompute, TTA."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit import models
from lessonkit.files import model_files
from lessonkit.images.image_data import DataError, ImageData, read_pictures
from lessonkit.lr_finder import LRFinderResult, lr_find
from lessonkit.machine import hardware, progress
from lessonkit.schedule import constant, sgdr
from lessonkit.training import activations, distributed, optimizers
from lessonkit.training.checkpoint import Journal
from lessonkit.training.history import Diverged, History, Interrupted, check_loss
from lessonkit.training.memory import as_one, in_parts, pictures_at_once
from lessonkit.training.optimizers import adamw, sgd

__all__ = ["Diverged", "History", "Interrupted", "Learner", "adamw", "sgd"]


class Learner:
    """A network, the pictures to train it on, and how to train it.

    `model` maps uint8 pictures [N, 3, S, S] to logits [N, classes]. `optimizer` makes a torch
    optimiser from a list of parameter groups (one of `training.optimizers`, or yours). `seed`
    decides shuffling and augmentation. `device`: a GPU where there is one, else the CPU.
    `batch_size`: 64, or 32 for fewer than 500 pictures. `clip` is the longest gradient, as a norm
    over all weights, that a step may follow. With a `journal`, killed training can go on.
    `label_smoothing` (0 at first) is the share of certainty that training doesn't ask for.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageData | None,
        seed: int = 0,
        optimizer: Callable[[list[dict]], torch.optim.Optimizer] = sgd,
        device: str | None = None,
        batch_size: int | None = None,
        clip: float = math.inf,
        journal: Journal | None = None,
    ):
        self.device = torch.device(device or hardware.best_device())
        self.model = model.to(self.device)
        self.groups = models.layer_groups(model)
        self.optimizer = optimizer
        self.clip = clip
        self.label_smoothing = 0.0
        self.journal = journal or Journal()
        self.generator = torch.Generator().manual_seed(seed)
        self.history = History()
        self.frozen_to = 0  # groups before this one are frozen
        self._batch_size = batch_size
        self._precompute = self._said_that_augmentation_waits = False
        self._half = hardware.half_type(self.device)
        self._bfloat16: bool | None = None  # may a frozen body use it? asked when first needed
        self._activations: tuple[str, dict[str, Tensor]] = ("", {})
        if images is not None:
            self.set_data(images)

    @classmethod
    def pretrained(
        cls, arch: str, images: ImageData, precompute: bool = True, seed: int = 0, **kwargs: Any
    ) -> "Learner":
        """A network trained on ImageNet with a new head for the classes of `images`.

        Only the head is unfrozen. With `precompute` it trains on cached activations of the body.
        """
        model = models.pretrained(arch, len(images.classes))
        learn = cls(model, images, seed, **{"optimizer": adamw, "clip": 1.0, **kwargs})
        learn.freeze()
        learn.precompute = precompute
        return learn

    # --- Data -----------------------------------------------------------------------------------

    def set_data(self, images: ImageData) -> None:
        """Go on with other pictures of the same classes, such as larger ones."""
        known = getattr(self, "classes", images.classes)
        if images.classes != known:
            raise DataError(
                f"This network knows the classes {', '.join(known)}; the pictures have "
                f"{', '.join(images.classes)}."
            )
        self.images, self.classes, self.size = images, images.classes, images.size
        self.augment = images.augment
        self.batch_size = self._batch_size or (64 if len(images.train.labels) >= 500 else 32)
        self.n_batches = math.ceil(len(images.train.labels) / self.batch_size)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: (inputs, labels) in a new random order, batches of nearly equal sizes.

        Inputs are augmented pictures, or activations while `precompute` is on. Of several processes
        (lessonkit.training.distributed) each gets its share.
        """
        images, labels = self.images.train
        source = self.activations()["train"] if self.precompute else images
        order = torch.randperm(len(labels), generator=self.generator)
        draws = distributed.own_draws(self.generator)
        for rows in map(distributed.share, order.tensor_split(self.n_batches)):
            inputs = source[rows].to(self.device)
            if not self.precompute:
                inputs = self.augment(inputs, draws)
            yield inputs, labels[rows].to(self.device)

    # --- Layer groups ---------------------------------------------------------------------------

    def freeze_to(self, i: int) -> None:
        """Freeze the layer groups before group `i`: their weights stay, they run in eval mode."""
        self.frozen_to = range(len(self.groups))[i]
        for n, group in enumerate(self.groups):
            group.requires_grad_(n >= self.frozen_to)
        if self.precompute and not self._only_head_trains():
            self._precompute = False
            progress.note("precompute is off now: activations of layers that train can't be kept.")

    def freeze(self) -> None:
        """Train the last group, the head, only."""
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Train all layer groups."""
        self.freeze_to(0)

    @property
    def precompute(self) -> bool:
        """True: the head trains on stored activations of the pictures, un-augmented."""
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
        body, images = nn.Sequential(*self.groups[:-1]), self.images
        # Weights that training changed have another version: look into the cache again.
        key = f"{images.key} {[tensor._version for tensor in body.state_dict().values()]}"
        if self._activations[0] != key:
            sets = {"train": images.train.images, "valid": images.valid.images}
            made = activations.cached(body, sets, images.key, self._use_bfloat16())
            self._activations = key, made
        return self._activations[1]

    def _frozen_body(self, images: Tensor) -> Tensor:
        return activations.run(nn.Sequential(*self.groups[:-1]), images, self._use_bfloat16())

    def _use_bfloat16(self) -> bool:
        if self._bfloat16 is None:
            sample = self.images.valid.images[:16].to(self.device)
            body = nn.Sequential(*self.groups[:-1])
            self._bfloat16 = distributed.first(lambda: activations.bfloat16_agrees(body, sample))
        return self._bfloat16

    def _only_head_trains(self) -> bool:
        return len(self.groups) > 1 and self.frozen_to == len(self.groups) - 1

    # --- Training -------------------------------------------------------------------------------

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
        shape = self._shape(n_cycle, cycle_len, cycle_mult)
        epochs = shape.reshape(-1, self.n_batches)
        self._say_once_that_augmentation_waits()
        before = {name: t.clone() for name, t in self._trained_part().state_dict().items()}
        optimizer = self._new_optimizer(lrs)
        with progress.bar(f"fit: {len(epochs)} epoch{'s'[: len(epochs) > 1]}", shape.size) as bar:
            try:
                for epoch in self.journal.epochs(self, optimizer, epochs):
                    self._train_epoch(optimizer, lrs, epoch, bar)
            except Diverged:
                self._trained_part().load_state_dict(before)
                raise
            except KeyboardInterrupt:
                raise Interrupted from None
            finally:
                self.model.eval()

    def lr_find(self, lr: float | Sequence[float] = 1.0, steps: int = 100) -> LRFinderResult:
        """Run the LR finder on the unfrozen groups: 1e-5 to 10 over `steps` batches.

        Of `lr`, only the ratios between the groups count. Leaves everything as it was.
        """
        lrs = optimizers.lr_per_group(lr, len(self.groups), self.frozen_to)
        optimizer, state = self._new_optimizer(lrs), self.generator.get_state()
        epochs = chain.from_iterable(iter(self.batches, None))  # one after the other, without end
        with progress.bar(f"lr_find: up to {steps} batches", steps) as bar:

            def step(inputs: Tensor, labels: Tensor) -> float:
                loss = self._step(optimizer, inputs, labels)
                bar.step(loss=loss, lr=optimizer.param_groups[-1]["lr"])
                return loss

            try:
                self._train_mode()
                find = partial(lr_find, self.model, optimizer, epochs, F.cross_entropy)
                return self.journal.found(self, optimizer, steps, partial(find, train_step=step))
            finally:
                self.generator.set_state(state)
                self.model.eval()

    def _train_epoch(self, optimizer, lrs: list[float], shape: np.ndarray, bar) -> None:
        started, first, total = time.perf_counter(), len(self.history.loss), 0.0
        self._train_mode()
        sizes = map(len, self.images.train.labels.tensor_split(self.n_batches))
        for factor, n, (inputs, labels) in zip(shape.tolist(), sizes, self.batches(), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lrs[group["layer_group"]] * factor
            loss = self._step(optimizer, inputs, labels)
            self.history.lr.append(lrs[-1] * factor)
            self.history.loss.append(loss)
            batch, epoch = len(self.history.loss) - first, len(self.history.epochs) + 1
            check_loss(loss, lrs[-1] * factor, batch, epoch, len(self.classes))
            total += loss * n
            bar.step(loss=loss, lr=lrs[-1] * factor)
        distributed.same_buffers(self.model)
        valid_loss, accuracy = self.validate()
        row = {
            "epoch": len(self.history.epochs) + 1,
            "lr": self.history.lr[-1],
            "train_loss": total / len(self.images.train.labels),
            "valid_loss": valid_loss,
            "accuracy": accuracy,
            "seconds": time.perf_counter() - started,
        }
        self.history.epochs.append(row)
        bar.row(row)

    def _step(self, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> float:
        """Forward, backward and one step of the optimiser; returns the loss."""
        optimizer.zero_grad()
        loss, n = torch.zeros((), device=self.device), pictures_at_once(self.model, inputs)
        for part, truth in zip(inputs.split(n), labels.split(n), strict=True):
            share = len(truth) / len(labels)
            with torch.autocast(self.device.type, self._half, enabled=self._half is not None):
                logits = self._parallel(self._features(part))
                goal = F.cross_entropy(logits, truth, label_smoothing=self.label_smoothing)
            self._scaler.scale(distributed.weigh(goal * share, len(labels))).backward()
            plain = F.cross_entropy(logits.float(), truth) if self.label_smoothing else goal
            loss += plain.detach() * share  # without smoothing, as in validation
        self._scaler.unscale_(optimizer)
        if self.clip < math.inf:
            training = nn.ModuleList(self.groups[self.frozen_to :])  # others keep old gradients
            nn.utils.clip_grad_norm_(training.parameters(), self.clip)
        self._scaler.step(optimizer)
        self._scaler.update()
        return distributed.mean(loss, len(labels))

    def _features(self, inputs: Tensor) -> Tensor:
        """Of a batch from `batches()`, what the part of the network that trains is to be given."""
        needs_body = self._only_head_trains() and not self.precompute
        return self._frozen_body(inputs) if needs_body else inputs

    def _trained_part(self) -> nn.Module:
        return self.groups[-1] if self._only_head_trains() else self.model

    def _train_mode(self) -> None:
        for n, group in enumerate(self.groups):
            group.train(n >= self.frozen_to)

    def _say_once_that_augmentation_waits(self) -> None:
        waits = self.precompute and self.augment.name != "none"
        if waits and not self._said_that_augmentation_waits:
            self._said_that_augmentation_waits = True
            progress.note(
                "precompute is on: the head trains on stored activations of unaugmented pictures,\n"
                "so augmentation does nothing until you set learn.precompute = False."
            )

    def _new_optimizer(self, lrs: list[float]) -> torch.optim.Optimizer:
        # float16 gradients would vanish: they are scaled up. With other types this does nothing.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._half is torch.float16)
        self._parallel = distributed.parallel(self._trained_part())
        return self.optimizer(optimizers.parameter_groups(self.groups, lrs, self.frozen_to))

    def _shape(self, n_cycle: int, cycle_len: int | None, cycle_mult: int) -> np.ndarray:
        """The schedule as a factor from 0 to 1, for every mini-batch of all epochs."""
        if n_cycle != int(n_cycle) or n_cycle < 1:
            raise ValueError(f"n_cycle is a whole number of at least 1, not {n_cycle}.")
        if cycle_len is not None:
            return sgdr(1.0, n_cycle, cycle_len, cycle_mult, self.n_batches)
        if cycle_mult != 1:
            raise ValueError("cycle_mult needs a cycle_len: without one the LR stays constant.")
        return constant(1.0, n_cycle * self.n_batches)

    # --- Looking at the result ------------------------------------------------------------------

    def validate(self, tta: bool = False) -> tuple[float, float]:
        """(loss, accuracy) on the validation set, un-augmented; with `tta` over fixed views."""
        labels = self.images.valid.labels
        logs = self.tta().clamp_min(1e-12).log() if tta else self._valid_logits().log_softmax(1)
        loss, right = F.nll_loss(logs, labels), logs.argmax(1) == labels
        return distributed.first(lambda: (loss.item(), right.float().mean().item()))

    def tta(self) -> Tensor:
        """Test-time augmentation: probabilities [n_valid, classes], the mean over fixed views."""
        return self.predict(self.images.valid.images, tta=True)

    @torch.no_grad()
    def predict(self, images: Tensor | Sequence[str | Path], tta: bool = False) -> Tensor:
        """Probabilities [N, classes] for uint8 pictures [N, 3, S, S] or paths of picture files.

        Raises DataError for a file that gives no picture.
        """
        if not isinstance(images, Tensor):
            images = read_pictures(images, self.size)
        self.model.eval()

        def mean_of_views(batch: Tensor) -> Tensor:
            views = self.augment.views(batch) if tta else [batch]
            return torch.stack([self.model(view).softmax(1) for view in views]).mean(0)

        return as_one(map(mean_of_views, in_parts(images, 64, self.device)), len(images))

    @torch.no_grad()
    def _valid_logits(self) -> Tensor:
        self.model.eval()
        source = self.activations()["valid"] if self.precompute else self.images.valid.images
        features = map(self._features, in_parts(source, self.batch_size, self.device))
        return as_one(map(self._trained_part(), features), len(source))

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
        """Write weights, classes, size and augmentation to one file that holds no code."""
        saved = model_files.SavedModel(self.model, self.classes, self.size, self.augment)
        model_files.write(path, saved)

    @classmethod
    def load(cls, path: str | Path, images: ImageData | None = None, **kwargs: Any) -> "Learner":
        """A learner saved by `save`, for predicting, or with `images` for training on.

        Raises safe_files.ModelFileError for any other, damaged or altered file, DataError when
        `images` have other classes.
        """
        saved = model_files.read(path)
        learn = cls(saved.model, None, **kwargs)
        learn.classes, learn.size, learn.augment = saved[1:]
        if images is not None:
            learn.set_data(images)
        return learn
