"""The command line: `python -m lessonkit train|predict|check`, see `--help` of each."""

import argparse
import io
import json
import os
import sys
import warnings
from pathlib import Path

from lessonkit import augment, data, pictures, storage
from lessonkit.history import Diverged


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    warnings.showwarning = lambda message, *_, **__: _say(f"note: {message}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal can't show
    options = _parser().parse_args(arguments)
    try:
        status = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `check FOLDER | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as programs that don't catch it end
    except (data.DataError, storage.ModelFileError, Diverged, ValueError) as mistake:
        _say(f"lessonkit: {mistake}")
        return 2
    except OSError as error:
        _say(f"lessonkit: {error.filename or 'a file'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        _say("\nStopped. Nothing was written.")
        return 130


def train(options: argparse.Namespace) -> int:
    """Go through the 8 steps on a folder; write the model and, if asked for, a report."""
    for path in filter(None, (options.out, options.report)):
        storage.check_can_write(path)  # before an hour of training, not after it
    if options.report and Path(options.report).resolve() == Path(options.out).resolve():
        raise ValueError(f"The model and the report can't both go to {options.out}.")
    from lessonkit.recipe import eight_steps

    preset = augment.PRESETS[options.augment]()
    images = data.from_folder(options.folder, options.size, preset, options.seed)
    _list_skipped(images)
    print(images, flush=True)
    report = eight_steps(images, options.arch, options.seed)
    report.learner.save(options.out)
    if options.report:
        report.write(options.report)
    print(report.table())
    print(f"The model is in {options.out}.")
    return 0


def predict(options: argparse.Namespace) -> int:
    """Say for each picture which class it is; those that can't be read are named and left out."""
    from lessonkit.learner import Learner

    learn = Learner.load(options.model)
    answers, status = [], 0
    for path in options.images:
        try:
            photo = pictures.read_pictures([path], learn.size)
        except data.DataError as mistake:
            _say(f"lessonkit: {mistake}")
            status = 2
            continue
        probabilities = learn.predict(photo, tta=options.tta)[0]
        best = int(probabilities.argmax())
        answers.append(
            {"path": path, "class": learn.classes[best], "probability": float(probabilities[best])}
        )
    if options.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            print(f"{answer['path']}\t{answer['class']}\t{answer['probability']:.3f}")
    return status


def check(options: argparse.Namespace) -> int:
    """Read every picture of a folder and say what training would leave out, and why."""
    images = data.from_folder(options.folder)
    for path, why in images.skipped:
        print(f"{path} {why}")
    if images.cleaned:
        print(images.cleaned)
    print(f"{len(images.skipped)} file(s) would be left out. What remains:")
    for number, name in enumerate(images.classes):
        n_train, n_valid = (int((s.labels == number).sum()) for s in (images.train, images.valid))
        print(f"{name}: {n_train} for training, {n_valid} for validation")
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"lessonkit: {message}; see `{self.prog} --help`.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lessonkit", description="Train and use image classifiers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("train", help="train a classifier of a folder's pictures")
    one.add_argument("folder", help="FOLDER/CLASS/*, or FOLDER/train/CLASS/* and FOLDER/valid/…")
    one.add_argument("--size", type=int, default=128, help="side of the pictures, px (128)")
    one.add_argument("--arch", default="tf_efficientnet_lite0", help="a network known to timm")
    one.add_argument("--augment", choices=list(augment.PRESETS), default="side_on",
                     help="how training varies the pictures: photos, views from above, letters, "
                     "or not at all (side_on)")  # fmt: skip
    one.add_argument("--seed", type=_seed, default=0, help="split, order and augmentation (0)")
    one.add_argument("--out", default="model.pt", help="where the model goes (model.pt)")
    one.add_argument("--report", help="where to write a report, as JSON")
    one.set_defaults(command=train)

    two = commands.add_parser("predict", help="say which class pictures belong to")
    two.add_argument("model", help="a model written by train")
    two.add_argument("images", nargs="+", metavar="IMAGE", help="picture files")
    two.add_argument("--tta", action="store_true", help="average over fixed views of each picture")
    two.add_argument("--json", action="store_true", help="print JSON")
    two.set_defaults(command=predict)

    three = commands.add_parser("check", help="say which files training would leave out")
    three.add_argument("folder", help="as for train")
    three.set_defaults(command=check)
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is needed, not {text!r}")
    return int(text)


def _list_skipped(images: data.ImageData) -> None:
    for path, why in images.skipped:
        _say(f"left out: {path} {why}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
