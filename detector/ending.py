"""The last bounds on a process that is to end: neither what hangs in it nor what a library leaves behind keeps it."""

import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

SECONDS: Final = 5.0
"""Between the end of the work and that of the process, at most."""


@contextmanager
def ends_soon_after(seconds: float = SECONDS) -> Iterator[None]:
    """End the process, with the status that it would have, when it is still there so long after the block.

    Clients of Kafka join their threads when the interpreter ends, with no bound. Only for a program's outermost call.
    """
    status = 1  # that of an exception that nobody catches
    try:
        yield
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        last = threading.Timer(seconds, os._exit, (status,))
        last.daemon = True
        last.start()


class Fuse:
    """Ends the process (status 1) so long after it was lit, and tells on standard error where each thread stood.

    The interpreter's watchdog does it, in a thread that needs neither a lock of ours nor the interpreter's: it ends
    a process too in which a C library waits for another thread and lets nobody run. Leaving the block puts it out.

    Args:
        seconds: From the first `light` on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lit = threading.Lock()

    def light(self) -> None:
        """Begin to count; once it has begun, do nothing."""
        if self._lit.acquire(blocking=False) and sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lit.locked():
            faulthandler.cancel_dump_traceback_later()
