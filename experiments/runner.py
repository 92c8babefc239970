"""Doing the runs: which comes next, and where its result goes."""

import math
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from experiments import fingerprints, results, table
from experiments.claim import Claim
from experiments.claims import CLAIMS
from lessonkit.course.measured import ledger
from lessonkit.data import DataError
from lessonkit.machine import progress

__all__ = ["Book", "Stop", "check", "is_current", "run_missing"]

TUNE = "tuning"  # instead of a seed
LAST_DIGIT = 5e-5  # what `--check` shows is rounded by that much; where runs are equal, it decides


class Stop(Exception):
    """A mistake of the person at the keyboard, in a sentence."""


def one_run(number: str, seed: int | str, tuned: dict | None) -> dict[str, Any]:
    """Do one run of a claim, or its tuning."""
    torch.set_num_threads(1)
    torch.manual_seed(0)  # no run draws from torch's own generator; if one did, it would repeat
    claim, started = CLAIMS[number], time.process_time()
    with progress.quiet():
        values = claim.tune() if seed == TUNE else claim.run(seed, tuned or {})
    return {
        "seed": seed,
        "values": values,
        "seconds": round(time.process_time() - started, 1),  # of the processor: others may share it
        "versions": results.versions(),
        "machine": results.machine(),
    }


class Book:
    """What is stored of the claims at work, and what is still to be run."""

    def __init__(self, claims: list[Claim], seeds: list[int] | None):
        self.seeds = seeds
        self.claims = {claim.number: claim for claim in claims}
        self.stored = {number: self._open(claim) for number, claim in self.claims.items()}

    def _open(self, claim: Claim) -> dict[str, Any]:
        stored = results.load(claim.number)
        if not stored.get("code") or _why_stale(claim, stored):
            _must_be_committed(claim)
            stored = {"claim": {}, **fingerprints.of(claim), "tuned": None, "runs": []}
        stored["claim"] = claim.statement()
        return stored

    def next(self) -> tuple[str, int | str] | None:
        """The run to start now: tuning first, then the fewest seeds, then the widest interval."""
        waiting = [self._next_of(claim) for claim in self.claims.values()]
        waiting = [task for task in waiting if task is not None]
        return min(waiting, key=lambda task: task[0])[1:] if waiting else None

    def leave_out(self, number: str) -> None:
        """Run no more of a claim."""
        del self.claims[number]

    def _next_of(self, claim: Claim) -> tuple[tuple, str, int | str] | None:
        number, stored = claim.number, self.stored[claim.number]
        if claim.tune and stored["tuned"] is None:
            return (0, 0.0), number, TUNE
        taken = {run["seed"] for run in stored["runs"]}
        wanted = self.seeds if self.seeds is not None else range(claim.seeds[1])
        seed = next((seed for seed in wanted if seed not in taken), None)
        if seed is None:
            return None
        if self.seeds is not None or len(taken) < claim.seeds[0]:
            return (1, len(taken) / claim.seeds[0]), number, seed
        if sum(run["seconds"] for run in stored["runs"]) > 60 * claim.minutes:
            return None
        width = self._width(claim)
        return ((2, -width), number, seed) if width > table.HALF else None

    def _width(self, claim: Claim) -> float:
        """How many times wider than its δ the widest half of an interval is, of a claim's rows."""
        runs = self.stored[claim.number]["runs"]
        return max((table.half_width(row, runs) for row in _rows(claim)), default=0.0)

    def keep(self, number: str, seed: int | str, run: dict[str, Any]) -> None:
        """Store a finished run."""
        stored = self.stored[number]
        if seed == TUNE:
            stored |= {"tuned": run["values"], "tuning_seconds": run["seconds"]}
        else:
            stored["runs"].append(run)
        results.save(number, stored)


def _rows(claim: Claim) -> list[dict[str, Any]]:
    """The rows that a claim's runs stand behind: its own, and those of claims that read them."""
    readers = (c for c in CLAIMS.values() if claim.number in (c.number, c.runs_from))
    return [row for reader in readers for row in reader.statement()["rows"]]


def _why_stale(claim: Claim, stored: dict[str, Any]) -> dict[str, str]:
    """Why what is stored of a claim isn't what would be made here; also said."""
    reasons = fingerprints.stale(claim, stored) if stored.get("code") else {}
    for reason in reasons.values():
        print(f"{claim.number}: the stored runs are stale. {reason}", flush=True)
    return reasons


def is_current(claim: Claim) -> bool:
    """Whether the runs that a claim stands on, if any, were made by the code that is here."""
    source = CLAIMS[claim.runs_from or claim.number]
    return results.load(source.number).get("code") == fingerprints.fingerprint(source)


