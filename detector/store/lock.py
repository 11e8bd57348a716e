"""One process at a time in an embedded store: a lock file, held for as long as the data is open.

The engine holds a lock of its own, but tells of a conflict on stderr only. The kernel drops a `flock` when
its holder dies, however it dies, so a lock that is left behind never stands in the way.
"""

import fcntl
import os
import threading
from pathlib import Path

import msgspec

from detector.store.errors import StoreBusy

LOCK_NAME = "detector.lock"


class _Held(msgspec.Struct):
    descriptor: int
    holders: int = 1


_guard = threading.Lock()
_held: dict[Path, _Held] = {}


def acquire(directory: Path) -> None:
    """Lock the store in `directory` (a resolved path that exists) for this process.

    A process may take it several times, once for each client, and must `release` it as often.

    Raises:
        StoreBusy: another process has it open.
    """
    with _guard:
        if directory in _held:
            _held[directory].holders += 1
            return
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreBusy(
                f"the store at {directory} is open in another process{f' (pid {holder})' if holder else ''}: "
                "stop it, or give this one a store of its own; a ClickHouse server takes many at once"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _held[directory] = _Held(descriptor)


def release(directory: Path) -> None:
    """Give back one `acquire`; the last one opens the store to other processes."""
    with _guard:
        held = _held[directory]
        held.holders -= 1
        if not held.holders:
            del _held[directory]
            os.close(held.descriptor)
