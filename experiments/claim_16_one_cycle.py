"""Do the 8 steps beat what is done today: one cycle, with fastai's settings?"""

from experiments.claim import Claim, Row
from experiments.claim_14_the_8_steps import BUDGET, DELTA, REFUTED, SETS, N

CLAIM = Claim(
    number="16",
    title="The 8 steps beat one cycle",
    lesson="Train the head, unfreeze, find a learning rate again, and train in cycles that grow. "
    "Since then fastai's fine_tune does a frozen epoch, and then a single cycle.",
    hypothesis="At equal work the 8 steps give two points more than fine_tune's one cycle.",
    data=f"cells and trash, 64 px, and digits, 48 px: {N} of each to train on; 640, 640 and 2,000 "
    "to test",
    network="EfficientNet-Lite0 with ImageNet's weights, BatchNorm folded",
    varies="the 8 steps; or a frozen epoch at 0.002, then one cycle up to 0.001, a hundred times "
    "lower for the first layer group, with fine_tune's warm-up and Adam",
    fixed=f"work: {BUDGET} forward passes of all pictures, counted as in claim 14, the 8 steps' "
    "finders not included; gradients clipped at 1 for both. fine_tune's cycle of the momentum is "
    "left out",
    measure="accuracy on test pictures, at the end",
    rows=tuple(
        Row(name, f"{name}: the 8 steps less one cycle", f"{name}: whole", f"{name}: one cycle",
            delta=DELTA, refuted=REFUTED)
        for name in SETS
    ),
    runs_from="14",
    chapters=("07",),
)  # fmt: skip
