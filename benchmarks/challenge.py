"""The entries to beat in notebook 10's challenge: each with three seeds, and their medians.

    OMP_NUM_THREADS=1 python benchmarks/challenge.py [SECONDS]

The figures go into TO_BEAT in lessonkit/course/challenge.py by hand.
"""

import os
import statistics
import sys
import tempfile
from functools import partial

from lessonkit.course import challenge

SEEDS = range(3)


def main() -> None:
    """Run all entries, and print their scores."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else challenge.SECONDS
    for name, train in (
        ("small network from scratch", challenge.small_network),
        ("the recipe, as far as it gets", challenge.recipe),
    ):
        board: list[challenge.Entry] = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as empty:  # nothing prepared by an earlier run
                os.environ["LESSONKIT_CACHE"] = empty
                print(challenge.enter(name, partial(train, seed=seed), seconds, board), flush=True)
        scores = [entry.score for entry in board if entry.score is not None]
        print(f"{name}: median {statistics.median(scores):.3f} of {len(scores)}", flush=True)


if __name__ == "__main__":
    main()
