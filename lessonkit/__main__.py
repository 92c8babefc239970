"""The command line: `lessonkit train|predict|check|…`, see `lessonkit --help`."""

import argparse
import csv
import glob
import importlib.metadata
import io
import json
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from lessonkit import augment, data
from lessonkit.course import look
from lessonkit.files import cache as kept_files
from lessonkit.files import safe_files
from lessonkit.images import as_pictures, decode, folder
from lessonkit.machine import progress
from lessonkit.networks import weights
from lessonkit.training import distributed, processes
from lessonkit.training.checkpoint import Checkpoint
from lessonkit.training.history import Diverged

AT_ONCE = 64  # pictures that `predict` reads before it asks the network
FEW_FOR_TRAINING = 10  # pictures of a class: below that, a sentence says so


@contextmanager
def _as_a_program() -> Iterator[None]:
    """Warnings are said as notes, and SIGTERM does what Ctrl-C does; afterwards as before."""
    shown, ended = warnings.showwarning, signal.getsignal(signal.SIGTERM)
    in_main_thread = threading.current_thread() is threading.main_thread()
    warnings.showwarning = lambda message, *_, **__: _note(f"note: {message}")
    if in_main_thread:  # others may set no handlers; SIGTERM comes from `docker stop` and `kill`
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        warnings.showwarning = shown
        ours = signal.getsignal(signal.SIGTERM) == signal.default_int_handler
        if in_main_thread and ours:  # one that `processes` has set since is there for the end
            signal.signal(signal.SIGTERM, ended or signal.SIG_DFL)


