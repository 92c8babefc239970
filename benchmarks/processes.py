"""Seconds of an epoch in 1 process and in 2, side by side, and what a simple model predicts.

    python benchmarks/processes.py [--size PX] [--rounds N] [--json FILE]

The whole EfficientNet-Lite0 trains on the creatures, one thread a process. One epoch is

    t(N) = compute / N + serial + communication(N)

with the serial part (validation, and the optimiser's work on the weights) measured, the
communication measured as so many all-reduces of all gradients, and compute = t(1) - serial.
1 and 2 take turns, so that a busy machine slows both; each figure is the median of all rounds.
Nothing else should run: 2 processes wait for one another at each step, so they suffer more from a
busy machine than 1 does. SCALING.md says what follows.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

EPOCHS = 3  # timed in each process that is started, after one to warm up
BATCH = 32


def worker(size: int) -> None:
    """One of the processes: prints its seconds as JSON if it is the first."""
    import torch
    import torch.distributed as dist

    from lessonkit import Learner, data
    from lessonkit.machine import progress
    from lessonkit.training import distributed, processes
    from lessonkit.training.optimizers import radam

    with processes.joined(), progress.quiet():
        images = processes.in_turn(lambda: data.creatures(size))
        learn = Learner.pretrained(
            "tf_efficientnet_lite0", images, precompute=False, batch_size=BATCH, device="cpu"
        )
        learn.unfreeze()
        learn.optimizer = radam
        optimizer = learn._new_optimizer([1e-9] * 3)
        learn.fit(1e-4, 1)
        before = time.process_time()
        learn.fit(1e-4, EPOCHS)
        processor = (time.process_time() - before) / EPOCHS
        epochs = [row["seconds"] for row in learn.history.epochs[1:]]
        validations = [seconds(learn.validate) for _ in range(EPOCHS)]
        updates = [seconds(lambda: update(learn, optimizer)) for _ in range(20)]
        gradients = torch.zeros(sum(p.numel() for p in learn.model.parameters()))
        reduces = [0.0]
        if distributed.world_size() > 1:
            reduces = [seconds(lambda: dist.all_reduce(gradients)) for _ in range(20)]
        made = {
            "epoch": epochs,
            "processor": [processor],
            "validation": validations,
            "updates": [second * learn.n_batches for second in updates[1:]],
            "communication": [second * learn.n_batches for second in reduces],
            "megabytes": 4 * len(gradients) / 1e6,
            "batches": learn.n_batches,
        }
        if distributed.rank() == 0:
            print(json.dumps(made))


def update(learn, optimizer) -> None:
    """What follows the gradients in each step, and has to be done by every process in full."""
    from torch import nn

    nn.utils.clip_grad_norm_(learn.model.parameters(), learn.max_grad_norm)
    optimizer.step()


def seconds(work) -> float:
    """How long `work()` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(n: int, size: int) -> dict[str, float]:
    """Medians of what `n` processes, started together, have measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared = {**os.environ, **address, "WORLD_SIZE": str(n), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--worker", "--size", str(size)]
    started = []
    for rank in range(n):
        own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("one of the processes failed; its reason stands above")
    return json.loads(printed[0].splitlines()[-1])


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=96, help="side of the pictures, px (96)")
    parser.add_argument("--rounds", type=int, default=3, help="how often 1 and 2 take turns (3)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.size)
        return 0
    rounds = [(run(1, options.size), run(2, options.size)) for _ in range(options.rounds)]

    def median(n: int, what: str) -> float:
        return statistics.median(second for pair in rounds for second in pair[n - 1][what])

    one, two = median(1, "epoch"), median(2, "epoch")
    validation, updates = median(1, "validation"), median(1, "updates")
    serial = validation + updates
    communication = median(2, "communication")
    expected = (one - serial) / 2 + serial + communication
    batches, megabytes = rounds[0][0]["batches"], rounds[0][0]["megabytes"]
    print(f"an epoch of {batches} mini-batches, pictures of {options.size} px, seconds")
    parts = f"validation {validation:.2f}, optimiser {updates:.2f}"
    print(f"1 process            {one:7.2f}   of which {parts}")
    print(f"2 processes, model   {expected:7.2f}   of which communication {communication:.2f}")
    print(f"2 processes          {two:7.2f}   {one / two:.2f} times as fast")
    ratio = median(2, "processor") / median(1, "processor")
    print(f"of the processor's time each of the 2 takes {ratio:.2f} times what 1 takes alone")
    print(f"an all-reduce of {megabytes:.1f} MB takes {1000 * communication / batches:.0f} ms")
    if options.json:
        figures = {
            "one": one, "two": two, "validation": validation, "optimiser": updates,
            "communication": communication,
            "expected": expected, "processor ratio": ratio, "batches": batches,
            "megabytes": megabytes,
        }  # fmt: skip
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
