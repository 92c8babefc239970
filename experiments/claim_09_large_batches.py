"""Do large batches end in sharper minima that generalise worse?"""

from experiments.claim import Claim, Row

_ARMS = {
    "large": "same LR, equal epochs",
    "large, scaled": "4 × the LR, equal epochs",
    "large, same steps": "same LR, equal steps",
    "large, scaled, same steps": "4 × the LR, equal steps",
}

CLAIM = Claim(
    number="09",
    title="Large batches end in sharper minima that generalise worse",
    lesson="Keskar et al.: training with large batches ends in sharp minima, and these generalise "
    "worse.",
    hypothesis="With batches of 128 instead of 32 the minimum is sharper and the test accuracy "
    "lower.",
    data="digits, 28 px: 512 to train on, 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="batches of 32 or 128 (a quarter of all); the same LR or 4 times as high; equal "
    "epochs, or equal steps and so 4 times the epochs",
    fixed="first weights, digits, one cosine: so only the batch differs, and what must follow "
    "from it",
    measure="accuracy on test digits; sharpness along filter-normalised directions, which "
    "rescaling weights doesn't change. The LR was tuned for batches of 32 alone; training losses "
    "at the end are .007 for these, and .21, .019, .002 and .0007 for 128, in the order of the "
    "rows",
    rows=(
        *(
            Row(f"accuracy, {text}", f"accuracy: batches of 32 less 128, {text}",
                "cosine: accuracy", f"{arm}: accuracy")
            for arm, text in _ARMS.items()
        ),
        *(
            Row(f"sharpness, {text}", f"sharpness: batches of 128 over 32, {text}",
                f"{arm}: sharpness", "cosine: sharpness", unit="×", delta=1.25,
                refuted="they are surely less than a quarter sharper")
            for arm, text in _ARMS.items()
        ),
    ),
    runs_from="pool",
    chapters=("05", "06"),
)  # fmt: skip
