"""Pictures that you steer: sliders beside a picture which is drawn anew when one of them moves.

Each explorer stands in a file of its own; this is where a notebook finds them all.
"""

from lessonkit.course.explorers.augmentation import augmentations, transformed
from lessonkit.course.explorers.claims import guesses, ledger
from lessonkit.course.explorers.cleaner_cards import cleaner
from lessonkit.course.explorers.earth_map import click_map
from lessonkit.course.explorers.finder import pick_lr
from lessonkit.course.explorers.gradient_descent import descend, descent
from lessonkit.course.explorers.live_figure import LiveFigure
from lessonkit.course.explorers.loss_surface import landscape, restarts, roll, two_pits
from lessonkit.course.explorers.lr_schedules import schedules
from lessonkit.course.explorers.slider import Slider
from lessonkit.course.explorers.uploading import upload

__all__ = [
    "LiveFigure", "Slider", "augmentations", "cleaner", "click_map", "descend", "descent",
    "guesses", "landscape", "ledger", "pick_lr", "restarts", "roll", "schedules", "transformed",
    "two_pits", "upload",
]  # fmt: skip
