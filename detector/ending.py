"""The last bound on a process that has done its work: what a library leaves behind must not keep it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
