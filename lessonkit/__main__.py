"""The command line: `python -m lessonkit train|predict|check|export|…`, see `--help` of each."""

import argparse
import io
import json
import os
import sys
import warnings
from pathlib import Path

from lessonkit import augment, data
from lessonkit.files import safe_files
from lessonkit.images import image_data as pictures
from lessonkit.networks import weights
from lessonkit.training import checkpoint as journal
from lessonkit.training import distributed
from lessonkit.training.history import Diverged


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    warnings.showwarning = lambda message, *_, **__: _note(f"note: {message}")
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
    except (data.DataError, safe_files.ModelFileError, Diverged, ValueError) as mistake:
        return _end(f"lessonkit: {mistake}", 2)
    except OSError as error:
        return _end(f"lessonkit: {error.filename or 'a file'}: {error.strerror or error}", 2)
    except KeyboardInterrupt as stop:
        return _end(f"\nStopped. {str(stop) or 'Nothing was written.'}", 130)
    except distributed.Lost as stop:
        return _end(f"lessonkit: another process ended, or can't be reached. {stop}", 1)
    except RuntimeError as error:
        if distributed.size() == 1:
            raise
        why = " ".join(str(error).split())[:300]
        return _end(f"lessonkit: process {distributed.rank()} failed: {why}", 1)


def train(options: argparse.Namespace) -> int:
    """Go through the 8 steps on a folder; write the model and, if asked for, a report.

    Also as one of several processes: torchrun --nproc-per-node 2 -m lessonkit train FOLDER.
    """
    about = {name: getattr(options, name) for name in ("size", "arch", "augment", "seed")}
    kept = journal.Journal(f"{options.out}.resume", about)
    try:
        with distributed.joined():
            _train(options, kept)
    except (KeyboardInterrupt, distributed.Lost) as stop:
        there = f"What was done is in {kept.folder}: the same command with --resume goes on there."
        stop.args = (there if kept.exists() else "Nothing was written.",)
        raise
    return 0


def _train(options: argparse.Namespace, kept: journal.Journal) -> None:
    for path in filter(None, (options.out, options.report)):
        safe_files.check_can_write(path)  # before an hour of training, not after it
    if options.report and Path(options.report).resolve() == Path(options.out).resolve():
        raise ValueError(f"The model and the report can't both go to {options.out}.")
    weights.check_name(options.arch)
    _begin_or_resume(kept, options.resume)
    from lessonkit.recipe import eight_steps

    preset = augment.PRESETS[options.augment]()
    images = distributed.in_turn(
        lambda: data.from_folder(options.folder, options.size, preset, options.seed)
    )
    distributed.check_equal(
        [kept.run, images.classes, images.train_files, images.valid_files],
        "The machines don't train the same: give each the same options, and a copy of the same "
        f"pictures in {options.folder}.",
    )
    kept.run["pictures"] = images.key
    kept.check()
    _list_skipped(images)
    print(images, flush=True)
    report = eight_steps(images, options.arch, options.seed, journal=kept)
    distributed.check_equal(
        report.learner.model.state_dict().values(),
        "The processes have come to different weights, which must not happen: nothing is written.",
    )
    if distributed.rank() == 0:
        report.learner.save(options.out)
        if options.report:
            report.write(options.report)
        kept.remove()
    print(report.table())
    print(f"The model is in {options.out}.")


def _begin_or_resume(kept: journal.Journal, resume: bool) -> None:
    """ValueError if there is a journal beside the model and nobody asked to go on from it."""
    if not kept.exists():
        kept.remove()  # what a process left that was killed while it wrote the first part
        if resume:
            _note(f"note: there is no {kept.folder} to go on from: this starts from the beginning.")
    elif resume:
        kept.check()  # before an hour of reading pictures
        _note(f"note: going on from {kept.folder}.")
    else:
        raise ValueError(
            f"{kept.folder} holds a training that was stopped, or one that is still running: add "
            "--resume to go on with it, or delete that folder to start anew."
        )


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


def export(options: argparse.Namespace) -> int:
    """Write a model that train has written as ONNX, for programs without PyTorch."""
    safe_files.check_can_write(options.out)
    if Path(options.model).resolve() == Path(options.out).resolve():
        raise ValueError(f"The ONNX file would take the place of the model {options.model}.")
    from lessonkit.export import to_onnx
    from lessonkit.learner import Learner

    to_onnx(Learner.load(options.model, device="cpu"), options.out)
    print(f"The ONNX model is in {options.out}.")
    return 0


def workbook(options: argparse.Namespace) -> int:
    """Make or update the reader's own copy of the notebooks."""
    from lessonkit.course import workbook

    print("\n".join([*workbook.make(), f"Your copy of the notebooks is {workbook.WORKBOOK}."]))
    return 0


def progress(options: argparse.Namespace) -> int:
    """Say which exercises have been solved."""
    from lessonkit.course.exercises import quiz, solved

    print(f"{solved.table(quiz.all_exercises())}\nKept in {solved.where()}")
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
    one.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
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

    four = commands.add_parser("export", help="write a model as ONNX, to use without PyTorch")
    four.add_argument("model", help="a model written by train")
    four.add_argument("out", help="where the ONNX file goes, such as model.onnx")
    four.set_defaults(command=export)

    for command, about in (
        (workbook, "make or update your own copy of the notebooks"),
        (progress, "show which exercises you have solved"),
    ):
        commands.add_parser(command.__name__, help=about).set_defaults(command=command)
    return parser


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is needed, not {text!r}")
    return int(text)


def _list_skipped(images: data.ImageData) -> None:
    for path, why in images.skipped:
        _note(f"left out: {path} {why}")


def _note(text: str) -> None:
    if distributed.rank() == 0:
        _say(text)


def _end(text: str, status: int) -> int:
    if distributed.speaks():
        _say(text)
    return status


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
