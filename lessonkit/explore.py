"""Pictures that you steer: sliders beside a picture which is drawn anew when one of them moves.

Each explorer stands in a file of its own; this is where a notebook finds them all.
"""

from lessonkit.explore_augment import augmentations, transformed
from lessonkit.explore_cleaning import cleaner
from lessonkit.explore_descent import descend, descent
from lessonkit.explore_finder import pick_lr
from lessonkit.explore_landscape import landscape, restarts, roll, two_pits
from lessonkit.explore_ledger import guesses, ledger
from lessonkit.explore_map import click_map
from lessonkit.explore_schedules import schedules
from lessonkit.explore_upload import upload
from lessonkit.live_figure import LiveFigure

__all__ = [
    "LiveFigure",
    "augmentations",
    "cleaner",
    "click_map",
    "descend",
    "descent",
    "guesses",
    "landscape",
    "ledger",
    "pick_lr",
    "restarts",
    "roll",
    "schedules",
    "transformed",
    "two_pits",
    "upload",
]
