"""The 8 steps on photographs of solar cells: make cells.

    python tools/cells.py [--splits 0 1 2 3 4] [--size 224] [--weighted] [--store] [--out cells]

A random quarter of the cells is for the result and chooses nothing, as many as in the publication
(Deitsch et al. 2018, arXiv 1807.02894). Of the rest, 15 % say when to stop. Split 0 at 224 px
leaves a model, `split-0-224.pt`, and what happened, `split-0-224.json`. A run that was stopped,
even killed, goes on after its last whole epoch; one that has ended isn't run again.

Two ways to count: ours, where a cell is defective if its probability of a defect is above 1/2; and
with --weighted, where it is if it is above 0, and counts in the result with that probability as its
weight. The second is how we understand the publication. `--store` adds to benchmarks/cells.json.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lessonkit import data, eight_steps
from lessonkit.course.datasets import cells
from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.images.image_data import ImageData
from lessonkit.training.checkpoint import Checkpoint

STORED = Path(__file__).resolve().parents[1] / "benchmarks" / "cells.json"
VALID = 0.15  # of the pictures that are not for the result


def pictures(size: int, split: int, weighted: bool) -> tuple[ImageData, torch.Tensor]:
    """The cells in three sets, and what each test picture counts [n_test]."""
    images, known = data.cells(size, split), cells.cell_labels()
    rows = cells.split(known, split)[1]
    weights = torch.ones(len(images.valid.labels))
    if weighted:
        defect = torch.from_numpy(known.defect)
        images = replace(
            images,
            train=images.train._replace(labels=(defect[~rows] > 0).long()),
            valid=images.valid._replace(labels=(defect[rows] > 0).long()),
            key=fingerprint(images.key, "weighted"),
        )
        weights = torch.where(defect[rows] > 0, defect[rows], 1.0).float()
    held = images.with_hold_out(VALID, split)
    return replace(held, valid=held.test, test=images.valid), weights


def train(out: Path, size: int, split: int, weighted: bool) -> dict:
    """The report of one split as a dict; from its file if it has been run."""
    name = f"split-{split}-{size}{'-weighted' if weighted else ''}"
    made = out / f"{name}.json"
    if made.exists():
        return json.loads(made.read_text(encoding="utf-8"))
    images, weights = pictures(size, split, weighted)
    checkpoint = Checkpoint(out / f"{name}.resume", {"size": size, "pictures": images.key})
    checkpoint.check()
    report = eight_steps(images, seed=split, checkpoint=checkpoint)
    print(report.table())
    learn, about = report.learner, {"split": split, "size": size, "weighted": weighted}
    for tta in (False, True):
        right = learn.predict(images.test.images, tta).argmax(1).cpu() == images.test.labels
        about[f"counted{'_tta' if tta else ''}"] = float((right * weights).sum() / weights.sum())
    history = {"lr": learn.history.lr, "loss": learn.history.loss, "epochs": learn.history.epochs}
    about |= report.as_dict()
    learn.save(out / f"{name}.pt")
    with safe_files.atomic_path(made) as part:
        part.write_text(json.dumps(about | {"history": history}, indent=1), encoding="utf-8")
    checkpoint.remove()
    return about


def main() -> None:
    """What the command line asks for, and the table of all splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, nargs="+", default=[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--weighted", action="store_true")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("cells"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for split in options.splits:
        row = train(options.out, options.size, split, options.weighted)
        rows.append({key: value for key, value in row.items() if key not in ("history", "skipped")})
        print(f"split {split}: {row['counted']:.3f}, with TTA {row['counted_tta']:.3f}")
        if options.store:
            store(rows[-1])
    for what in ("counted", "counted_tta"):
        values = [row[what] for row in rows]
        spread = f"{min(values):.3f} to {max(values):.3f}"
        print(f"{what}: mean {np.mean(values):.3f} of {len(rows)} ({spread})")
    print(f"Models and histories are in {options.out}.")


def store(row: dict) -> None:
    """Put `row` in the place of the one of the same split and setting."""
    same = ("split", "size", "weighted")
    rows = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else []
    rows = [old for old in rows if any(old[key] != row[key] for key in same)]
    with safe_files.atomic_path(STORED) as part:
        part.write_text(json.dumps([*rows, row], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