@_as_a_program()
def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done. 1: the machine failed. 2: a user's mistake, a file that can't be read or written, or
    pictures that `predict` had to leave out. 130: stopped by Ctrl-C or SIGTERM. 141: nobody reads
    the output any more.
    """
    for name in ("stdout", "stderr"):  # None where the shell has closed them
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal can't show
    try:
        options = _parser().parse_args(arguments)
        status = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `check FOLDER | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # the status of programs that SIGPIPE ends
    except (data.DataError, safe_files.ModelFileError, Diverged, ValueError) as mistake:
        return _end(f"lessonkit: {_shown(str(mistake))}", 2)
    except OSError as error:  # without a name it is what is printed: files are named everywhere
        where = _shown(str(error.filename or "the output"))
        return _end(f"lessonkit: {where}: {error.strerror or error}", 2)
    except KeyboardInterrupt as stop:
        return _end(f"\nStopped. {str(stop) or 'Nothing was written.'}", 130)
    except processes.Lost as stop:
        return _end(f"lessonkit: another process ended, or can't be reached. {stop}", 1)
    except (MemoryError, RuntimeError) as error:
        if _is_short_of_memory(error):
            way = "close other programs, or train with a smaller --size"
            return _end(f"lessonkit: the memory is full: {way}.", 1)
        if not processes.is_one_of_several():
            raise
        why = " ".join(str(error).split())[:300]
        return _end(f"lessonkit: process {distributed.rank()} failed: {why}", 1)


def _is_short_of_memory(error: Exception) -> bool:
    # Of torch's allocators: for processors, for those under Windows, and Apple's.
    said = re.search("(can't allocate|not enough|out of) memory", str(error))
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or bool(said)


# --- train ----------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> int:
    """Go through the 8 steps on a folder; write the model and, if asked for, a report.

    Also as one of several processes: torchrun --nproc-per-node 2 -m lessonkit train FOLDER.
    """
    asked = ("size", "arch", "augment", "seed", "hold_out")
    about = {name: getattr(options, name) for name in asked}
    kept = Checkpoint(_resume_folder(options.out, options.folder), about)
    there = f"was done is in {kept.folder}: the same command with --resume goes on there."
    try:
        with processes.joined():
            _train(options, kept)
    except (KeyboardInterrupt, processes.Lost) as stop:
        stop.args = (f"What {there}" if kept.exists() else "Nothing was written.",)
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if kept.exists() and (isinstance(error, OSError) or _is_short_of_memory(error)):
            _note(f"note: what {there}")
        raise
    return 0


def _resume_folder(out: str, folder: str) -> str:
    """Beside the model; with a dot before its name, as of no class, where pictures lie around."""
    place, name = os.path.split(out)
    is_among = Path(os.path.realpath(folder)) in Path(os.path.realpath(out)).parents
    return os.path.join(place, f"{'.' * is_among}{name}.resume")


def _train(options: argparse.Namespace, kept: Checkpoint) -> None:
    _check_outputs(options, kept)
    weights.check_name(options.arch)
    _begin_or_resume(kept, options.resume)
    from lessonkit.recipe import eight_steps

    images = _pictures(options, kept)
    report = eight_steps(images, options.arch, options.seed, device=options.device, checkpoint=kept)
    processes.check_equal(
        report.learner.model.state_dict().values(),
        "The processes have come to different weights, which must not happen: nothing is written.",
    )
    if distributed.rank() == 0:
        report.learner.save(options.out)
        if options.report:
            report.write(options.report)
        kept.remove()
    table = "\n".join(map(_shown, report.table().split("\n")))
    print(f"\n{table}\nThe model is in {_shown(options.out)}.")


def _pictures(options: argparse.Namespace, kept: Checkpoint) -> data.ImageData:
    """The pictures to train on; says how many there are, what was left out and what is doubtful."""
    preset = augment.PRESETS[options.augment]()
    images = processes.in_turn(
        lambda: data.from_folder(options.folder, options.size, preset, options.seed)
    )
    processes.check_equal(
        [kept.run, images.classes, images.train_files, images.valid_files],
        "The machines don't train the same: give each the same options, and a copy of the same "
        f"pictures in {options.folder}.",
    )
    kept.run["pictures"] = images.key
    kept.check()
    for path, why in images.skipped:
        _note(f"left out: {path} {why}")
    for doubt in _doubts(images):
        _note(f"note: {doubt}")
    if images.cleaned:
        _note(f"note: {images.cleaned}")
    if options.hold_out and images.test is not None:
        raise ValueError(
            f"{options.folder} has a test set of its own: leave out --hold-out, or move it away."
        )
    if options.hold_out:
        images = images.with_hold_out(options.hold_out, options.seed)
    parts = {"training": images.train, "validation": images.valid, "the result": images.test}
    counts = [f"{len(part.labels)} for {name}" for name, part in parts.items() if part is not None]
    what = f"{len(images.classes)} classes, {images.size} px, augmentation {images.augment.name}"
    print(f"Pictures: {', '.join(counts)}; {what}", flush=True)
    return images


def _check_outputs(options: argparse.Namespace, kept: Checkpoint) -> None:
    """ValueError or OSError if the model or the report can't be written, or would be lost."""
    goes_on = options.resume and kept.exists()  # the model was asked for when it began
    outputs = [path for path in (options.out, options.report) if path is not None]
    for path in outputs:  # before an hour of training, not after it
        _check_output(path, options.force or (goes_on and path == options.out))
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise ValueError(f"The model and the report can't both go to {options.out}.")


def _check_output(path: str, replaces: bool) -> None:
    """ValueError or OSError if `path` can't be written, or holds something not to be replaced."""
    safe_files.check_can_write(path)
    if not replaces and os.path.isfile(path) and os.path.getsize(path):
        raise ValueError(f"{path} exists: give another name, or --force to replace it.")


def _begin_or_resume(kept: Checkpoint, resume: bool) -> None:
    """ValueError if there is a checkpoint beside the model and nobody asked to go on from it."""
    if not kept.exists():
        kept.remove()  # what a process left that was killed while it wrote the first part
        if resume:
            _note(f"note: there is no {kept.folder} to go on from: this starts from the beginning.")
    elif resume:
        kept.check()  # before an hour of reading pictures
        _note(f"note: going on from {kept.folder}.")
    else:
        raise ValueError(
            f"{kept.folder} holds a training run that was stopped, or one that is still running: "
            "add --resume to go on with it, or delete that folder to start anew."
        )


# --- check ----------------------------------------------------------------------------------------