def _must_be_committed(claim: Claim) -> None:
    """Raise Stop if what a claim's runs will be read for isn't in the history yet."""
    root = results.FOLDER.parent.parent
    readers = (c.number for c in CLAIMS.values() if claim.number in (c.number, c.runs_from))
    files = [f"experiments/claim_{number}_*.py" for number in readers]
    files.append(claim.run.__module__.replace(".", "/") + ".py")
    told = subprocess.run(
        ["git", "status", "--porcelain", "--", *files], cwd=root, capture_output=True, text=True
    )
    if told.returncode == 0 and told.stdout:
        names = ", ".join(line[3:] for line in told.stdout.splitlines())
        raise Stop(f"Commit {names} first: what a claim states must stand before its first run.")


def run_missing(book: Book, minutes: float) -> None:
    """Run until nothing is missing, or no time is left to start another run."""
    ends = time.monotonic() + 60 * minutes
    while time.monotonic() < ends and (task := book.next()):
        number, seed = task
        print(f"{number} {seed} is running", flush=True)
        try:
            run = one_run(number, seed, book.stored[number]["tuned"])
        except DataError as missing:  # pictures that aren't here: others may go on without them
            book.leave_out(number)
            print(f"{number}: {missing}", flush=True)
            continue
        book.keep(number, seed, run)
        print(f"{number} {seed}: {run['seconds']:.0f} s", flush=True)


def check(claims: list[Claim], seeds: list[int], renew: bool = False) -> bool:
    """Run again and compare.

    Stored seeds must give equal values on the kind of machine, with the packages and of the
    pictures that they were run with. Elsewhere they must round to the same, or fall where the other
    runs say, as new seeds must. With `renew`, runs that are stale count as made by the code that is
    here if all `seeds` give the very values that are stored.
    """
    fine = True
    for claim in claims:
        stored, repeated = results.load(claim.number), True
        if not stored.get("runs"):
            raise Stop(f"Nothing is stored of claim {claim.number}: run it without --check first.")
        reasons = _why_stale(claim, stored)
        for seed in seeds:
            print(f"{claim.number} seed {seed} is running", flush=True)
            again = one_run(claim.number, seed, stored["tuned"])
            for line, good in compared(claim, stored["runs"], again, "pictures" not in reasons):
                print(f"{claim.number} seed {seed}: {line}", flush=True)
                fine &= good
            repeated &= any(_repeats(run, again) for run in stored["runs"])
        if renew and repeated and reasons:
            results.save(claim.number, stored | fingerprints.of(claim))
            print(f"{claim.number}: the stored runs are those that this code makes.", flush=True)
    return fine


def _repeats(run: dict, again: dict) -> bool:
    """Whether two runs of a seed, made on the same kind of machine, have all values in common."""
    if run["seed"] != again["seed"] or not _made_alike(run, again):
        return False
    return all(
        value == again["values"].get(name)
        for name, value in run["values"].items()
        if "seconds" not in name
    )


def compared(
    claim: Claim, runs: list[dict], again: dict, same_pictures: bool = True
) -> Iterator[tuple[str, bool]]:
    """A line for each row of a claim on a run made again, beside `runs`; is it as it must be?"""
    before = next((run for run in runs if run["seed"] == again["seed"]), None)
    alike = before is not None and same_pictures and _made_alike(before, again)
    for row in _rows(claim):
        now = _mean_effect(row, again)
        # Another machine may well round to the same: even the farthest of all runs is then equal.
        near = 1e-9 if alike else LAST_DIGIT
        then = None if before is None else _mean_effect(row, before)
        same = then is not None and math.isclose(then, now, abs_tol=near)
        if same or (alike and not row["timed"]):
            said = "equal" if same else "NOT EQUAL"
            yield f"{row['name']}: stored {then:+.4f}, now {now:+.4f}: {said}", same
        else:
            others = [run for run in runs if run is not before]
            low, high = ledger.prediction([_mean_effect(row, run) for run in others])
            inside = low - LAST_DIGIT <= now <= high + LAST_DIGIT
            said = "inside" if inside else "OUTSIDE"
            yield f"{row['name']}: {now:+.4f}, {said} {low:+.4f} to {high:+.4f}", inside


def _made_alike(one: dict, other: dict) -> bool:
    """Whether two runs of a seed must give the same bits: same kind of machine, same packages."""
    return all(one[name] == other[name] for name in ("machine", "versions"))


def _mean_effect(row: dict, run: dict) -> float:
    """A run's effect, the mean over its splits if it has several."""
    return float(np.mean(ledger.effects_of(row, [run])))
