"""lessonkit beside the strongest libraries for each job: processor time on one thread.

    python benchmarks/peers.py [--photos FOLDER] [--only WORD] [--store]

Everything runs on one thread, in turns, on the same pictures; what counts is the processor time of
the median of 15 turns, which other work on the machine disturbs least. `--photos` holds class
folders, or train/ and valid/ of them (the creatures unless given). Last in each row is what the
machine couldn't undercut: multiplications at the speed of a large matrix product, or bytes at that
of a large copy. `--store` writes peers.json and the tables in README.md here, one for each kind of
processor; ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 imitates another kind.
"""

import argparse
import io
import json
import math
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from side_by_side import into_readme, machine
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lessonkit import Learner, augment, data, models
from lessonkit.course.datasets import embedded
from lessonkit.files import safe_files
from lessonkit.images.decode import decode
from lessonkit.images.image_data import Split
from lessonkit.machine import progress
from lessonkit.networks import backbone
from lessonkit.recipe import HEAD_CYCLES, HEAD_STEPS, SAFE_LR, train_cycles
from lessonkit.training import activations, onnx_graph

HERE = Path(__file__).resolve().parent
BEGIN = "<!-- peers: made by benchmarks/peers.py -->"
TURNS = 15
ARCH = "tf_efficientnet_lite0"
MULTIPLY_ADDS = 0.407e9  # of EfficientNet-Lite0 at 224 px (timm's table of results)
PACKAGES = ["torch", "torchvision", "timm", "onnxruntime", "albumentations", "kornia", "simplejpeg"]
PACKAGES += ["scikit-learn", "torch-lr-finder", "pillow", "numpy"]


class Row(NamedTuple):
    """Milliseconds of processor time of each way, ours first; what must hold; what can't be beaten.

    `must` is how often the time of `beside`, the fastest of the others unless it is named, ours may
    take at most; None where nothing is asked for.
    """

    what: str
    times: dict[str, float]
    must: float | None = None
    beside: str = ""
    limit: float = math.nan
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over the other."""
        ours, *others = self.times.values()
        return ours / (self.times[self.beside] if self.beside else min(others))

    @property
    def holds(self) -> bool:
        """Whether what must hold does."""
        return self.must is None or self.ratio <= self.must


def in_turns(ways: dict[str, Callable[[], object]], share: int = 1) -> dict[str, float]:
    """Processor time, ms, of each way, the median of TURNS; divided by `share`, as of pictures."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS + 1):
        for name, work in ways.items():
            started = time.process_time()
            work()
            if turn:  # the first one warms up
                taken[name].append((time.process_time() - started) * 1000 / share)
    return {name: statistics.median(values) for name, values in taken.items()}


# --- What the machine can do ----------------------------------------------------------------------


@cache
def multiply_adds_a_ms() -> float:
    """Of float32, on one thread, in a product of matrices of 1,024 rows and columns."""
    a, b = torch.randn(2, 1024, 1024)
    return 1024**3 / in_turns({"product": lambda: a @ b})["product"]