def check(options: argparse.Namespace) -> int:
    """Read every picture of a folder, say what training would leave out, and what is doubtful."""
    images = data.from_folder(options.folder)
    if images.skipped:
        print(f"{_count(len(images.skipped), 'file')} would be left out:")
    for path, why in images.skipped:
        print(_shown(f"  {path} {why}"))
    if images.cleaned:
        print(_shown(images.cleaned))
    counts = look.counts(images)
    print(f"{_count(sum(map(sum, counts.values())), 'picture')} in {len(counts)} classes:")
    for name, (n_train, n_valid) in counts.items():
        print(f"  {_shown(name)}: {n_train} for training, {n_valid} for validation")
    if images.test is not None:
        print(f"and {_count(len(images.test.labels), 'picture')} in test/, which choose nothing.")
    if doubts := _doubts(images):
        print("To look at before you train:")
    for doubt in doubts:
        print(_shown(f"  {doubt}"))
    return 0


def _doubts(images: data.ImageData) -> list[str]:
    """What may be wrong with pictures that can be read: copies, and too few of them."""
    doubts = images.remarks()
    for name, (n_train, _) in look.counts(images).items():
        if n_train < FEW_FOR_TRAINING:
            doubts.append(f"{name} has only {_count(n_train, 'picture')} to learn from.")
    return doubts


# --- predict, export, cache -----------------------------------------------------------------------


def predict(options: argparse.Namespace) -> int:
    """Say which class each picture belongs to.

    Pictures that can't be read are named and left out, and so are folders that can't be opened and
    links to folders; the exit status is then 2.
    """
    from lessonkit.learner import Learner

    left_out: list[str] = []  # of folders
    found = {given: _files(given, left_out) for given in options.images}
    for why in left_out:
        _note(f"note: left out: {why}.")
    files = list(dict.fromkeys(file for part in found.values() for file in part))
    empty = ", ".join(given for given, part in found.items() if not part)
    if not files:
        raise ValueError(f"There are no pictures in {empty}.")
    if empty:
        _note(f"note: there are no pictures in {empty}.")
    if options.csv:
        if os.path.realpath(options.csv) in map(os.path.realpath, (options.model, *files)):
            raise ValueError(f"The answers would take the place of {options.csv}.")
        _check_output(options.csv, options.force)
    learn, answers = Learner.load(options.model, device=options.device), []
    with progress.bar("predict", len(files)) as bar:
        for start in range(0, len(files), AT_ONCE):
            answers += _predict(learn, files[start : start + AT_ONCE], options)
            bar.step(min(AT_ONCE, len(files) - start))
    if options.json:
        print(json.dumps(answers, indent=2))  # in ASCII, which every encoding has
    if options.csv:
        _write_csv(options.csv, learn.classes, answers)
        progress.say(f"The answers are in {options.csv}.", sys.stderr)
    return 2 if left_out or len(answers) < len(files) else 0


def _files(given: str, left_out: list[str]) -> list[str]:
    """`given` itself, all pictures in it if it is a folder, or those that fit if it is a pattern.

    Shells replace patterns such as *.jpg themselves, except for those of Windows. What can't be
    looked into, and why, is added to `left_out`.
    """
    if glob.has_magic(given) and not os.path.exists(given):
        return [file for fits in sorted(glob.glob(given)) for file in _files(fits, left_out)]
    if not os.path.isdir(given):
        return [given]
    found, suffixes = [], {*decode.SUFFIXES, *decode.HEIC}  # those not read here get their reason

    def closed(error: OSError) -> None:
        left_out.append(f"{error.filename} can't be opened ({error.strerror})")

    for place, inside, names in os.walk(given, onerror=closed):
        inside[:] = [name for name in inside if not folder.is_systems(name)]
        for link in sorted(name for name in inside if os.path.islink(os.path.join(place, name))):
            left_out.append(f"{os.path.join(place, link)} is a link to a folder")
        names = [name for name in names if not folder.is_systems(name)]
        found += [os.path.join(place, n) for n in names if Path(n).suffix.lower() in suffixes]
    return sorted(found)


