"""lessonkit beside what people would use instead: same pictures and weights, in turns, in one run.

    python benchmarks/performance.py [--only WORD] [--store]

Each line is the median over repeats, mostly of a ratio of seconds; of 50,000 pictures there is one
run. Where there is a graphics card, it computes what it can, and is waited for. `--store` writes
the lines to benchmarks/results.json (results-cuda.json on a graphics card) and, from there, the
table in benchmarks/README.md; with `--only`, they take the place of those of the same name there.
The last line says how many targets hold; exit status 0 only if all do. It takes a quarter of an
hour, and means something only on a machine that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from side_by_side import Row, into_readme, machine, ratios, seconds, table

from lessonkit import Learner, augment, data, models
from lessonkit.course import hardware
from lessonkit.course.datasets import embedded
from lessonkit.images.image_data import ImageData, Split
from lessonkit.machine import progress
from lessonkit.networks import backbone
from lessonkit.training import activations

DEVICE = hardware.best_device()
NAME, WHERE = ("results", "") if DEVICE == "cpu" else (f"results-{DEVICE}", f" on {DEVICE}")
RESULTS = Path(__file__).with_name(f"{NAME}.json")
PACKAGES = ["torch", "torchvision", "timm", "fastai", "torch-lr-finder", "pillow", "numpy"]
BEGIN = f"<!-- performance{WHERE}: made by benchmarks/performance.py -->"


# --- Training -----------------------------------------------------------------------------------


def training_loop() -> Iterator[Row]:
    """`fit` against the shortest loop that trains."""
    images = _few_to_validate(data.earth(32).with_augment(augment.none()), 1024)
    learn = Learner(models.small_cnn(8), images)
    bare = Learner(models.small_cnn(8), images)  # for its network only
    pixels, labels = images.train

    def bare_loop() -> None:
        bare.model.train()
        optimizer = torch.optim.SGD(bare.model.parameters(), 0.01, momentum=0.9)
        for rows in torch.randperm(len(labels)).split(64):
            logits = bare.model(pixels[rows].to(DEVICE))
            loss = F.cross_entropy(logits, labels[rows].to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    yield Row(
        "training loop: images a second against a bare loop's",
        ratios(bare_loop, lambda: learn.fit(0.01, 1), 41),
        at_least=0.97,
    )


def precompute() -> Iterator[Row]:
    """An epoch of the head, with and without stored activations.

    One epoch a fit, on 75 photos in three batches: what a fit costs besides, such as walking over
    the body's layers, is most of the time with precompute. More photos would flatter it.
    """
    images = data.creatures(128).with_augment(augment.none())
    stored = Learner.pretrained("tf_efficientnet_lite0", images)
    fresh = Learner.pretrained("tf_efficientnet_lite0", images, precompute=False)
    yield Row(
        "a frozen-body epoch: without over with precompute",
        ratios(lambda: fresh.fit(1e-3, 1), lambda: stored.fit(1e-3, 1), 5),
        at_least=20,
    )


def computing_activations() -> Iterator[Row]:
    """The frozen body as we run it, against timm's network in an ordinary evaluation loop."""
    pixels = data.creatures(128).train.images[:64].to(DEVICE).contiguous()
    network = models.pretrained("tf_efficientnet_lite0", 2).to(DEVICE)
    body = torch.nn.Sequential(*list(network.children())[:-1])
    half = activations.bfloat16_agrees(body, pixels[:16])
    plain = backbone.create("tf_efficientnet_lite0", True).eval().to(DEVICE)
    mean, std = (
        torch.tensor(plain.pretrained_cfg[name], device=DEVICE).view(3, 1, 1)
        for name in ("mean", "std")
    )
    plain.reset_classifier(0)

    @torch.no_grad()
    def evaluate() -> None:
        plain((pixels / 255 - mean) / std)

    yield Row(
        f"computing activations: against an evaluation loop{', in bfloat16' if half else ''}",
        ratios(evaluate, lambda: activations.run(body, pixels, half), 9),
        at_least=2.0 if half else 1.2,
    )


