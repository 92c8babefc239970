"""The 8 steps beside fastai 2.8: same pictures, backbone, weights and mini-batches, in one run.

    python benchmarks/eight_steps_vs_fastai.py [--set cells] [--photos FOLDER] [--size 96]
                                               [--seeds 3] [--store]

Up to 600 pictures train. Others, 500 or more of cells and of digits, are looked at after each
epoch: the last epoch is compared with the last, and the best with the best, as the best of many
looks better than it is. As many again choose nothing: they judge the network that is left at the
end, ours after step 8, fastai's after its last epoch. fastai gets its own head, augmentation and
`lr_find().valley`, one frozen epoch and `fine_tune` for three more: as it comes, and with the
body's BatchNorm statistics frozen, as on few pictures they lag behind in timm's networks.

Seconds are processor time on one thread, from before the first picture is decoded; imports don't
count. Each run is a process of its own with an empty cache. `--store` keeps the rows beside this
script and puts a table into README.md; runs that are stored aren't run again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import recipe
from PIL import Image
from side_by_side import into_readme, machine

from lessonkit import data
from lessonkit.augment import Augment
from lessonkit.files import safe_files
from lessonkit.images.image_data import ImageData
from lessonkit.machine import progress
from lessonkit.recipe import FEW, SMALL_BATCH, eight_steps

ROOT = Path(__file__).resolve().parent.parent
STORED = Path(__file__).with_name("fastai.json")
BEGIN = "<!-- fastai: made by benchmarks/eight_steps_vs_fastai.py -->"
OURS = "the 8 steps"
THEIRS = ("fastai, statistics frozen", "fastai as it comes")
PACKAGES = ["torch", "torchvision", "timm", "fastai", "pillow", "numpy"]
EPOCHS = 3  # of `fine_tune`, after a frozen one
PICTURES = 600  # for training


def write(images: ImageData, folder: Path) -> None:
    """The three sets as files, train/CLASS/0.png …, which both sides then read."""
    for part in ("train", "valid", "test"):
        pixels, labels = getattr(images, part)
        for n, (picture, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
            place = folder / part / images.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(place / f"{n}.png")


def run_lessonkit(folder: Path, size: int, seed: int, changes: Augment) -> dict:
    """The recipe as `python -m lessonkit train` runs it."""
    started = time.process_time()
    with progress.quiet():
        images = data.from_folder(folder, size, changes)
        report = eight_steps(images, seed=seed)
    seconds = time.process_time() - started
    epochs = [row["accuracy"] for row in report.learner.history.epochs]
    return {"seconds": seconds, "epochs": epochs, "test": report.accuracy_test}


def run_fastai(folder: Path, size: int, seed: int, changes: Augment, frozen: bool) -> dict:
    """fastai's own way of tuning a pretrained network; `frozen`: the body's statistics stay."""
    from fastai.callback.core import Callback
    from fastai.callback.schedule import fine_tune, lr_find  # noqa: F401 - adds both to Learner
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.data.transforms import GrandparentSplitter, Normalize, get_image_files, parent_label
    from fastai.metrics import accuracy
    from fastai.torch_core import set_seed
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageBlock
    from fastai.vision.learner import vision_learner
    from torch import nn

    from lessonkit.networks import backbone

    class Note(Callback):
        """Notes the accuracy after each epoch, and keeps BatchNorm's statistics if told to."""

        order = 100  # after the one that measures it

        def before_train(self):
            for module in self.model[0].modules():
                if frozen and isinstance(module, nn.BatchNorm2d):
                    module.eval()

        def after_epoch(self):
            if not hasattr(self, "lr_finder") and len(self.recorder.values):
                after.append(float(self.recorder.values[-1][-1]))

    after: list[float] = []
    source = backbone.create("tf_efficientnet_lite0", True)
    config, weights = source.pretrained_cfg, source.state_dict()
    started = time.process_time()
    set_seed(seed, reproducible=True)
    n_train = len(get_image_files(folder / "train"))
    loaders = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda _: get_image_files(folder, folders=["train", "valid"]),
        get_y=parent_label,
        splitter=GrandparentSplitter(),
        item_tfms=Resize(size),
        batch_tfms=[
            *aug_transforms(do_flip=changes.mirror, flip_vert=changes.turns or changes.half_turns),
            Normalize.from_stats(config["mean"], config["std"]),
        ],
    ).dataloaders(folder, bs=SMALL_BATCH if n_train < FEW else 64, num_workers=0)
    learn = vision_learner(
        loaders,
        "tf_efficientnet_lite0",
        pretrained=False,
        normalize=False,
        metrics=accuracy,
        train_bn=not frozen,
        cbs=[Note()],
    )
    learn.model[0].model.load_state_dict(weights, strict=False)
    learn.freeze()
    with learn.no_bar(), learn.no_logging():
        lr = learn.lr_find(show_plot=False).valley
        after.clear()
        learn.fine_tune(EPOCHS, lr, freeze_epochs=1)
        seconds, epochs_done = time.process_time() - started, after[:]  # before `validate` adds one
        tests = learn.dls.test_dl(get_image_files(folder / "test"), with_labels=True)
        result = float(learn.validate(dl=tests)[1])
    return {"seconds": seconds, "epochs": epochs_done, "test": result}


