"""What each of the 8 steps is worth, on pictures that chose nothing, beside simpler ways.

    python benchmarks/recipe.py [--photos FOLDER] [--sets NAME ...] [--splits N] [--size PX]
                                [--pictures N] [--cycles N] [--whole] [--sweeps] [--json FILE]

For each set and split, the accuracy of steps 3, 4, 8 and of TTA on a test set, seconds, and beside
them, on the same training and test pictures:

(a) scikit-learn's logistic regression on the frozen activations, C by 5-fold cross-validation;
(b) with --sweeps, the best of six LRs for the head, and (c) the best of three for step 8, a third
    of the recipe's, its own, and three times that. Both are picked on the test set, so they are a
    little too good: what a perfect rule might reach.

The course's own four sets, and those folders of class folders that --photos holds, each a set.
Creatures by 5-fold cross-validation; earth tests on half of the validation blocks, of places that
no training tile shows. --whole: no limit on the training pictures. Runs that are in the JSON file
aren't run again, so a run that was stopped goes on; one without sweeps gives way to one with them.
The last line says how many bounds hold; exit status 0 only if all do. What is stored beside this
script is put as a table into README.md here.
"""

import argparse
import json
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from side_by_side import into_readme, machine

from lessonkit import Learner, data, eight_steps, recipe
from lessonkit.course.datasets import embedded
from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.images.image_data import ImageData, Split
from lessonkit.machine import progress
from lessonkit.training import activations
from lessonkit.training.optimizers import radam

STORED = Path(__file__).with_name("recipe.json")
BEGIN = "<!-- recipe: made by benchmarks/recipe.py -->"
PACKAGES = ["torch", "torchvision", "timm", "onnxruntime", "scikit-learn", "pillow", "numpy"]
HEAD_LRS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FACTORS = {"a third": 1 / 3, "three times": 3}  # the LR that the recipe chose for step 8


# --- Pictures: train, valid and test --------------------------------------------------------------


def three_sets(name: str, images: ImageData, split: int, most: int) -> ImageData:
    """The set of this name drawn anew into three sets; `most` (0: all) for training."""
    draw = split_by_place if name == "earth" else split_by_lot
    return draw(images, split, most or None)