def lr_finder() -> Iterator[Row]:
    """The finder, a step, against training and against the package torch-lr-finder."""
    from torch_lr_finder import LRFinder

    images = _few_to_validate(data.earth(32).with_augment(augment.none()), 1024)
    learn = Learner(models.small_cnn(8), images)
    loader = torch.utils.data.DataLoader(
        list(zip(*images.train, strict=True)), batch_size=64, shuffle=True
    )

    def ours() -> float:
        return seconds(lambda: steps.append(len(learn.lr_find().losses))) / steps[-1]

    def training() -> float:
        return seconds(lambda: learn.fit(1e-5, 6)) / (6 * learn.n_batches)

    def theirs() -> float:
        optimizer = torch.optim.SGD(learn.model.parameters(), 1e-5, momentum=0.9)
        finder = LRFinder(learn.model, optimizer, torch.nn.CrossEntropyLoss(), DEVICE)
        took = seconds(lambda: finder.range_test(loader, end_lr=10, num_iter=100, diverge_th=4))
        done = len(finder.history["loss"])
        finder.reset()
        return took / done

    steps: list[int] = []
    ours(), training(), theirs()
    turns = [(ours(), training(), theirs()) for _ in range(15)]
    yield Row(
        "lr_find: a step against a step of training", [a / b for a, b, _ in turns], at_most=1.1
    )
    yield Row(
        "lr_find: a step against torch-lr-finder's", [a / c for a, _, c in turns], at_most=1.0
    )


# --- Pictures -----------------------------------------------------------------------------------


def augmentation() -> Iterator[Row]:
    """A batch of 64 photos of 128 px, against one by one and against fastai's batches.

    One by one is what people do with torchvision: its DataLoader transforms picture by picture.
    """
    from fastai.vision.augment import aug_transforms
    from fastai.vision.core import TensorImage
    from torchvision.transforms import v2

    on_cpu = data.creatures(128).train.images[:64].contiguous()
    pixels = on_cpu.to(DEVICE)  # one by one is for the CPU, a batch for the device
    ours = augment.side_on()
    one = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(
                10, (0.05, 0.05), (1.0, 1.1), interpolation=v2.InterpolationMode.BILINEAR
            ),
            v2.ColorJitter(0.05, 0.05),
        ]
    )
    batch = aug_transforms(max_zoom=1.1, max_lighting=0.05, max_warp=0.0, p_affine=1, p_lighting=1)

    def fastai() -> None:
        made = TensorImage(pixels.float().div_(255))
        for transform in batch:
            made = transform(made, split_idx=0)

    yield Row(
        "augmentation: against torchvision v2, picture by picture",
        ratios(lambda: [one(picture) for picture in on_cpu], lambda: ours(pixels), 15),
        at_least=3.0,
    )
    yield Row(
        "augmentation: against fastai's batch transforms",
        ratios(fastai, lambda: ours(pixels), 15),
        at_least=1.2,
    )


def decoding() -> Iterator[Row]:
    """A folder of photos, 500 by 375 pixels, for the first time and for the second."""
    from fastai.vision.augment import Resize
    from fastai.vision.data import ImageDataLoaders

    with tempfile.TemporaryDirectory() as place:
        folder = _photos(Path(place) / "photos", 2000, (500, 375))
        some = Path(place) / "some"
        for photo in sorted(folder.glob("*/*"))[::5]:
            (some / photo.parent.name).mkdir(parents=True, exist_ok=True)
            os.link(photo, some / photo.parent.name / photo.name)

        def ours(pictures: Path = some) -> None:
            data.from_folder(pictures, 224)

        def fastai() -> None:
            loaders = ImageDataLoaders.from_folder(
                some, valid_pct=0.2, item_tfms=Resize(224), bs=64, num_workers=os.cpu_count()
            )
            for loader in loaders:
                for _ in loader.new(shuffle=False, drop_last=False):
                    pass

        values = []
        fastai()  # a first go, as in `ratios`
        for _ in range(7):
            with _empty_cache():
                values.append(seconds(fastai) / seconds(ours))
        yield Row("decoding to 224 px, first time: against fastai's loader", values, at_least=1.5)
        with _empty_cache():
            ours(folder)
            again = [seconds(lambda: ours(folder)) for _ in range(5)]
        yield Row("second start with 2,000 pictures", again, at_most=1.0, unit="s")


def test_time_augmentation() -> Iterator[Row]:
    """TTA against as many plain predictions as it has views."""
    learn = Learner.pretrained("tf_efficientnet_lite0", data.creatures(128))
    pixels = learn.images.train.images[:64]
    views = len(list(learn.augment.views(pixels[:1])))
    values = ratios(lambda: learn.predict(pixels, tta=True), lambda: learn.predict(pixels), 41)
    yield Row(
        f"TTA with {views} views: seconds of plain predictions", values, at_most=views, unit="×"
    )


# --- Starting, and growing ----------------------------------------------------------------------


