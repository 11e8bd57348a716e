"""A core for each worker: its threads take turns at one interpreter; one on another core would first have to wake."""

import os
import sys
from collections.abc import Sequence

import structlog

log = structlog.get_logger(__name__)


def available() -> list[int]:
    """The cores that this process may run on, by number; none where the system does not tell (elsewhere than Linux)."""
    if sys.platform != "linux":
        return []
    return sorted(os.sched_getaffinity(0))


def one_each(count: int, cores: Sequence[int]) -> list[int | None]:
    """A core for each of several workers, if there are just as many; else they are left to the system's scheduler.

    >>> one_each(2, [4, 5]), one_each(2, [4, 5, 6]), one_each(1, [4])
    ([4, 5], [None, None], [None])
    """
    return list(cores) if count == len(cores) > 1 else [None] * count


def pin(pid: int, core: int) -> None:
    """Have a process run on one core, with all threads that it will begin; where it can't, it goes unpinned."""
    if sys.platform != "linux":
        return
    try:
        os.sched_setaffinity(pid, [core])
    except OSError as error:  # the core was taken away from us; or the process has ended, which others tell
        log.warning("worker_not_pinned", core=core, why=error.strerror or str(error))