@cache
def bytes_a_ms() -> float:
    """Read and written, in a copy of 256 MB."""
    source = torch.zeros(2**28, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * len(source) / in_turns({"copy": lambda: target.copy_(source)})["copy"]


def least_of_body(size: int) -> float:
    """Milliseconds that a picture's way through the body takes at least."""
    return MULTIPLY_ADDS * (size / 224) ** 2 / multiply_adds_a_ms()


def least_of_step(network: nn.Module, images: torch.Tensor) -> float:
    """Milliseconds that the multiplications of a training step take at least."""
    labels = torch.zeros(len(images), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(network(images), labels).backward()
    network.zero_grad()
    return counter.get_total_flops() / 2 / multiply_adds_a_ms()


# --- The jobs -------------------------------------------------------------------------------------


def augmentation(photos: Path) -> Iterator[Row]:
    """Mirror, rotate, zoom, shift, brightness and contrast, of 64 photos of 128 px."""
    import albumentations
    import kornia.augmentation as kornia
    from torchvision.transforms import v2

    images = data.creatures(128).train.images[:64].contiguous()
    arrays = [picture.permute(1, 2, 0).contiguous().numpy() for picture in images]
    ours = augment.side_on()
    one_by_one = albumentations.Compose(
        [
            albumentations.HorizontalFlip(),
            albumentations.Affine((1, 1.1), (-0.05, 0.05), rotate=(-10, 10), border_mode=2, p=1),
            albumentations.RandomBrightnessContrast(0.05, 0.05, p=1),
        ]
    )
    batch = nn.Sequential(
        kornia.RandomHorizontalFlip(),
        kornia.RandomAffine(10, (0.05, 0.05), (1.0, 1.1), p=1.0),
        kornia.ColorJitter(0.05, 0.05, p=1.0),
    )
    bilinear = v2.InterpolationMode.BILINEAR
    torchvision = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(10, (0.05, 0.05), (1.0, 1.1), interpolation=bilinear),
            v2.ColorJitter(0.05, 0.05),
        ]
    )
    ways = {
        "lessonkit": lambda: ours(images),
        "albumentations": lambda: [one_by_one(image=array) for array in arrays],
        "kornia": lambda: batch(images.float() / 255),
        "torchvision v2": lambda: [torchvision(picture) for picture in images],
    }
    times = in_turns(ways, len(images))
    moved = 2 * images[0].numel() / bytes_a_ms()
    yield Row("augment a photo, 128 px", times, 1.05, "albumentations", moved)

    learn = Learner.pretrained(ARCH, data.creatures(128), seed=0)
    learn.unfreeze()
    labels = torch.zeros(len(images), dtype=torch.long)

    def step() -> None:
        F.cross_entropy(learn.model.train()(images), labels).backward()

    step_times = in_turns({"step": step}, len(images))
    shares = {"lessonkit": times["lessonkit"], "a training step": step_times["step"]}
    what = "augmentation beside a training step of the whole network"
    yield Row(what, shares, 0.03, "a training step", moved)


def decoding(photos: Path) -> Iterator[Row]:
    """JPEG pictures to squares; the others are told the scale at which a JPEG may be decoded."""
    import simplejpeg
    from torchvision.io import ImageReadMode, decode_jpeg

    earth = Image.fromarray(embedded.earth_map()[0])
    for what, sides, size in (
        ("decode a JPEG of 277 px to 128 px", (277, 277), 128),
        ("decode a JPEG of 12 megapixels to 224 px", (4000, 3000), 224),
    ):
        written = io.BytesIO()
        earth.resize(sides).save(written, "JPEG", quality=90)
        contents = written.getvalue()
        with tempfile.NamedTemporaryFile(suffix=".jpg", delete=False) as file:
            file.write(contents)
        path = Path(file.name)

        def by_simplejpeg(contents: bytes = contents, size: int = size) -> Image.Image:
            pixels = simplejpeg.decode_jpeg(contents, min_height=size, min_width=size)
            return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)

        def by_torchvision(contents: bytes = contents, size: int = size) -> torch.Tensor:
            raw = torch.frombuffer(bytearray(contents), dtype=torch.uint8)
            pixels = decode_jpeg(raw, ImageReadMode.RGB)[None]
            return F.interpolate(pixels, (size, size), mode="bicubic", antialias=True)

        times = in_turns(
            {
                "lessonkit": lambda path=path, size=size: decode(path, size),
                "simplejpeg": by_simplejpeg,
                "torchvision.io": by_torchvision,
            }
        )
        path.unlink()
        note = "one way for all formats, by Pillow; a way of its own for JPEG would be as fast"
        moved = (len(contents) + 3 * size**2) / bytes_a_ms()
        yield Row(what, times, None, "", moved, note)


def frozen_body(photos: Path) -> Iterator[Row]:
    """Activations of 64 photos, as `activations.cached` computes those of large sets."""
    network = models.pretrained(ARCH, 2)
    body = nn.Sequential(*list(network.children())[:-1])
    plain = backbone.create(ARCH, True).eval()
    plain.reset_classifier(0)
    for size in (128, 224):
        images = data.creatures(size).train.images[:64].contiguous()
        arrays, graph = images.numpy(), activations.graph(body, images[:4])
        traced = onnx_graph.trace(_Scaled(plain), size, "activations").SerializeToString()
        session = onnx_graph.session(traced)
        ways = {
            "lessonkit": lambda graph=graph, images=images: graph(images),
            "onnxruntime": lambda s=session, x=arrays: s.run(None, {"images": x}),
            "lessonkit without onnxruntime": lambda x=images: activations.run(body, x, False),
            "timm": torch.no_grad()(lambda x=images: plain(x / 255)),
        }
        what = f"activations of a photo, {size} px"
        times = in_turns(ways, len(images))
        yield Row(what, times, 1.15, "onnxruntime", least_of_body(size))


