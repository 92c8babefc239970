"""Run the experiments: those that are missing, or stale: made by other code or of other pictures.

    python -m experiments                                    all, until intervals are narrow enough
    python -m experiments --claim 11 pool                    these only
    python -m experiments --claim 11 --seeds 0 1             these seeds
    python -m experiments --claim 11 --seeds 0 31 --check    compare with what is stored, store none
    python -m experiments --claim 11 --seeds 0 --check --renew      the same bits: stale no more
    python -m experiments --claim 14 --photos FOLDER         with the pictures that aren't shipped

One run after the other, each on one thread: the same seed then gives the same values on one kind of
machine. A run is stored as soon as it is done, so Ctrl-C loses at most the one under way, and the
same command goes on. On two cores, start it twice, with different claims.
"""

import argparse
import os
import signal
import sys
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

from experiments import material, results, table
from experiments.claim import Claim
from experiments.claims import CLAIMS
from experiments.runner import Book, Stop, check, is_current, run_missing
from lessonkit.data import DataError

MINUTES = 60


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--claim", nargs="*", default=[], metavar="NUMBER", help="07, or pool")
    parser.add_argument("--seeds", nargs="*", type=int, help="these only")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="start no run after (60)")
    parser.add_argument("--photos", metavar="FOLDER", help="with trash/ in it: data/README.md")
    parser.add_argument("--check", action="store_true", help="compare with what is stored")
    parser.add_argument(
        "--renew", action="store_true", help="with --check: runs that repeat are stale no more"
    )
    options = parser.parse_args()
    if options.photos:
        os.environ[material.PHOTOS] = os.path.abspath(os.path.expanduser(options.photos))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        claims = _chosen(options.claim)
        if options.renew and not options.check:
            raise Stop("--renew goes with --check.")
        if options.check and not options.seeds:
            raise Stop("Say which seeds to check, as in --seeds 0 31.")
        with tempfile.TemporaryDirectory() as cache:  # activations of pictures drawn once only
            os.environ["LESSONKIT_CACHE"] = cache
            if options.check:
                return 0 if check(claims, options.seeds, options.renew) else 1
            run_missing(Book(claims, options.seeds), options.minutes)
    except (Stop, DataError) as reason:
        print(reason, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. What was finished is stored.", file=sys.stderr)
        return 130
    results.state(claim for claim in CLAIMS.values() if is_current(claim))
    table.write()
    print("The table is in experiments/LEDGER.md.")
    return 0


def _chosen(numbers: list[str]) -> list[Claim]:
    """The experiments to run; a claim that reads another's runs stands for that one."""
    for number in numbers:
        if number not in CLAIMS:
            raise Stop(f"There is no claim {number}: they are {', '.join(CLAIMS)}.")
    named = [CLAIMS[number] for number in numbers] or list(CLAIMS.values())
    sources = dict.fromkeys(claim.runs_from or claim.number for claim in named)
    return [CLAIMS[number] for number in sources]


if __name__ == "__main__":
    sys.exit(main())
