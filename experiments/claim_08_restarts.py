"""Do restarts beat one long cosine, and is an ensemble of snapshots free?"""

from experiments.claim import Claim, Row

CLAIM = Claim(
    number="08",
    title="Restarts beat one long cosine",
    lesson="To get out of a bad minimum, raise the LR again from time to time: SGD with restarts. "
    "Cycles may double in length.",
    hypothesis="At equal budget restarts beat one cosine; doubling cycles beat equal ones; the "
    "snapshots at the ends of cycles, averaged, beat the single network.",
    data="digits, 28 px: 512 to train on, 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="one cosine of 14 epochs; 7 cosines of 2; 3 of 2, 4 and 8; the LR is tuned for each",
    fixed="224 mini-batches of 32: the same training, for the ensembles too",
    measure="accuracy on test digits; of an ensemble, of the mean probabilities of its last five "
    "snapshots, or all three",
    rows=(
        Row("equal cycles", "7 cycles less one cosine", "restarts: accuracy", "cosine: accuracy"),
        Row("doubling cycles", "cycles of 2, 4, 8 less one cosine", "doubling: accuracy",
            "cosine: accuracy"),
        Row("doubling or equal", "cycles of 2, 4, 8 less 7 equal ones", "doubling: accuracy",
            "restarts: accuracy"),
        Row("snapshots of equal cycles", "five snapshots less one cosine's network",
            "restarts: ensemble", "cosine: accuracy"),
        Row("snapshots of doubling cycles", "three snapshots less one cosine's network",
            "doubling: ensemble", "cosine: accuracy"),
    ),
    runs_from="pool",
    chapters=("05",),
)  # fmt: skip
