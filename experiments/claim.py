"""What a claim must state before its first run."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Claim", "Row"]

Values = dict[str, Any]  # what one run measured, by name: numbers, or lists of one number a place


@dataclass(frozen=True)
class Row:
    """One comparison: `plus` minus `minus`, two of a run's values, and what is claimed of it.

    `kind`: "gain" (above zero), "no_worse" (not below -δ) or "equal" (within δ of zero). `delta` is
    the smallest effect that matters. Values in "points" are accuracies from 0 to 1, whose
    difference counts; of others, "×", their ratio (δ is a factor then). A row without `minus` is
    about one value alone. With `given`, the effect is the partial rank correlation of two measures
    over all networks of all runs. With `places`, values are lists of one number for each place on
    the map, and the interval also allows for other places. `refuted`: what would show that the
    lesson is wrong here.
    """

    name: str
    text: str
    plus: str
    minus: str = ""
    kind: str = "gain"
    delta: float = 0.01
    unit: str = "points"
    refuted: str = "the gain is surely smaller than a point"
    timed: bool = False  # measured in seconds, so that another run gives another value
    places: bool = False  # values of tiles: the value "places" says how many each place has
    chapters: tuple[str, ...] = ()  # the notebooks that it is for, if not all of the claim's
    given: str = ""  # for a correlation over networks: of `plus` and `minus`, given this


@dataclass(frozen=True)
class Claim:
    """A sentence of the lesson, and an experiment that could prove it wrong.

    `run(seed, tuned)` trains and measures once, from its seed alone. `tune()` is done once, before:
    it chooses each arm's learning rate on the tuning split, with seeds that no run uses. A claim
    with `runs_from` reads another experiment's runs.
    """

    number: str
    title: str
    lesson: str  # what the lesson says, in our words
    hypothesis: str
    data: str
    network: str
    varies: str
    fixed: str  # and why
    measure: str
    rows: tuple[Row, ...]
    run: Callable[[int, dict[str, Any]], Values] | None = None
    tune: Callable[[], dict[str, Any]] | None = None
    runs_from: str = ""
    # What the runner does by itself; seeds that are named go on regardless.
    seeds: tuple[int, int] = (6, 20)  # at least; at most, while an interval is wider than δ
    minutes: float = 60.0  # of one core for all runs: none starts when so many are spent
    chapters: tuple[str, ...] = field(default=())  # the notebooks that teach it

    def statement(self) -> dict[str, Any]:
        """All that is stated, as the file of results gives it back: lists, no tuples."""
        stated = asdict(self)
        del stated["run"], stated["tune"]
        return json.loads(json.dumps(stated))
