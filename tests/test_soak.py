"""For hours rather than seconds: memory that must not grow, and kills at moments drawn by lot.

Only `make soak` runs these; it also gives every test of test_fuzz.py many more examples.
"""

import gc
import random
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest

from lessonkit import Learner, augment, data, models
from lessonkit.machine import progress
from tests import test_faults
from tests.test_faults import WORK, archives, cache, prepared, root, serve  # noqa: F401
from tests.tiny import coloured
from tests.victims import outcome, start

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux reports it"),
]

MB = 1 << 20
MOST = 10 * MB  # that may be gained: allocators keep a few pages in reserve
KILLS = 100
HOUR = 3600  # seconds


def memory():
    """Bytes that this process alone takes up: its own, and its share of what it has in common."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    (pss,) = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    return pss * 1024


def train(place, epochs, mode):
    """Memory after each tenth of `epochs`."""
    gc.freeze()  # what was imported needn't be looked through each time
    learn = Learner(models.small_cnn(3, 8), coloured(180, how=augment.side_on()))
    if mode == "precompute":
        learn.freeze()
        learn.precompute = True
    used = []
    with progress.quiet():
        for _ in range(10):
            learn.fit(0.01, epochs // 10)
            used.append(memory())
    return used


def start_again_and_again(place, times):
    """Memory and number of threads after each tenth of `times`, each reading other pictures."""
    gc.freeze()
    used = []
    for i in range(times):
        data.from_folder(place / "photos", 32, seed=i % 3)
        Learner.load(place / "model.pt").predict([place / "photos" / "one" / "0.png"], tta=True)
        shutil.rmtree(place / "cache")
        if (i + 1) % (times // 10) == 0:
            used.append((memory(), threading.active_count()))
    return used


@pytest.mark.parametrize("mode", ["augmentation", "precompute"])
def test_memory_does_not_grow_over_200_epochs(mode, tmp_path):
    done = outcome(start(train, tmp_path, 200, mode), HOUR)
    assert done.error is None
    assert max(done.answer[1:]) - done.answer[0] < MOST, [round(n / MB, 1) for n in done.answer]


def test_memory_and_threads_do_not_grow_over_200_starts(prepared):  # noqa: F811
    done = outcome(start(start_again_and_again, prepared, 200), HOUR)
    assert done.error is None
    used, threads = zip(*done.answer, strict=True)
    assert max(used[1:]) - used[0] < MOST, [round(n / MB, 1) for n in used]
    assert threads[-1] <= threads[0]


def test_a_hundred_kills_at_random_moments_lose_nothing(
    prepared,  # noqa: F811
    tmp_path_factory,
):
    draw, killed = random.Random(time.time_ns()), 0
    whole = {
        kind: test_faults.what_it_should_give(work, prepared, tmp_path_factory).answer
        for kind, (work, _) in WORK.items()
    }
    old = {kind: read(prepared) for kind, (_, read) in WORK.items() if read}
    seconds = {}
    for number in range(KILLS):
        kind = draw.choice(list(WORK))
        work, read = WORK[kind]
        if number % 10 == 0:  # in one place, so that leftovers of many kills lie about
            place = shutil.copytree(prepared, tmp_path_factory.mktemp("killed") / "x")
        started = time.monotonic()
        process, pipe = start(work, place)
        process.join(draw.uniform(0, seconds.get(kind, 1.0)))
        process.kill()
        killed += outcome((process, pipe)).exitcode == -9
        if read:
            assert read(place) in (old[kind], whole[kind])
        started = time.monotonic()
        again = outcome(start(work, place))
        seconds[kind] = time.monotonic() - started
        assert (again.answer, again.error, again.warned) == (whole[kind], None, [])
        shutil.rmtree(place / "cache", ignore_errors=True)
    assert killed >= KILLS // 3
