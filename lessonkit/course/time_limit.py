"""A time limit for the reader's own code."""

import _thread
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TooLate", "time_limit"]


class TooLate(TimeoutError):
    """The code took longer than it was allowed, whether it could be stopped or not."""


def _interrupt() -> None:
    """As Ctrl-C does: a main thread that only waits for something wakes up, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # it would end the process
        _thread.interrupt_main()
    elif hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:  # Windows
        signal.raise_signal(signal.SIGINT)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop the block, as Ctrl-C would, after so many `seconds`; then raises TooLate.

    It must run in the main thread, as cells do.
    """
    lock, over, late = threading.Lock(), False, False

    def stop() -> None:
        nonlocal late
        with lock:
            if not over:
                late = True
                _interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    try:
        try:
            timer.start()  # on a busy machine a short time is over before this returns
            yield
        finally:
            with lock:
                over = True
            timer.cancel()
        if late:  # the interrupt was swallowed, or is on its way: let it arrive here
            time.sleep(1)
    except KeyboardInterrupt:
        if not late:  # the reader's own
            raise
    if late:
        raise TooLate
