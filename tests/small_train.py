"""`python -m tests.small_train`: lessonkit's command line, with a tiny network to train.

For what is the same for every network: how a training ends, goes on and speaks.
"""

import sys
from contextlib import ExitStack
from unittest import mock

from lessonkit import Learner, models, recipe
from lessonkit.__main__ import main
from lessonkit.networks import weights


def small() -> ExitStack:
    """Within it, the 8 steps train a network that needs neither timm nor much time."""

    def network(_, n_classes):
        return models.small_cnn(n_classes, 4)

    within = ExitStack()
    within.enter_context(mock.patch.object(weights, "check_name"))
    within.enter_context(mock.patch.object(models, "pretrained", network))
    less = {"HEAD_STEPS": 6, "HEAD_CYCLES": 2, "WHOLE_STEPS": 1, "familiarity": lambda *_: 0.4}
    within.enter_context(mock.patch.multiple(recipe, **less))
    return within


def fewer() -> ExitStack:
    """Within it, the 8 steps are of fewer mini-batches, whatever network they train."""
    find, within = Learner.lr_find, ExitStack()

    def briefly(learn, lr=1.0, steps=100):
        return find(learn, lr, min(steps, 12))

    within.enter_context(mock.patch.object(Learner, "lr_find", briefly))
    within.enter_context(mock.patch.multiple(recipe, HEAD_STEPS=15, WHOLE_STEPS=2))
    return within


if __name__ == "__main__":
    with small():
        sys.exit(main())
