"""Doing the runs: which comes next, in which process, and where its result goes."""

import itertools
import math
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any

import torch

from experiments import fingerprints, results
from experiments.claim import Claim
from experiments.claims import CLAIMS
from lessonkit.course.measured import ledger
from lessonkit.machine import progress

__all__ = ["Book", "Stop", "check", "run_missing"]

AT_ONCE = 2
TUNE = "tuning"  # in the place of a seed


class Stop(Exception):
    """A mistake of the person at the keyboard, in a sentence."""


def one_run(number: str, seed: int | str, tuned: dict | None) -> dict[str, Any]:
    """Do one run of a claim, or its tuning, in the process that this is called in."""
    torch.set_num_threads(1)
    claim, started = CLAIMS[number], time.perf_counter()
    with progress.quiet():
        values = claim.tune() if seed == TUNE else claim.run(seed, tuned or {})
    return {
        "seed": seed,
        "values": values,
        "seconds": round(time.perf_counter() - started, 1),
        "versions": results.versions(),
        "machine": results.machine(),
    }


class Book:
    """What is stored of the claims at work, and what is still to be run."""

    def __init__(self, claims: list[Claim], seeds: list[int] | None):
        self.seeds = seeds
        self.claims = {claim.number: claim for claim in claims}
        self.stored = {number: self._open(claim) for number, claim in self.claims.items()}
        self.under_way: set[tuple[str, int | str]] = set()

    def _open(self, claim: Claim) -> dict[str, Any]:
        stored = results.load(claim.number)
        if not stored.get("code") or _are_stale(claim, stored):
            _must_be_committed(claim)
            stored = {"claim": {}, **fingerprints.of(claim), "tuned": None, "runs": []}
        stored["claim"] = claim.statement()
        return stored

    def next(self) -> tuple[str, int | str] | None:
        """The run to start now: tuning first, then the fewest seeds, then the widest interval."""
        waiting = [self._next_of(claim) for claim in self.claims.values()]
        waiting = [task for task in waiting if task is not None]
        if not waiting:
            return None
        _, number, seed = min(waiting, key=lambda task: task[0])
        self.under_way.add((number, seed))
        return number, seed

    def _next_of(self, claim: Claim) -> tuple[tuple, str, int | str] | None:
        number, stored = claim.number, self.stored[claim.number]
        if claim.tune and stored["tuned"] is None:
            return None if (number, TUNE) in self.under_way else ((0, 0.0), number, TUNE)
        taken = {run["seed"] for run in stored["runs"]}
        taken |= {seed for name, seed in self.under_way if name == number}
        wanted = self.seeds if self.seeds is not None else range(claim.seeds[1])
        seed = next((seed for seed in wanted if seed not in taken), None)
        if seed is None:
            return None
        if self.seeds is not None or len(taken) < claim.seeds[0]:
            return (1, len(taken) / claim.seeds[0]), number, seed
        width = self._width(claim)
        return ((2, -width), number, seed) if width > 1 else None

    def _width(self, claim: Claim) -> float:
        """How many times wider than its δ the widest half of an interval is, of a claim's rows."""
        runs = self.stored[claim.number]["runs"]
        return max((ledger.half_width(row, runs) for row in _rows(claim)), default=0.0)

    def keep(self, number: str, seed: int | str, run: dict[str, Any]) -> None:
        """Store a finished run."""
        self.under_way.discard((number, seed))
        stored = self.stored[number]
        if seed == TUNE:
            stored["tuned"] = run["values"]
        else:
            stored["runs"].append(run)
        results.save(number, stored)


def _rows(claim: Claim) -> list[dict[str, Any]]:
    """The rows that a claim's runs stand behind: its own, and those of claims that read them."""
    readers = (c for c in CLAIMS.values() if claim.number in (c.number, c.runs_from))
    return [row for reader in readers for row in reader.statement()["rows"]]


