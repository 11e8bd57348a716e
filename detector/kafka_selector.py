"""What kafka-python waits for its sockets by, without the dearest part of it."""

import selectors
from typing import Protocol


class Numbered(Protocol):
    """A file or a socket."""

    def fileno(self) -> int:
        """Its number; below 0 once it is closed."""


class QuickSelector(selectors.DefaultSelector):
    """As the interpreter's own; of a socket that is not registered it says so by its number, and does not describe it.

    kafka-python registers a socket for each wait, after it has asked whether it is registered. It is not, and the
    interpreter's selector describes a socket twice to say so, with the addresses of both its ends: four calls of the
    system, after each of which the client's thread waits for the interpreter again while others are at work.
    """

    def get_key(self, fileobj: int | Numbered) -> selectors.SelectorKey:
        """What a file is registered with; one that was closed since is found, too.

        Raises:
            KeyError: It is not registered.
            ValueError: Nor is it, and it is closed.
        """
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        return super().get_key(fileobj if number < 0 else number)