def importing() -> Iterator[Row]:
    """What `import lessonkit` takes beyond torch, in new processes."""

    def start(modules: str) -> float:
        return seconds(
            lambda: subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
        )

    start("torch, lessonkit")
    values = [start("torch, lessonkit") - start("torch") for _ in range(5)]
    yield Row("import lessonkit, beyond import torch", values, at_most=0.5, unit="s")


def growing() -> Iterator[Row]:
    """Memory and time for a picture, with 50,000 pictures against 1,000."""
    with tempfile.TemporaryDirectory() as place:
        folders = [_photos(Path(place) / str(n), n, (96, 72)) for n in (1000, 50_000)]
        few, many = (
            _train_on(folder, epochs) for folder, epochs in zip(folders, (50, 1), strict=True)
        )
    memory, time = many["private"] / few["private"], many["seconds"] / few["seconds"]
    yield Row("private memory: 50,000 pictures against 1,000", [memory], at_most=1.1)
    yield Row("time for a picture: 50,000 pictures against 1,000", [time], at_most=1.1)


TRAIN = """
import json, sys, time
from lessonkit import Learner, data, models, progress
folder, epochs = sys.argv[1], int(sys.argv[2])
with progress.quiet():
    images = data.from_folder(folder, 32)
    learn = Learner(models.small_cnn(8), images, batch_size=64)
    started = time.perf_counter()
    learn.fit(0.01, epochs)
    took = (time.perf_counter() - started) / epochs / len(images.train.labels)
fields = dict(line.split()[:2] for line in open("/proc/self/smaps_rollup").readlines()[1:])
print(json.dumps({"seconds": took, "private": int(fields["Private_Dirty:"])}))
"""


def _train_on(folder: Path, epochs: int) -> dict:
    """Seconds for a picture and epoch, and private memory at the end, kB, in a new process."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, str(folder), str(epochs)],
            env=os.environ | {"LESSONKIT_CACHE": cache},
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout)


# --- Pictures to measure with -------------------------------------------------------------------


def _few_to_validate(images: ImageData, n_train: int) -> ImageData:
    """The first pictures for training and one for validation: time goes into training only."""
    images = images.with_training(slice(0, n_train))
    return ImageData(**{**vars(images), "valid": Split(*(part[:1] for part in images.valid))})


def _photos(folder: Path, n: int, size: tuple[int, int]) -> Path:
    """`n` JPEG files of `size` in two classes: cut out of the satellite map, as real as photos."""
    picture = Image.fromarray(embedded.earth_map()[0])
    random = np.random.default_rng(0)
    for i in range(n):
        left, top = (
            int(random.integers(0, full - part))
            for full, part in zip(picture.size, size, strict=True)
        )
        file = folder / "ab"[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.crop((left, top, left + size[0], top + size[1])).save(file, quality=90)
    return folder


class _empty_cache(tempfile.TemporaryDirectory):
    """For a `with` block: a cache of its own, empty at first."""

    def __enter__(self) -> str:
        self.before = os.environ.get("LESSONKIT_CACHE")
        os.environ["LESSONKIT_CACHE"] = super().__enter__()
        return self.name

    def __exit__(self, *reason: object) -> None:
        os.environ.pop("LESSONKIT_CACHE")
        if self.before is not None:
            os.environ["LESSONKIT_CACHE"] = self.before
        super().__exit__(*reason)


MEASURES = [training_loop, augmentation, precompute, computing_activations, decoding, lr_finder]
MEASURES += [test_time_augmentation, importing, growing]


def store(rows: list[Row], all_of_them: bool) -> None:
    """Write results.json, and the table made from it into the README beside it.

    Unless these are all rows, those of other names stay. Each row says on which machine it was
    measured, and with which versions.
    """
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not all_of_them else []
    here = machine(PACKAGES)
    new = {row.name: row._asdict() | {"machine": here} for row in rows}
    merged = [new.pop(row["name"], row) for row in known] + list(new.values())
    RESULTS.write_text(json.dumps(merged, indent=1) + "\n")
    into_readme(BEGIN, table(merged))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="measures with this in their name")
    parser.add_argument("--store", action="store_true", help="into results.json and README.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for measure in MEASURES:
        if options.only not in measure.__name__:
            continue
        with progress.quiet():
            for row in measure():
                rows.append(row)
                print(row, flush=True)
    if options.store:
        store(rows, all_of_them=not options.only)
    held = sum(row.holds for row in rows)
    print(f"{held} of {len(rows)} targets hold.")
    return 0 if held == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
