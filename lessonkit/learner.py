"""The training loop, and the words that the lesson has for it: fit, freeze, precompute, TTA."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit import augment as augmentation
from lessonkit import data, decode, models, progress, schedule, storage
from lessonkit.data import ImageData
from lessonkit.lr_finder import LRFinderResult, lr_find

__all__ = ["Diverged", "History", "Interrupted", "Learner", "adamw", "sgd"]

sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=5e-4)
adamw = partial(torch.optim.AdamW, betas=(0.9, 0.99), weight_decay=0.01)

EXPLODED = 20.0  # times the loss of guessing
FORMAT_VERSION = 1  # of saved models


class Diverged(RuntimeError):
    """The loss exploded or is not a number; the weights are back as they were before this fit."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped by hand; the history so far is kept and the model can be used."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]  # IPython shows this sentence in place of a traceback


@dataclass
class History:
    """What happened in all `fit`s of a learner, one after the other."""

    lr: list[float] = field(default_factory=list)  # of the last group, every mini-batch
    loss: list[float] = field(default_factory=list)  # of every mini-batch
    epochs: list[dict] = field(default_factory=list)


class Learner:
    """A network, the pictures to train it on, and how to train it.

    `model` maps uint8 pictures [N, 3, S, S] to logits [N, classes]. `optimizer` makes a torch
    optimiser from a list of parameter groups (`sgd`, `adamw`, or a partial of yours). `seed` decides
    shuffling and augmentation. `device`: CUDA or an Apple GPU where there is one, else the CPU.
    `batch_size`: 64, or 32 for fewer than 500 pictures. `clip` is the longest gradient, as a norm
    over all weights, that a step may follow.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageData | None,
        seed: int = 0,
        optimizer: Callable[[list[dict]], torch.optim.Optimizer] = sgd,
        device: str | None = None,
        batch_size: int | None = None,
        clip: float | None = None,
    ):
        self.device = torch.device(device or _best_device())
        self.model = model.to(self.device)
        self.groups = models.layer_groups(model)
        self.optimizer = optimizer
        self.generator = torch.Generator().manual_seed(seed)
        self.history = History()
        self.frozen_to = 0  # groups before this one are frozen
        self._precompute = False
        self._clip = clip
        self._said_that_augmentation_waits = False
        self._bfloat16_agrees: bool | None = None
        self._kept_activations: tuple[str, Tensor, Tensor] | None = None
        self._batch_size = batch_size
        if images is not None:
            self.set_data(images)

    @classmethod
    def pretrained(
        cls, arch: str, images: ImageData, precompute: bool = True, seed: int = 0, **kwargs
    ) -> "Learner":
        """A network trained on ImageNet with a new head for the classes of `images`.

        Only the head is unfrozen. With `precompute` it trains on cached activations of the body.
        """
        model = models.pretrained(arch, len(images.classes), seed)
        learn = cls(model, images, seed, **{"optimizer": adamw, "clip": 1.0, **kwargs})
        learn.freeze()
        learn.precompute = precompute
        return learn

    # --- Data -----------------------------------------------------------------------------------

    def set_data(self, images: ImageData) -> None:
        """Go on with other pictures of the same classes, such as larger ones."""
        known = getattr(self, "classes", images.classes)
        if images.classes != known:
            raise data.DataError(
                f"This network knows the classes {', '.join(known)}; the pictures have "
                f"{', '.join(images.classes)}."
            )
        self.images, self.classes, self.size = images, images.classes, images.size
        self.augment = images.augment
        self.batch_size = self._batch_size or (64 if len(images.train.labels) >= 500 else 32)
        self.n_batches = math.ceil(len(images.train.labels) / self.batch_size)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: (inputs, labels) in a new random order, batches of nearly equal sizes.

        Inputs are augmented pictures, or activations while `precompute` is on.
        """
        images, labels = self.images.train
        source = self.activations()[0] if self.precompute else images
        order = torch.randperm(len(labels), generator=self.generator)
        for rows in order.tensor_split(self.n_batches):
            inputs = source[rows].to(self.device)
            if not self.precompute:
                inputs = self.augment(inputs, self.generator)
            yield inputs, labels[rows].to(self.device)

    # --- Layer groups ---------------------------------------------------------------------------

    def freeze_to(self, i: int) -> None:
        """Freeze the layer groups before group `i`: their weights stay, they run in eval mode."""
        self.frozen_to = range(len(self.groups))[i]
        for group in self.groups[: self.frozen_to]:
            group.requires_grad_(False)
        for group in self.groups[self.frozen_to :]:
            group.requires_grad_(True)
        if self.precompute and not self._only_head_trains():
            self._precompute = False
            print("precompute is off now: activations of layers that train can't be kept.")

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

    def activations(self) -> tuple[Tensor, Tensor]:
        """The frozen body's output for training and validation pictures, float32 [N, features].

        Computed once for these weights and pictures, then read from the cache.
        """
        body = self.groups[:-1]
        weights = [t for group in body for t in group.state_dict().values()]
        key = storage.fingerprint(self.images.key, self.size, self._bfloat16(), *weights)
        if self._kept_activations is None or self._kept_activations[0] != key:
            entry = storage.cached(f"activations-{key}", self._write_activations)
            train, valid = (storage.read_array(entry / f"{name}.npy") for name in ("train", "valid"))
            self._kept_activations = key, train, valid
        return self._kept_activations[1:]

    def _write_activations(self, folder: Path) -> None:
        images = {"train": self.images.train.images, "valid": self.images.valid.images}
        with progress.bar("activations", sum(len(x) for x in images.values())) as bar:
            for name, pictures in images.items():
                parts = []
                for batch in pictures.split(self.batch_size):
                    parts.append(self._frozen_body(batch.to(self.device)).cpu())
                    bar.step(len(batch))
                np.save(folder / f"{name}.npy", torch.cat(parts).numpy())

    def _only_head_trains(self) -> bool:
        return len(self.groups) > 1 and self.frozen_to == len(self.groups) - 1

    @torch.no_grad()
    def _frozen_body(self, images: Tensor) -> Tensor:
        """Activations [N, features] of uint8 pictures, in bfloat16 where that is fast and agrees."""
        for group in self.groups[:-1]:
            group.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16()):
            return self.model.body(images).float()

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
        lrs = self._group_lrs(lr)
        shape = self._shape(n_cycle, cycle_len, cycle_mult)
        n_epochs = len(shape) // self.n_batches
        self._say_once_that_augmentation_waits()
        before = {name: t.clone() for name, t in self.model.state_dict().items()}
        optimizer = self._new_optimizer(lrs)
        with progress.bar(f"fit: {n_epochs} epoch{'s' * (n_epochs > 1)}", len(shape)) as bar:
            try:
                for epoch in range(n_epochs):
                    part = shape[epoch * self.n_batches :][: self.n_batches]
                    self._train_epoch(optimizer, lrs, part, bar)
            except Diverged:
                self.model.load_state_dict(before)
                raise
            except KeyboardInterrupt:
                raise Interrupted(
                    f"Training was stopped in epoch {epoch + 1} of {n_epochs}. The history so far "
                    "is kept, and the network can be used as it is."
                ) from None
            finally:
                self.model.eval()

    def lr_find(self, lr: float | Sequence[float] = 1.0) -> LRFinderResult:
        """Run the LR finder on the unfrozen groups: 1e-5 to 10 over 100 batches.

        Of `lr`, only the ratios between the groups count. Leaves everything as it was.
        """
        optimizer = self._new_optimizer(self._group_lrs(lr))
        state = self.generator.get_state()
        self._train_mode()
        with progress.bar("lr_find: up to 100 batches", 100) as bar:

            def step(inputs: Tensor, labels: Tensor) -> float:
                loss = self._step(optimizer, inputs, labels)
                bar.step(loss=loss, lr=optimizer.param_groups[-1]["lr"])
                return loss

            try:
                return lr_find(
                    self.model, optimizer, _Epochs(self), F.cross_entropy, train_step=step
                )
            finally:
                self.generator.set_state(state)
                self.model.eval()

    def _train_epoch(self, optimizer, lrs: list[float], shape: np.ndarray, bar) -> None:
        started, total = time.perf_counter(), 0.0
        self._train_mode()
        for i, (inputs, labels) in enumerate(self.batches()):
            for group in optimizer.param_groups:
                group["lr"] = lrs[group["layer_group"]] * shape[i]
            loss = self._step(optimizer, inputs, labels)
            self.history.lr.append(lrs[-1] * shape[i])
            self.history.loss.append(loss)
            self._check_loss(loss, i, lrs[-1] * shape[i])
            total += loss * len(labels)
            bar.step(loss=loss, lr=lrs[-1] * shape[i])
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
        # Half the bits are enough for most of the work on a recent NVIDIA GPU.
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda" and _has_fast_bfloat16(self.device)):
            loss = F.cross_entropy(self._logits(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        if self._clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        optimizer.step()
        return loss.item()

    def _logits(self, inputs: Tensor) -> Tensor:
        """Logits of a batch from `batches()`, by the shortest way."""
        if self.precompute:
            return self.groups[-1](inputs)
        if self._only_head_trains():
            return self.groups[-1](self._frozen_body(inputs))
        return self.model(inputs)

    def _train_mode(self) -> None:
        self.model.train()
        for group in self.groups[: self.frozen_to]:
            group.eval()

    def _check_loss(self, loss: float, batch: int, lr: float) -> None:
        guessing = math.log(len(self.classes))
        if not loss <= EXPLODED * guessing:  # also true for a NaN
            raise Diverged(
                f"The loss exploded at batch {batch + 1} of {self.n_batches} in epoch "
                f"{len(self.history.epochs) + 1}, at LR {lr:.1e}: it is {loss:.3g}, where guessing "
                f"would give {guessing:.2g}. The weights are back as they were before this fit. "
                f"Try an LR ten times lower ({lr / 10:.1e}), or ask lr_find()."
            )

    def _say_once_that_augmentation_waits(self) -> None:
        waits = self.precompute and self.augment != augmentation.none()
        if waits and not self._said_that_augmentation_waits:
            self._said_that_augmentation_waits = True
            print(
                "precompute is on: the head trains on stored activations of un-augmented pictures, "
                "so augmentation does nothing until you set learn.precompute = False."
            )

    def _new_optimizer(self, lrs: list[float]) -> torch.optim.Optimizer:
        """A fresh optimiser over the unfrozen groups; biases and norms are not decayed."""
        parameter_groups = []
        for i, group in list(enumerate(self.groups))[self.frozen_to :]:
            weights = [p for p in group.parameters() if p.ndim > 1]
            others = [p for p in group.parameters() if p.ndim <= 1]
            about = {"lr": lrs[i], "layer_group": i}
            parameter_groups += [{"params": others, "weight_decay": 0.0, **about}] if others else []
            parameter_groups += [{"params": weights, **about}] if weights else []
        return self.optimizer(parameter_groups)

    def _group_lrs(self, lr: float | Sequence[float]) -> list[float]:
        """One LR for each layer group, checked."""
        n = len(self.groups)
        lrs = [float(lr)] * n if np.ndim(lr) == 0 else [float(value) for value in lr]
        if len(lrs) != n:
            raise ValueError(f"Give one LR, or one for each of the {n} layer groups: {len(lrs)}.")
        for value in lrs[self.frozen_to :]:
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"An LR must be a positive number such as 1e-3, not {value}.")
        return lrs

    def _shape(self, n_cycle: int, cycle_len: int | None, cycle_mult: int) -> np.ndarray:
        """The schedule as a factor from 0 to 1, for every mini-batch of all epochs."""
        if n_cycle != int(n_cycle) or n_cycle < 1:
            raise ValueError(f"n_cycle is a whole number of at least 1, not {n_cycle}.")
        if cycle_len is not None:
            return schedule.sgdr(1.0, n_cycle, cycle_len, cycle_mult, self.n_batches)
        if cycle_mult != 1:
            raise ValueError("cycle_mult needs a cycle_len: without one the LR stays constant.")
        return schedule.constant(1.0, n_cycle * self.n_batches)

    # --- Looking at the result --------------------------------------------------------------------

    def validate(self, tta: bool = False) -> tuple[float, float]:
        """(loss, accuracy) on the validation set, un-augmented; with `tta` over fixed views."""
        labels = self.images.valid.labels
        if tta:
            log_probabilities = self.tta().clamp_min(1e-12).log()
        else:
            log_probabilities = F.log_softmax(self._valid_logits(), 1)
        loss = F.nll_loss(log_probabilities, labels).item()
        return loss, (log_probabilities.argmax(1) == labels).float().mean().item()

    def tta(self) -> Tensor:
        """Test-time augmentation: probabilities [n_valid, classes], the mean over fixed views."""
        return self.predict(self.images.valid.images, tta=True)

    @torch.no_grad()
    def predict(self, images: Tensor | Sequence[str | Path], tta: bool = False) -> Tensor:
        """Probabilities [N, classes] for uint8 pictures [N, 3, S, S] or paths of picture files."""
        if not isinstance(images, Tensor):
            squares = [decode.decode(Path(path), self.size) for path in images]
            images = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
        self.model.eval()
        parts = []
        for batch in images.split(self.batch_size):
            batch = batch.to(self.device)
            views = self.augment.views(batch) if tta else [batch]
            parts.append(torch.stack([F.softmax(self.model(view), 1) for view in views]).mean(0))
        return torch.cat(parts).float().cpu()

    @torch.no_grad()
    def _valid_logits(self) -> Tensor:
        self.model.eval()
        if self.precompute:
            return self.groups[-1](self.activations()[1].to(self.device)).cpu()
        pictures = self.images.valid.images.split(self.batch_size)
        return torch.cat([self._logits(batch.to(self.device)).cpu() for batch in pictures])

    def plot_lr(self, ax=None):
        """Draw the LR of every mini-batch so far; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.lr_history(self.history, ax)

    def plot_loss(self, ax=None):
        """Draw the loss of every mini-batch and of each epoch; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.loss_history(self.history, ax)

    # --- Files ------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write weights, classes, size and augmentation to one file that holds no code."""
        about = getattr(self.model, "about", None)
        if about is None:
            raise ValueError("Only networks of lessonkit.models can be saved: use torch.save.")
        about = {
            "version": FORMAT_VERSION,
            "model": about,
            "classes": self.classes,
            "size": self.size,
            "augment": asdict(self.augment),
        }
        storage.write_tensors(path, self.model.state_dict(), about)

    @classmethod
    def load(cls, path: str | Path, images: ImageData | None = None, **kwargs) -> "Learner":
        """A learner saved by `save`, for predicting, or with `images` for training on.

        Raises storage.ModelFileError for any other, damaged or altered file, DataError when
        `images` have other classes.
        """
        tensors, about = storage.read_tensors(path)
        if about["version"] != FORMAT_VERSION:
            raise storage.ModelFileError(
                f"{path} was saved in format {about['version']}, this lessonkit reads format "
                f"{FORMAT_VERSION}: use the lessonkit that saved it, or train again."
            )
        make = dict(about["model"])
        if make.pop("made_by") == "pretrained":
            model = models.pretrained(**make, load_weights=False)
        else:
            model = models.small_cnn(**make)
        model.load_state_dict(tensors)
        learn = cls(model, None, **kwargs)
        learn.classes, learn.size = about["classes"], about["size"]
        learn.augment = augmentation.Augment(**about["augment"])
        if images is not None:
            learn.set_data(images)
        model.eval()
        return learn

    # --- Hardware -----------------------------------------------------------------------------------

    def _bfloat16(self) -> bool:
        """Whether a frozen body may run in bfloat16: the chip has it, and the activations agree."""
        if self._bfloat16_agrees is None:
            self._bfloat16_agrees = _has_fast_bfloat16(self.device) and self._activations_agree()
        return self._bfloat16_agrees

    @torch.no_grad()
    def _activations_agree(self) -> bool:
        """Whether bfloat16 changes the body's activations by less than 5 % on a few pictures."""
        sample = self.images.valid.images[:16].to(self.device)
        exact = self.model.body(sample)
        with torch.autocast(self.device.type, torch.bfloat16):
            rounded = self.model.body(sample).float()
        return bool((rounded - exact).norm() < 0.05 * exact.norm())


class _Epochs:
    """A learner's batches as something that can be gone through again and again."""

    def __init__(self, learn: Learner):
        self.learn = learn

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.learn.batches()


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the chip multiplies bfloat16 numbers itself; others are slower with them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    chip = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))
