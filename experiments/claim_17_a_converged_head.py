"""Is a head alone, trained to its end, as good as all else that takes as long?"""

from experiments.claim import Claim, Row
from experiments.claim_14_the_8_steps import BUDGET, DELTA, SETS, N

_OTHERS = {
    "whole": "the 8 steps",
    "one cycle": "one cycle, as fine_tune does it",
    "all layers": "all layers from the start at one LR",
}
_WORSE = "it is surely more than two points worse"

CLAIM = Claim(
    number="17",
    title="In the same time, a converged head does as well as all else",
    lesson="Train the last layer for one or two epochs, then unfreeze: the others must learn too.",
    hypothesis="A head trained to its lowest loss, on the features of as many varied copies of the "
    "pictures as the time allows, loses less than two points to any training of all layers.",
    data=f"cells and trash, 64 px, and digits, 48 px: {N} of each to train on; 640, 640 and 2,000 "
    "to test",
    network="EfficientNet-Lite0 with ImageNet's weights, BatchNorm folded",
    varies=f"the head alone, on the pictures and {BUDGET - 1} varied copies of each; or three ways "
    "to train all layers",
    fixed=f"work: {BUDGET} forward passes of all pictures, counted as in claim 14; a row checks "
    "that all layers take about as long; the 8 steps, whose finders aren't counted, take longer. "
    "The strength of the penalty, 0.01, was the best of four on cells and trash, with other "
    "splits and sizes",
    measure="accuracy on test pictures, at the end; processor seconds of training, without "
    "evaluation and the one pass whose features all ways share",
    rows=(
        *(
            Row(f"{name}, {arm}", f"{name}: a converged head less {text}",
                f"{name}: converged head", f"{name}: {arm}", kind="no_worse", delta=DELTA,
                refuted=_WORSE)
            for name in SETS
            for arm, text in _OTHERS.items()
        ),
        Row("seconds", "seconds: all layers at one LR over the converged head",
            "seconds, all layers", "seconds, converged head", kind="equal", delta=1.5, unit="×",
            timed=True, refuted="one surely takes half as long again as the other"),
    ),
    runs_from="14",
    chapters=("06", "07"),
)  # fmt: skip
