"""Pictures that you steer: sliders beside a picture which is drawn anew when one of them moves.

Each explorer stands in a file of its own; this is where a notebook finds them all.
"""

from lessonkit.explore_descent import descend, descent
from lessonkit.explore_finder import pick_lr
from lessonkit.live_figure import LiveFigure

__all__ = ["LiveFigure", "descend", "descent", "pick_lr"]
