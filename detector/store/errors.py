"""What goes wrong between us and the event store."""

from typing import Final

from clickhouse_connect.driver.exceptions import Error

# The engine's codes for what may pass by itself: too much to do, too little memory, a keeper or a network that is away.
_PASSING: Final = frozenset({159, 202, 203, 209, 210, 225, 236, 241, 242, 252, 279, 319, 394, 425, 473, 999})


class StoreError(Exception):
    """The store can't be used as asked. The message says why, and what to do about it."""


class StoreUnavailable(StoreError):  # noqa: N818 - what it is
    """The store can't be had now; the same may well work later."""


class StoreBusy(StoreUnavailable):
    """The embedded store is open in another process, which may let go of it: an audit takes a second or so."""


def failure(message: str, cause: Exception) -> StoreError:
    """The error to raise for what the client raised: passing unless the engine itself refused for good."""
    code = cause.code if isinstance(cause, Error) else None
    return StoreUnavailable(message) if code is None or code in _PASSING else StoreError(message)