def one_run(kind: str, images: ImageData, size: int, seed: int) -> dict:
    """One of the three, in a new process with an empty cache."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        write(images, folder)
        arguments = ["--run", kind, str(folder), json.dumps(asdict(images.augment)), str(seed)]
        done = subprocess.run(
            [sys.executable, __file__, f"--size={size}", *arguments],
            capture_output=True,
            text=True,
            env=os.environ
            | {"LESSONKIT_CACHE": place, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
    if done.returncode:
        raise SystemExit(f"{kind}, seed {seed}, failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run(kind: str, folder: str, changes: str, seed: str, size: int) -> dict:
    """What a process of its own does."""
    task = (Path(folder), size, int(seed), Augment(**json.loads(changes)))
    return run_lessonkit(*task) if kind == OURS else run_fastai(*task, kind == THEIRS[0])


def summary(rows: list[dict]) -> str:
    """A table: means over seeds, and behind them how far the 8 steps are above, in points."""
    lines = [
        f"{rows[0]['set']}, {rows[0]['pictures']} pictures (train, valid, test) of "
        f"{rows[0]['size']} px, {len(rows) // (1 + len(THEIRS))} seeds; fastai {rows[0]['fastai']}",
        "",
        "| | last epoch | best epoch | pictures that chose nothing | seconds |",
        "|---|---|---|---|---|",
    ]
    ours = [row for row in rows if row["kind"] == OURS]
    for kind in (OURS, *THEIRS):
        theirs = [row for row in rows if row["kind"] == kind]
        cells = []
        for measure in (lambda r: r["epochs"][-1], lambda r: max(r["epochs"]), lambda r: r["test"]):
            mean = statistics.mean(map(measure, theirs))
            gains = [measure(a) - measure(b) for a, b in zip(ours, theirs, strict=True)]
            said = "" if kind == OURS else f", {recipe.points(recipe.interval(gains))}"
            cells.append(f"{mean:.3f}{said}")
        seconds = statistics.mean(row["seconds"] for row in theirs)
        lines.append(f"| {kind} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="cells", help="one of the course's, or of --photos")
    parser.add_argument("--photos", type=Path, help="a folder of folders, each a set of pictures")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*options.run, options.size)))
        return
    import fastai

    known = recipe.sets(options.photos)[options.set](options.size)
    about = {"set": options.set, "size": options.size, "fastai": fastai.__version__}
    rows = json.loads(STORED.read_text()) if options.store and STORED.exists() else []
    for seed in range(options.seeds):
        images = recipe.three_sets(options.set, known, seed, PICTURES)
        counts = [len(part.labels) for part in (images.train, images.valid, images.test)]
        for kind in (OURS, *THEIRS):
            asked = about | {"pictures": counts, "seed": seed, "kind": kind}
            if any(asked.items() <= row.items() for row in rows):
                continue
            made = one_run(kind, images, options.size, seed)
            rows.append(asked | made | {"machine": machine(PACKAGES, threads=1)})
            last = rows[-1]
            print(
                f"{kind}, seed {seed}: last {last['epochs'][-1]:.3f}, best "
                f"{max(last['epochs']):.3f}, test {last['test']:.3f}, {last['seconds']:.0f} s",
                flush=True,
            )
            if options.store:
                with safe_files.atomic_path(STORED) as part:
                    part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    said = summary([row for row in rows if about.items() <= row.items()])
    print(said)
    if options.store:
        into_readme(BEGIN, said)


if __name__ == "__main__":
    main()