class _Scaled(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.float() / 255)


def head(photos: Path) -> Iterator[Row]:
    """A head on stored activations, and all of step 3 from the files on."""
    import simplejpeg
    from sklearn.linear_model import LogisticRegression

    images = data.from_folder(photos, 128)
    learn = Learner.pretrained(ARCH, images, seed=0)
    stored = learn.activations()
    train, valid = stored["train"].numpy(), stored["valid"].numpy()
    labels, truth = images.train.labels.numpy(), images.valid.labels.numpy()
    accuracies, starts = {}, []

    def ours() -> None:
        starts.append(len(learn.history.epochs))
        for parameter in learn.groups[-1].parameters():
            nn.init.zeros_(parameter)
        epochs = math.ceil(HEAD_STEPS / learn.n_batches)
        lengths = [epochs * 2**i for i in range(HEAD_CYCLES)]
        train_cycles(learn, 3 * SAFE_LR, lengths, by_loss=True)
        accuracies["lessonkit"] = learn.validate()[1]

    def regression() -> None:
        model = LogisticRegression(C=0.01, max_iter=500).fit(train, labels)
        accuracies["scikit-learn"] = model.score(valid, truth)

    times = in_turns({"lessonkit": ours, "scikit-learn": regression})
    said = ", ".join(f"{name} {value:.3f}" for name, value in accuracies.items())
    # An epoch takes each number once forward and once back, to the weights, for each class. It may
    # stop early, so epochs are those of the last turn.
    epochs = len(learn.history.epochs) - starts[-1]
    least = 2 * epochs * train.size * len(images.classes) / multiply_adds_a_ms()
    yield Row(f"the head on {len(train)} activations", times, None, "", least, f"reach {said}")

    files = [path for path in sorted(photos.rglob("*.jp*g")) if path.is_file()]
    body = nn.Sequential(*learn.groups[:-1])
    session = onnx_graph.session(onnx_graph.trace(body, 128, "a").SerializeToString())

    def theirs() -> None:
        pictures = []
        for path in files:
            contents = path.read_bytes()
            pixels = simplejpeg.decode_jpeg(contents, min_height=128, min_width=128)
            small = Image.fromarray(pixels).resize((128, 128), Image.Resampling.BICUBIC)
            pictures.append(np.asarray(small).transpose(2, 0, 1))
        pixels = np.stack(pictures)
        found = [session.run(None, {"images": pixels[i : i + 64]})[0]
                 for i in range(0, len(pixels), 64)]  # fmt: skip
        names = [path.parent.name for path in files]
        LogisticRegression(C=0.01, max_iter=500).fit(np.concatenate(found), names)

    pixels = torch.cat([images.train.images, images.valid.images]).split(64)
    parts = in_turns(
        {
            "decode": lambda: [decode(path, 128) for path in files],
            "activations": lambda: [activations.run(body, part, False) for part in pixels],
            "theirs": theirs,
        }
    )
    whole = parts["decode"] + parts["activations"] + times["lessonkit"]
    both = {"lessonkit": whole, "simplejpeg, onnxruntime and scikit-learn": parts["theirs"]}
    note = f"decoding {parts['decode']:.0f}, the body {parts['activations']:.0f}, the head the rest"
    least += len(files) * least_of_body(128)
    yield Row(f"step 3 from {len(files)} files on", both, 1.5, "", least, note)