def _predict(learn, files: list[str], options: argparse.Namespace) -> list[dict]:
    """Predictions for a few pictures, as --json prints them; printed unless that comes later."""
    squares, answers = {}, []
    for file in files:
        try:
            squares[file] = as_pictures.read_pictures([file], learn.size)
        except data.DataError as mistake:
            progress.say(f"lessonkit: {_shown(str(mistake))}", sys.stderr)
    rows = learn.predict(torch.cat([*squares.values()]), tta=options.tta) if squares else []
    for file, row in zip(squares, rows, strict=True):
        by_class = dict(zip(learn.classes, row.tolist(), strict=True))
        best = max(by_class, key=by_class.get)
        said = {"path": file, "class": best, "probability": by_class[best]}
        answers.append(said | {"probabilities": by_class})
        if not (options.json or options.csv):
            progress.say(f"{_shown(file)}\t{_shown(best)}\t{by_class[best]:.3f}")
    return answers


def _write_csv(path: str, classes: list[str], answers: list[dict]) -> None:
    with (
        safe_files.atomic_path(path) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        lines = csv.writer(file)
        lines.writerow(["path", "class", "probability", *(f"p({name})" for name in classes)])
        for answer in answers:
            *said, probabilities = answer.values()
            lines.writerow([*said, *probabilities.values()])


def export(options: argparse.Namespace) -> int:
    """Write a model made by train as ONNX, for programs without PyTorch."""
    if os.path.realpath(options.model) == os.path.realpath(options.out):
        raise ValueError(f"The ONNX file would take the place of the model {options.model}.")
    _check_output(options.out, options.force)
    from lessonkit.export import to_onnx
    from lessonkit.learner import Learner

    to_onnx(Learner.load(options.model, device="cpu"), options.out)
    print(f"The ONNX model is in {_shown(options.out)}.")
    return 0


def cache(options: argparse.Namespace) -> int:
    """Say where decoded pictures and activations are kept, and how much that is; or remove them."""
    there = kept_files.entries()
    n_bytes = kept_files.clear() if options.clear else sum(entry.n_bytes for entry in there)
    left = kept_files.entries() if options.clear else []  # what is open, on Windows
    what = f"{_count(len(there) - len(left), 'entry', 'entries')}, {n_bytes / 1e6:.1f} MB"
    print(f"{kept_files.cache_folder()}: {what}{' removed' * options.clear}")
    return 0


def workbook(options: argparse.Namespace) -> int:
    """Make or update the reader's own copy of the notebooks."""
    from lessonkit.course import workbook

    try:
        said = workbook.make()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("What was made stays: the same command goes on.") from None
    print("\n".join([*said, f"Your copy of the notebooks is {workbook.WORKBOOK}."]))
    return 0


def show_progress(options: argparse.Namespace) -> int:
    """Say which exercises have been solved."""
    from lessonkit.course.exercises import quiz, solved

    print(f"{solved.table(quiz.all_exercises())}\nKept in {solved.where()}")
    return 0


# --- Arguments ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(2, f"lessonkit: {message}; see `{self.prog} --help`.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:  # of help and version: argparse keeps silent where the disk is full
            print(message, end="", flush=True)
        else:
            super()._print_message(message, file)


EXAMPLES = """\
examples:
  lessonkit check my_pictures
  lessonkit train my_pictures --size 160 --out animals.pt
  lessonkit predict animals.pt photo.jpg more_photos --csv answers.csv
"""


def _parser() -> argparse.ArgumentParser:
    by_name = Path(sys.argv[0]).stem == "lessonkit"  # else it was python -m lessonkit
    parser = _Parser(
        prog="lessonkit" if by_name else "python -m lessonkit",
        description="Train and use image classifiers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    installed = importlib.metadata.distributions(name="lessonkit")  # none, if run from a folder
    version = next((one.version for one in installed), "of unknown version, not installed")
    parser.add_argument("--version", action="version", version=f"lessonkit {version}")
    _add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return parser


def _add_commands(commands: Any) -> None:
    force = {"action": "store_true", "help": "replace files of that name"}
    device = {"type": _device, "metavar": "NAME", "help": "cpu, cuda or mps (the fastest there is)"}

    def command(run: Callable, summary: str) -> Callable:
        name = run.__name__.removeprefix("show_")
        one = commands.add_parser(name, help=summary, description=run.__doc__)
        one.set_defaults(command=run)
        return one.add_argument

    add = command(train, "train a classifier of a folder's pictures")
    add("folder", type=_path, help="FOLDER/CLASS/*, or FOLDER/train/CLASS/* and FOLDER/valid/…")
    add("--size", type=int, default=128, metavar="PX", help="the pictures' side (128)")
    add("--arch", default="tf_efficientnet_lite0", metavar="NAME",
        help="a network known to timm (tf_efficientnet_lite0)")  # fmt: skip
    add("--augment", choices=list(augment.PRESETS), default="side_on",
        help="how training varies the pictures: photos, views from above, letters, or not at all "
        "(side_on)")  # fmt: skip
    add("--seed", type=_seed, default=0, metavar="N", help="decides split, order, augmentation (0)")
    add("--hold-out", type=_fraction, default=0.0, metavar="FRACTION",
        help="fraction of the training pictures, up to 0.5, that choose nothing and say what new "
        "pictures may expect (0)")  # fmt: skip
    add("--out", type=_path, default="model.pt", metavar="FILE", help="the model (model.pt)")
    add("--report", type=_path, metavar="FILE", help="where to write a report, as JSON")
    add("--force", **force)
    add("--resume", action="store_true", help="go on with a run that was stopped")
    add("--device", **device)

    add = command(predict, "say which class pictures belong to")
    add("model", type=_path, help="a model file, as train writes it")
    add("images", type=_path, nargs="+", metavar="IMAGE", help="picture files, or folders of them")
    add("--tta", action="store_true", help="average over fixed views of each picture")
    add("--json", action="store_true", help="print JSON, with all probabilities")
    add("--csv", type=_path, metavar="FILE", help="write a table, with all probabilities")
    add("--force", **force)
    add("--device", **device)

    add = command(check, "say which files training would leave out")
    add("folder", type=_path, help="as for train")

    add = command(export, "write a model as ONNX, to use without PyTorch")
    add("model", type=_path, help="a model file, as train writes it")
    add("out", type=_path, help="where the ONNX file goes, such as model.onnx")
    add("--force", **force)

    add = command(cache, "say how much is kept on disk, and where")
    add("--clear", action="store_true", help="remove it; it can be made again")

    command(workbook, "make or update your own copy of the notebooks")
    command(show_progress, "show which exercises you have solved")


def _path(text: str) -> str:
    if not text:  # as of a shell's variable that isn't set; it would mean the folder one is in
        raise argparse.ArgumentTypeError("a name is needed, not ''")
    return os.path.expanduser(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number from 0 on is needed, not {text!r}")
    return int(text)


def _fraction(text: str) -> float:
    try:
        fraction = float(text)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction <= 0.5:
        raise argparse.ArgumentTypeError(f"a fraction from 0 to 0.5 is needed, not {text!r}")
    return fraction


def _device(text: str) -> str:
    """A device that is here; without an index such as cuda:1, as CUDA_VISIBLE_DEVICES sets that."""
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if text not in here:
        raise argparse.ArgumentTypeError(f"it is one of {', '.join(here)}, not {text!r}")
    if not here[text]:
        there = " and ".join(name for name in here if here[name])
        raise argparse.ArgumentTypeError(f"PyTorch finds no {text} on this machine, only {there}")
    return text


# --- What is said ---------------------------------------------------------------------------------


def _count(n: int, one: str, several: str = "") -> str:
    return f"{n} {one if n == 1 else several or f'{one}s'}"


def _shown(text: str | int) -> str:
    """A name, or a sentence with names, in one line: what a terminal obeys is written as escapes.

    Such as line breaks in a file's name, colours, and what turns the direction of writing around.
    """
    obeyed = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
    return re.sub(obeyed, lambda found: ascii(found[0])[1:-1], str(text))


def _note(text: str) -> None:
    if distributed.rank() == 0:
        progress.say(_shown(text), sys.stderr)


def _end(text: str, status: int) -> int:
    if processes.speaks():
        with suppress(OSError):  # nobody can be told, if that is where it fails; the status can
            progress.say(text, sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
