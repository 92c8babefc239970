"""Do wide minima generalise better, and are they robust to shifted inputs?"""

from experiments.claim import Claim, Row

_SMALLEST = {"delta": 0.2, "unit": "correlation", "given": "train_loss",
             "refuted": "the rank correlation is surely below .2"}  # fmt: skip

CLAIM = Claim(
    number="10",
    title="Wide minima generalise better",
    lesson="Not all minima are equal: wide and deep ones generalise better. It is also put as: "
    "small changes of the input change the loss little. These are two things.",
    hypothesis="Among networks with equal training loss the sharper have the higher test loss, "
    "and lose more accuracy when inputs are shifted.",
    data="digits, 28 px: 512 to train on, 2,000 to test",
    network="all of the pool: small_cnn, width 8, in 17 settings and over several seeds",
    varies="everything that the pool varies: schedule, LR, batch, augmentation, decay, optimiser, "
    "length",
    fixed="training loss, by partial correlation: in this pool the networks that end at a higher "
    "one are sharper anyway",
    measure="Spearman's partial rank correlation given training loss, among the networks of each "
    "run; those share their pictures, so the interval is over runs; curvature is that of the loss "
    "of the first 64 training digits",
    rows=(
        Row("sharpness", "sharpness and test loss", "sharpness", "test_loss", **_SMALLEST),
        Row("curvature", "largest curvature and test loss", "curvature", "test_loss", **_SMALLEST),
        Row("shifted inputs", "sharpness and accuracy lost to shifts", "sharpness",
            "lost to shifts", **_SMALLEST),
        Row("robust", "accuracy lost to shifts and test loss", "lost to shifts", "test_loss",
            **_SMALLEST),
    ),
    runs_from="pool",
    chapters=("05",),
)  # fmt: skip
