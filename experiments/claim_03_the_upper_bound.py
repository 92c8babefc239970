"""Does too low an upper bound of the learning rate end in a sharper, worse minimum?"""

from experiments.claim import Claim, Row
from experiments.pool import LONGER, TIMES_LOWER

CLAIM = Claim(
    number="03",
    title="Too low an upper bound ends in a sharper, worse minimum",
    lesson="Don't pick too low a rate: it is the upper bound of the schedule, and with too low a "
    "one training can't escape a sharp minimum.",
    hypothesis=f"With {TIMES_LOWER:g} times less than the best LR, the minimum is sharper at "
    "equal training loss, and the accuracy lower after equal steps.",
    data="digits, 28 px: 512 to train on, 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="the upper bound of one cosine: the tuned LR, or a tenth of it",
    fixed=f"steps (224) in one row; in the others training loss: up to {LONGER} times as many "
    "epochs, ended when the loss is as low. Only one run of 56 got there: on average the low LR "
    "ended at about .014, the tuned one at .007, where guessing is 2.3. Nearly equal, then",
    measure="sharpness: rise of the training loss a quarter of the filters' length away, in two "
    "random directions; accuracy",
    rows=(
        Row(
            "sharpness",
            "sharpness at nearly equal training loss: low LR over tuned LR",
            "low, same loss: sharpness",
            "cosine: sharpness",
            unit="×",
            delta=1.25,
            refuted="it is surely less than a quarter sharper",
        ),
        Row(
            "accuracy, equal loss",
            "accuracy at nearly equal training loss: tuned LR less low LR",
            "cosine: accuracy",
            "low, same loss: accuracy",
        ),
        Row(
            "accuracy, equal steps",
            "accuracy after equal steps: tuned LR less low LR",
            "cosine: accuracy",
            "low: accuracy",
        ),
    ),
    runs_from="pool",
    chapters=("02", "05"),
)
