"""The 8 steps against fastai 2.8, on the same photos, backbone and weights, in one run.

    python benchmarks/eight_steps_vs_fastai.py [FOLDER] [--size 128] [--seeds 3] [--json FILE]

fastai gets its own head, augmentation, `lr_find().valley`, one frozen epoch and `fine_tune` for
three more: once with the body's BatchNorm statistics frozen, once as it comes. Ours gets the 8
steps as `python -m lessonkit train` runs them. The question: how long do they take to reach the
best accuracy that fastai has after any epoch? Clocks start before the first picture is decoded;
imports don't count. The runs take turns, each in a process of its own with an empty cache.
Exit status 0 if ours needs at most half of fastai's time, taking the median over seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("lessonkit", "fastai, statistics frozen", "fastai as it comes")
ROOT = Path(__file__).resolve().parent.parent


def run_lessonkit(folder: Path, size: int, seed: int) -> list[tuple[float, float]]:
    """(seconds since the start, accuracy) after each of the 8 steps."""
    from lessonkit import data
    from lessonkit.machine import progress
    from lessonkit.recipe import eight_steps

    started = time.perf_counter()
    with progress.quiet():
        report = eight_steps(data.from_folder(folder, size), seed=seed)
    points, elapsed = [], time.perf_counter() - started - report.seconds  # what came before step 1
    for step in report.steps:
        elapsed += step.seconds
        points.append((elapsed, step.accuracy))
    return points


def run_fastai(folder: Path, size: int, seed: int, frozen: bool) -> list[tuple[float, float]]:
    """(seconds since the start, accuracy) after each epoch."""
    from fastai.callback.core import Callback
    from fastai.callback.schedule import fine_tune, lr_find  # noqa: F401 - adds both to Learner
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.data.transforms import IndexSplitter, Normalize
    from fastai.metrics import accuracy
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageBlock
    from fastai.vision.learner import vision_learner
    from torch import nn

    from lessonkit.images import folder as pictures
    from lessonkit.networks import backbone
    from lessonkit.recipe import FEW, SMALL_BATCH

    class Clock(Callback):
        """Notes the time after each epoch, and keeps BatchNorm's statistics if told to."""

        order = 100  # after the one that measures accuracy

        def before_train(self):
            for module in self.model[0].modules():
                if frozen and isinstance(module, nn.BatchNorm2d):
                    module.eval()

        def after_epoch(self):
            if not hasattr(self, "lr_finder") and len(self.recorder.values):
                points.append((time.perf_counter() - started, float(self.recorder.values[-1][-1])))

    source = backbone.create("tf_efficientnet_lite0", True)
    config, weights = source.pretrained_cfg, source.state_dict()
    points: list[tuple[float, float]] = []
    started = time.perf_counter()
    set_seed(seed, reproducible=True)
    found = pictures.find_pictures(folder)[0]
    labels = {str(folder / p.path): p.label for p in found}
    loaders = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda _: list(map(Path, labels)),
        get_y=lambda path: labels[str(path)],
        splitter=IndexSplitter([i for i, p in enumerate(found) if p.part == "valid"]),
        item_tfms=Resize(size),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(config["mean"], config["std"])],
    ).dataloaders(folder, bs=SMALL_BATCH if sum(p.part != "valid" for p in found) < FEW else 64)
    learn = vision_learner(
        loaders,
        "tf_efficientnet_lite0",
        pretrained=False,
        normalize=False,
        metrics=accuracy,
        train_bn=not frozen,
        cbs=[Clock()],
    )
    learn.model[0].model.load_state_dict(weights, strict=False)
    learn.freeze()
    with learn.no_bar(), learn.no_logging():
        lr = learn.lr_find(show_plot=False).valley
        points.clear()
        learn.fine_tune(3, lr, freeze_epochs=1)
    return points


def one_run(kind: str, folder: Path, size: int, seed: int) -> list[tuple[float, float]]:
    """Do one of `KINDS` in a new process with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, str(folder), f"--size={size}", "--run", kind, str(seed)],
            capture_output=True,
            text=True,
            env={**os.environ, "LESSONKIT_CACHE": cache, "PYTHONPATH": str(ROOT)},
        )
    if done.returncode:
        raise SystemExit(f"{kind}, seed {seed}, failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def seconds_to(points: list[tuple[float, float]], accuracy: float) -> float:
    """When `accuracy` was reached first; infinite if it never was."""
    return next((seconds for seconds, value in points if value >= accuracy), float("inf"))


def compare(folder: Path, size: int, seeds: int) -> list[dict]:
    """Run all kinds for each seed, in turn; print and return a row for each comparison."""
    rows = []
    print(f"{'':28}{'seed':>5}{'its best':>9}{'at, s':>7}{'ours there, s':>14}{'ratio':>7}")
    for seed in range(seeds):
        ours, *theirs = (one_run(kind, folder, size, seed) for kind in KINDS)
        for kind, points in zip(KINDS[1:], theirs, strict=True):
            best = max(accuracy for _, accuracy in points)
            there, here = seconds_to(points, best), seconds_to(ours, best)
            row = {"against": kind, "seed": seed, "best": best, "theirs": there, "ours": here}
            rows.append({**row, "ratio": here / there, "points": points, "our_points": ours})
            print(f"{kind:28}{seed:5}{best:9.3f}{there:7.1f}{here:14.1f}{here / there:7.2f}")
    return rows


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "data" / "creatures"
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="default: creatures")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write all times and accuracies")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        kind, seed = options.run[0], int(options.run[1])
        task = (options.folder, options.size, seed)
        points = run_lessonkit(*task) if kind == KINDS[0] else run_fastai(*task, kind == KINDS[1])
        print(json.dumps(points))
        return 0
    rows = compare(options.folder, options.size, options.seeds)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    medians = [statistics.median(r["ratio"] for r in rows if r["against"] == k) for k in KINDS[1:]]
    print(
        "median ratio: "
        + ", ".join(f"{m:.2f} ({k})" for m, k in zip(medians, KINDS[1:], strict=True))
    )
    return 0 if medians[0] <= 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
