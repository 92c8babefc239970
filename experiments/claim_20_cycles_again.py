"""What claim 14 left open, asked again: do cycles earn their place on cells?"""

from dataclasses import replace
from typing import Any

from experiments.claim import Claim
from experiments.claim_14_the_8_steps import ARMS, SETS, N, Task, by_recipe
from experiments.claim_14_the_8_steps import CLAIM as THE_8_STEPS

FIRST = 80  # claim 14's seeds end before: these splits of the cells are new
CONSTANT = "8 cycles"  # what claim 14 calls the arm without them


def run(seed: int, tuned: dict[str, Any]) -> dict[str, float]:
    """Accuracy of the whole recipe, and of the one with a constant LR in the last step."""
    task, values = Task(SETS["cells"], FIRST + seed), {}
    for arm in ("whole", CONSTANT):
        task.start()
        values[f"cells: {arm}"] = task.accuracy(by_recipe(ARMS[arm], task))
    return values


CLAIM = Claim(
    number="20",
    title="Cycles in the last step, with new seeds",
    lesson="Train the whole network with restarts until it overfits.",
    hypothesis="A constant LR in the last step costs two points on cells. In claim 14, 27 runs of "
    "all its arms said +1.2 points, from -0.3 to +2.6: neither yes nor no.",
    data=f"cells, 64 px: {N} to train on, 640 to test, in splits that claim 14 doesn't draw",
    network="as claim 14",
    varies="the LRs of the last step: cycles of 1, 2 and 4 epochs, or one LR throughout",
    fixed="all else as in claim 14. There will be 60 runs, which is what the spread of those 27 "
    "asks for, looked at once, when all are there",
    measure="accuracy on test pictures, at the end",
    rows=tuple(
        replace(row, name="cells, cycles")
        for row in THE_8_STEPS.rows
        if row.name == f"cells, {CONSTANT}"
    ),
    run=run,
    seeds=(60, 60),
    minutes=75,
    chapters=("07",),
)
