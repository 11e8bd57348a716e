"""What kafka-python waits for its sockets by, without the dearest part of it."""

import selectors
from typing import Any, Protocol


class Numbered(Protocol):
    """A file or a socket."""

    def fileno(self) -> int:
        """Its number."""


File = int | Numbered


class QuickSelector(selectors.DefaultSelector):
    """As the interpreter's own; of a file that is not registered it says so, and does not describe it.

    kafka-python registers a socket for each wait, after it has asked whether it is registered. It is not, and the
    interpreter's selector describes a socket twice to say so, with the addresses of both its ends: four calls of the
    system, after each of which the client's thread waits for the interpreter again while others are at work.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: File, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the interpreter's."""
        key = super().register(fileobj, events, data)
        self._known[key.fd] = key
        return key

    def unregister(self, fileobj: File) -> selectors.SelectorKey:
        """As the interpreter's."""
        key = super().unregister(fileobj)
        self._known.pop(key.fd, None)
        return key

    def modify(self, fileobj: File, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the interpreter's, which forgets a file that it fails with."""
        self._known.pop(_number(fileobj), None)
        key = super().modify(fileobj, events, data)
        self._known[key.fd] = key
        return key

    def get_key(self, fileobj: File) -> selectors.SelectorKey:
        """What a file is registered with.

        Raises:
            KeyError: It is not registered.
        """
        key = self._known.get(_number(fileobj))
        if key is None:
            raise KeyError("it is not registered")
        return key


def _number(fileobj: File) -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()