def _are_stale(claim: Claim, stored: dict[str, Any]) -> bool:
    """Whether what is stored of a claim was made by something else than what is here; says why."""
    reasons = fingerprints.stale(claim, stored) if stored.get("code") else {}
    for reason in reasons.values():
        print(f"{claim.number}: the stored runs are stale. {reason}", flush=True)
    return bool(reasons)


def _must_be_committed(claim: Claim) -> None:
    """Raise Stop if a claim's file isn't in the history yet: its statement must be older."""
    name = claim.run.__module__.replace(".", "/") + ".py"
    root = results.FOLDER.parent.parent
    told = subprocess.run(
        ["git", "status", "--porcelain", "--", name], cwd=root, capture_output=True, text=True
    )
    if told.returncode == 0 and told.stdout:
        raise Stop(f"Commit {name} first: what a claim states must stand before its first run.")


@contextmanager
def _processes() -> Iterator[ProcessPoolExecutor]:
    """The processes that runs go on in; Ctrl-C ends these too, which would go on for minutes."""
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn"), max_tasks_per_child=20) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def run_missing(book: Book, minutes: float) -> None:
    """Run until nothing is missing, or no time is left to start another run."""
    ends = time.monotonic() + 60 * minutes
    running: dict[Future, tuple[str, int | str]] = {}
    with _processes() as pool:
        while True:
            while len(running) < AT_ONCE and time.monotonic() < ends:
                task = book.next()
                if task is None:
                    break
                running[pool.submit(one_run, *task, book.stored[task[0]]["tuned"])] = task
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                number, seed = running.pop(done)
                run = done.result()
                book.keep(number, seed, run)
                print(f"{number} {seed}: {run['seconds']:.0f} s", flush=True)


def check(claims: list[Claim], seeds: list[int]) -> bool:
    """Run again and compare.

    Stored seeds must give equal values on the kind of machine and with the packages that they were
    run with. New seeds, and stored ones elsewhere, must fall where the other runs say.
    """
    fine = True
    with _processes() as pool:
        tasks = list(itertools.product(claims, seeds))
        stored = {claim.number: results.load(claim.number) for claim in claims}
        for claim in claims:
            _are_stale(claim, stored[claim.number])
        runs = [pool.submit(one_run, c.number, s, stored[c.number]["tuned"]) for c, s in tasks]
        for (claim, seed), run in zip(tasks, runs, strict=True):
            for line, good in compared(claim, stored[claim.number]["runs"], run.result()):
                print(f"{claim.number} seed {seed}: {line}", flush=True)
                fine &= good
    return fine


def compared(claim: Claim, runs: list[dict], again: dict) -> Iterator[tuple[str, bool]]:
    """A line for each row of a claim on a run made again, beside `runs`; is it as it must be?"""
    before = next((run for run in runs if run["seed"] == again["seed"]), None)
    alike = before is not None and _made_alike(before, again)
    for row in _rows(claim):
        if row["given"]:
            continue
        now = _mean_effect(row, again["values"])
        if alike and not row["timed"]:
            then = _mean_effect(row, before["values"])
            same = math.isclose(then, now, abs_tol=1e-9)
            said = "equal" if same else "NOT EQUAL"
            yield f"{row['name']}: stored {then:+.4f}, now {now:+.4f}: {said}", same
        else:
            others = [run for run in runs if run is not before]
            low, high = ledger.prediction([_mean_effect(row, r["values"]) for r in others])
            inside = low <= now <= high
            said = "inside" if inside else "OUTSIDE"
            yield f"{row['name']}: {now:+.4f}, {said} {low:+.4f} to {high:+.4f}", inside


def _made_alike(one: dict, other: dict) -> bool:
    """Whether two runs of a seed must give the same bits: same kind of machine, same packages."""
    return all(one[name] == other[name] for name in ("machine", "versions"))


def _mean_effect(row: dict, values: dict) -> float:
    """A run's effect, the mean over its splits if it has several."""
    return float(ledger.effect(row, values).mean())