def training(photos: Path) -> Iterator[Row]:
    """A step of training and of the finder, of a small network on tiles."""
    from torch_lr_finder import LRFinder

    images = data.earth(32).with_augment(augment.none()).with_training(slice(0, 1024))
    images = type(images)(**{**vars(images), "valid": Split(*(part[:1] for part in images.valid))})
    learn = Learner(models.small_cnn(8), images, device="cpu")
    bare = models.small_cnn(8)
    pixels, labels = images.train
    loader = torch.utils.data.DataLoader(
        list(zip(*images.train, strict=True)), batch_size=64, shuffle=True
    )

    def bare_epoch() -> None:
        bare.train()
        optimizer = torch.optim.SGD(bare.parameters(), 0.01, momentum=0.9)
        for rows in torch.randperm(len(labels)).split(64):
            loss = F.cross_entropy(bare(pixels[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    times = in_turns({"lessonkit": lambda: learn.fit(0.01, 1), "a bare loop": bare_epoch}, 16)
    least = least_of_step(bare.train(), pixels[:64])
    yield Row("a step of training, 64 tiles of 32 px", times, 1.05, "", least)

    steps = {"lessonkit": 0, "torch-lr-finder": 0}

    def find() -> None:
        steps["lessonkit"] = len(learn.lr_find().losses)

    def theirs() -> None:
        optimizer = torch.optim.SGD(bare.parameters(), 1e-5, momentum=0.9)
        finder = LRFinder(bare, optimizer, nn.CrossEntropyLoss(), "cpu")
        finder.range_test(loader, end_lr=10, num_iter=100, diverge_th=4)
        steps["torch-lr-finder"] = len(finder.history["loss"])
        finder.reset()

    taken = in_turns({"lessonkit": find, "torch-lr-finder": theirs, "a bare loop": bare_epoch})
    each = {name: taken[name] / n for name, n in steps.items()}
    each["a bare loop"] = taken["a bare loop"] / 16
    yield Row("a step of the finder, 64 tiles of 32 px", each, 1.05, "a bare loop", least)


JOBS = [augmentation, decoding, frozen_body, head, training]


# --- What it says ---------------------------------------------------------------------------------


def short(ms: float) -> str:
    """A number in a table: 0.0078, 2.83, 1061."""
    return f"{ms:.3g}" if ms < 100 else f"{ms:.0f}"


def table(rows: list[Row]) -> str:
    """The rows for README.md."""
    lines = ["| what | lessonkit | others | × | must | at least |", "|---|---|---|---|---|---|"]
    for row in rows:
        ours, *others = row.times.items()
        said = ", ".join(f"{name} {short(ms)}" for name, ms in others)
        must = "–" if row.must is None else f"≤ {row.must:g} {'✓' if row.holds else 'missed'}"
        limit = "–" if math.isnan(row.limit) else short(row.limit)
        what = row.what + (f" ({row.note})" if row.note else "")
        lines.append(f"| {what} | {short(ours[1])} | {said} | {row.ratio:.2f} | {must} | {limit} |")
    return "\n".join(lines)


def kind(record: dict) -> str:
    """The kind of processor of a record, and its threads: what precedes the versions."""
    return record["machine"].partition(";")[0]


def store(rows: list[Row]) -> None:
    """Write peers.json, and from it the tables in README.md, one for each kind of processor.

    Rows measured with other versions on this kind are left out: the line above a table holds for
    all of it.
    """
    path, here = HERE / "peers.json", {"machine": machine(PACKAGES), "rows": []}
    known = json.loads(path.read_text()) if path.exists() else []
    known = [known] if isinstance(known, dict) else known
    before = next((one["rows"] for one in known if one["machine"] == here["machine"]), [])
    new = {row.what: row._asdict() for row in rows}
    here["rows"] = [new.pop(row["what"], row) for row in before] + list(new.values())
    known = [here if kind(one) == kind(here) else one for one in known]
    known += [] if here in known else [here]
    with safe_files.atomic_path(path) as part:
        part.write_text(json.dumps(known, indent=1) + "\n")
    said = [f"{one['machine']}\n\n{table([Row(**row) for row in one['rows']])}" for one in known]
    into_readme(BEGIN, "\n\n".join(said))


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=HERE.parent / "data" / "creatures")
    parser.add_argument("--only", default="", help="jobs with this in their name")
    parser.add_argument("--store", action="store_true", help="into peers.json and README.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = []
    for job in JOBS:
        if options.only in job.__name__:
            with progress.quiet():
                for row in job(options.photos):
                    rows.append(row)
                    print(table([row]).splitlines()[-1], flush=True)
    if options.store:
        store(rows)
    asked = [row for row in rows if row.must is not None]
    held = sum(row.holds for row in asked)
    print(f"{held} of {len(asked)} hold. {machine(PACKAGES)}")
    return 0 if held == len(asked) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