def split_by_lot(images: ImageData, split: int, most: int) -> ImageData:
    """All pictures of a set drawn anew into three sets; `most` for training.

    A fifth is for the test, and a fifth for validation. Where all others train, that is a tenth:
    more pictures are of more use in training then.
    """
    pixels = torch.cat([images.train.images, images.valid.images])
    labels = torch.cat([images.train.labels, images.valid.labels])
    fold, folds = split % 5, np.zeros(len(labels), int)
    draw = np.random.default_rng(split // 5 if len(labels) < 200 else split)
    for label in labels.unique():  # each class is spread evenly over five folds
        rows = draw.permutation(np.flatnonzero(labels == label))
        folds[rows] = (np.arange(len(rows)) + draw.integers(5)) % 5
    valid = np.flatnonzero(folds == (fold + 1) % 5)  # class by class, so every second is a half
    valid = valid if most else valid[::2]
    test = np.flatnonzero(folds == fold)
    train = np.setdiff1d(np.arange(len(labels)), [*valid, *test])
    parts = {"train": draw.permutation(train)[:most], "valid": valid, "test": test}
    return with_parts(images, pixels, labels, parts, split)


def split_by_place(images: ImageData, split: int, most: int) -> ImageData:
    """Earth: `most` of its training tiles; of the validation blocks, half are for the test."""
    tiles, draw = embedded.earth_tiles(), np.random.default_rng(split)
    boxes = tiles.boxes[tiles.valid]
    block = (boxes[:, 1] + embedded.TILE // 2) // embedded.BLOCK * 1000
    block += (boxes[:, 0] + embedded.TILE // 2) // embedded.BLOCK
    blocks = draw.permutation(np.unique(block))
    test = np.isin(block, blocks[: len(blocks) // 2])
    n = len(images.train.labels)
    parts = {
        "train": draw.permutation(n)[:most],
        "valid": n + np.flatnonzero(~test),
        "test": n + np.flatnonzero(test),
    }
    pixels = torch.cat([images.train.images, images.valid.images])
    labels = torch.cat([images.train.labels, images.valid.labels])
    return with_parts(images, pixels, labels, parts, split)


def with_parts(images, pixels, labels, parts: dict, split: int) -> ImageData:
    """`images` with these rows of all pictures as its three sets."""
    made = {name: Split(pixels[rows], labels[rows]) for name, rows in parts.items()}
    rows = [part.tolist() for part in parts.values()]
    key = fingerprint(images.key, split, rows)
    return replace(images, **made, key=key)


# --- One run --------------------------------------------------------------------------------------


def run(images: ImageData, split: int, cycles: int, sweeps: bool) -> dict:
    """Accuracies on the test set, and what was chosen on the way."""
    started = time.perf_counter()
    report = eight_steps(images, seed=split, cycles=cycles)
    row = {
        "steps": {n: report.steps[n - 1].accuracy_test for n in (3, 4, 8)},
        "tta": report.accuracy_test_tta,
        "seconds": time.perf_counter() - started,
        "lrs": {n: report.steps[n - 1].lr for n in (2, 3, 6, 8)},
        "notes": [step.note for step in report.steps if step.note],
    }
    learn = beside(report, split)
    train, test = features(learn)
    row["logistic regression"], row["C"] = logistic_regression(
        train, images.train.labels, test, images.test.labels
    )
    if sweeps:
        row["heads"] = {lr: head(learn, lr) for lr in HEAD_LRS}
        own = {"its own": row["steps"][8]}
        row["step 8"] = own | {said: whole(report, f, cycles) for said, f in FACTORS.items()}
    return row


def beside(report, seed: int) -> Learner:
    """An untrained learner of the same pictures, in mini-batches of the same size."""
    done = report.learner
    return Learner.pretrained(
        "tf_efficientnet_lite0", done.images, seed=seed, batch_size=done.batch_size
    )


def features(learn: Learner) -> tuple[np.ndarray, np.ndarray]:
    """Frozen activations of the training and the test pictures."""
    body = torch.nn.Sequential(*learn.groups[:-1])
    parts = learn.images.test.images.split(activations.BATCH)
    test = torch.cat([activations.run(body, part.to(learn.device), False).cpu() for part in parts])
    return learn.activations()["train"].numpy(), test.numpy()


def logistic_regression(train, labels, test, truth) -> tuple[float, float]:
    """Accuracy on the test set, and the C that cross-validation chose."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    # Activations are of the size that networks like: C was best within these decades on all sets.
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6), cv=folds, max_iter=500, scoring="accuracy"
    )
    with warnings.catch_warnings(action="ignore"):  # new names for old arguments; slow convergence
        model.fit(train, labels.numpy())
    return float(model.score(test, truth.numpy())), float(np.ravel(model.C_)[0])


def head(learn: Learner, lr: float) -> float:
    """Accuracy on the test set of a head trained as step 3 does, at another LR."""
    for parameter in learn.groups[-1].parameters():
        torch.nn.init.zeros_(parameter)
    epochs = max(1, math.ceil(recipe.HEAD_STEPS / learn.n_batches))
    lengths = [epochs * 2**i for i in range(recipe.HEAD_CYCLES)]
    recipe.train_cycles(learn, lr, lengths, by_loss=True)
    return accuracy(learn)


def whole(report, factor: float, cycles: int) -> float:
    """Accuracy on the test set of step 8 at `factor` times the recipe's LR, from step 4 on."""
    fresh = beside(report, seed=1)
    head(fresh, report.steps[2].lr)
    fresh.precompute = False
    recipe.train_cycles(fresh, report.steps[3].lr, [1, 1])
    fresh.unfreeze()
    fresh.optimizer = radam
    fresh.label_smoothing = report.learner.label_smoothing
    epochs = math.ceil(recipe.WHOLE_STEPS / fresh.n_batches)
    lrs, lengths = report.steps[6].lr, [epochs * 2**i for i in range(cycles)]
    recipe.train_cycles(fresh, [lr * factor for lr in lrs], lengths)
    return accuracy(fresh)


def accuracy(learn: Learner) -> float:
    """On the test set."""
    test = learn.images.test
    return (learn.predict(test.images).argmax(1) == test.labels).float().mean().item()


# --- All runs, and what they say ------------------------------------------------------------------


def sets(photos: Path | None) -> dict[str, Callable[[int], ImageData]]:
    """The sets by name, each a function of the size."""
    known = {name: getattr(data, name) for name in ("creatures", "earth", "digits", "cells")}
    for folder in sorted(photos.iterdir()) if photos else []:
        if folder.is_dir():
            known[folder.name] = lambda size, folder=folder: data.from_folder(folder, size)
    return known


def interval(differences: list[float]) -> tuple[float, float, float]:
    """The mean of paired differences, and its 95 % interval by Student's t."""
    mean, n = statistics.fmean(differences), len(differences)
    if n < 2:
        return mean, -math.inf, math.inf
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(differences) / n**0.5
    return mean, mean - half, mean + half


AT_LEAST = {"digits": 0.02, "cells": 0.02, "trash": 0.08}  # step 8 less step 3; elsewhere -0.01
WHOLE = {("trash", 112): ("steps", 0.90), ("hymenoptera", 224): ("tta", 0.94)}
WHOLE |= {("cells", 224): ("steps", 0.92)}


def summary(rows: list[dict]) -> str:
    """A table, a line a setting, and how many of the bounds hold."""
    lines = [
        "| set | pictures, px | splits | logistic regression | step 3 | less (a), 95 % | step 4 | "
        "step 8 | less step 3, 95 % | TTA | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    bounds: dict[str, bool] = {}
    settings = sorted({(row["set"], row["size"], row["most"], row["cycles"]) for row in rows})
    for name, size, most, cycles in settings:
        these = [
            row
            for row in sorted(rows, key=lambda row: row["split"])
            if (row["set"], row["size"], row["most"], row["cycles"]) == (name, size, most, cycles)
        ]
        where = f"{name} {size} px, {these[0]['pictures'][0]} pictures, {cycles} cycles"
        good = [row for row in these if "crash" not in row]
        bounds[f"{where}: no crash"] = len(good) == len(these)
        if not good:
            continue
        step = {n: [row["steps"][n] for row in good] for n in ("3", "4", "8")}
        plain = [row["logistic regression"] for row in good]
        head = interval([ours - other for ours, other in zip(step["3"], plain, strict=True)])
        gain = interval([last - first for first, last in zip(step["3"], step["8"], strict=True)])
        tta = statistics.fmean(row["tta"] for row in good)
        means = {n: statistics.fmean(values) for n, values in step.items()}
        lines.append(
            f"| {name} | {good[0]['pictures'][0]}, {size} | {len(good)} | "
            f"{statistics.fmean(plain):.3f} | {means['3']:.3f} | {points(head)} | {means['4']:.3f} "
            f"| {means['8']:.3f} | {points(gain)} | {tta:.3f} | "
            f"{statistics.median(row['seconds'] for row in good):.0f} |"
        )
        if len(good) > 1:  # one split has no interval
            said = f"{where}: step 3 no worse than logistic regression less a point"
            bounds[said] = head[2] >= -0.01
        least = AT_LEAST.get(name, -0.01)
        bounds[f"{where}: step 8 at least {least:+.2f} on step 3"] = gain[0] >= least
        if most == 0 and (name, size) in WHOLE:
            which, least = WHOLE[name, size]
            reached = tta if which == "tta" else means["8"]
            bounds[f"{where}: at least {least}"] = reached >= least
    missed = [f"missed: {bound}" for bound, holds in bounds.items() if not holds]
    held = f"{sum(bounds.values())} of {len(bounds)} bounds hold"
    return "\n".join([*lines, *sweep_table(rows), "", *missed, held])


def sweep_table(rows: list[dict]) -> list[str]:
    """A table of (b) and (c), a line a run with sweeps; none where there is no such run."""
    swept = sorted((r for r in rows if r.get("heads")), key=lambda r: (r["set"], r["split"]))
    lines = [
        "",
        "| set | pictures, px | split | step 3 | (b) best LR for the head | step 8 | "
        "(c) best LR for step 8 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in swept:
        head_lr, whole_lr = (max(row[what], key=row[what].get) for what in ("heads", "step 8"))
        lines.append(
            f"| {row['set']} | {row['pictures'][0]}, {row['size']} | {row['split']} | "
            f"{row['steps']['3']:.3f} | {row['heads'][head_lr]:.3f} at {head_lr} | "
            f"{row['steps']['8']:.3f} | {row['step 8'][whole_lr]:.3f} at {whole_lr} |"
        )
    return lines if swept else []


def points(paired: tuple[float, float, float]) -> str:
    """In points of a hundred."""
    mean, low, high = (100 * value for value in paired)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" if math.isfinite(low) else f"{mean:+.1f}"


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of folders, each a set of pictures")
    parser.add_argument("--sets", nargs="+", help="only these")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--pictures", type=int, default=600, help="for training, at most")
    parser.add_argument("--whole", action="store_true", help="all pictures for training")
    parser.add_argument("--cycles", type=int, default=recipe.WHOLE_CYCLES, help="in step 8")
    parser.add_argument("--sweeps", action="store_true", help="(b) and (c) too")
    parser.add_argument("--json", type=Path, default=STORED)
    options = parser.parse_args()
    rows = json.loads(options.json.read_text()) if options.json.exists() else []
    known = sets(options.photos)
    for split in range(options.splits):
        for name in options.sets or known:
            about = {"set": name, "size": options.size, "split": split, "cycles": options.cycles}
            about["most"] = 0 if options.whole else options.pictures
            made_before = [row for row in rows if about.items() <= row.items()]
            if any(row["sweeps"] or not options.sweeps for row in made_before):
                continue
            about["sweeps"] = options.sweeps
            images = three_sets(name, known[name](options.size), split, about["most"])
            try:
                with progress.quiet():
                    made = run(images, split, options.cycles, options.sweeps)
            except (RuntimeError, ValueError) as error:  # what must not happen: it is counted
                made = {"crash": f"{type(error).__name__}: {error}"}
            parts = (images.train, images.valid, images.test)
            made |= {"pictures": [len(part.labels) for part in parts], "machine": machine(PACKAGES)}
            if "crash" not in made:
                rows = [row for row in rows if row not in made_before]
            # As JSON has it, so that a row reads the same now and from the file later.
            rows.append(json.loads(json.dumps(about | made)))
            with safe_files.atomic_path(options.json) as part:
                part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(f"{name}, split {split}: {rows[-1].get('steps', made)}", flush=True)
    said = summary(rows)
    print(said)
    if options.json == STORED:
        into_readme(BEGIN, said)
    return 1 if "missed: " in said else 0


if __name__ == "__main__":
    sys.exit(main())
