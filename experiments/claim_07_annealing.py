"""Does annealing beat the best constant learning rate, and does the curve matter?"""

from experiments.claim import Claim, Row

_OTHERS = {"constant": "the best constant LR", "step": "stairs", "linear": "a straight line"}

CLAIM = Claim(
    number="07",
    title="Annealing beats the best constant LR",
    lesson="Lower the LR while training, so as not to overshoot the minimum: in stairs, or along "
    "half a cosine.",
    hypothesis="At equal budget the cosine beats the best constant LR by a point, and stairs and "
    "a straight line too.",
    data="digits, 28 px: 512 to train on, 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="the schedule; its LR is tuned for each",
    fixed="224 mini-batches of 32: the same work",
    measure="accuracy on test digits",
    rows=(
        *(
            Row(name, f"a cosine less {text}", "cosine: accuracy", f"{name}: accuracy")
            for name, text in _OTHERS.items()
        ),
        Row(
            "constant, anew",
            "a cosine less the best constant LR, BatchNorm's statistics measured again for both",
            "cosine: accuracy, anew",
            "constant: accuracy, anew",
        ),
    ),
    runs_from="pool",
    chapters=("04",),
)
