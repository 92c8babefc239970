"""Do restarts beat one long cosine, and is an ensemble of snapshots free?"""

from experiments.claim import Claim, Row

_ANEW = ", BatchNorm's statistics measured again for both"


def _rows(end: str = "", said: str = "") -> tuple[Row, ...]:
    """The comparisons, of values whose names end in `end`."""
    one, equal, doubling = (f"{n}: accuracy{end}" for n in ("cosine", "restarts", "doubling"))
    return (
        Row(f"equal cycles{end}", f"7 cycles less one cosine{said}", equal, one),
        Row(f"doubling cycles{end}", f"cycles of 2, 4, 8 less one cosine{said}", doubling, one),
        Row(f"doubling or equal{end}", f"cycles of 2, 4, 8 less 7 equal ones{said}", doubling,
            equal),
        Row(f"snapshots of equal cycles{end}", f"five snapshots less one cosine's network{said}",
            f"restarts: ensemble{end}", one),
        Row(f"snapshots of doubling cycles{end}",
            f"three snapshots less one cosine's network{said}", f"doubling: ensemble{end}", one),
    )  # fmt: skip


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
    "snapshots, or all three; each with BatchNorm's statistics as training left them, which is a "
    "moving average, and measured again on all training digits",
    rows=(*_rows(), *_rows(", anew", _ANEW)),
    runs_from="pool",
    chapters=("05",),
)
