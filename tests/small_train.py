"""`python -m tests.small_train`: lessonkit's command line, with a tiny network to train.

For what is the same for every network: how a training ends, goes on and speaks.
"""

import sys
from contextlib import ExitStack
from unittest import mock

from lessonkit import models, recipe
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


if __name__ == "__main__":
    with small():
        sys.exit(main())
