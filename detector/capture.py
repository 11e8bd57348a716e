"""Saving many principals a few at a time, while they go on being used."""

from collections.abc import Iterable, Mapping
from itertools import islice

from detector.principals import Packed, PrincipalState, Rows


class Capture:
    """Principals that are being saved, a few at a time, each as it stood when the capture was made.

    Args:
        names: Which, in order of last use.
        gone: Those forgotten since the last capture, which come before.
        principals: Where they are, by id.
        rows: Makes rows of them.
    """

    def __init__(
        self,
        names: Iterable[str],
        gone: Iterable[str],
        principals: Mapping[str, PrincipalState | Packed],
        rows: Rows,
    ) -> None:
        self.gone = list(gone)
        self._waiting = dict.fromkeys(names)
        self._in_order = iter(list(self._waiting))
        self._early: dict[str, bytes] = {}
        self._principals = principals
        self._rows = rows

    def keep(self, principal: PrincipalState | Packed) -> None:
        """Call before a principal changes or is forgotten: its row is made now, if it still waits."""
        if principal.id in self._waiting:
            del self._waiting[principal.id]
            self._early[principal.id] = self._rows.pack(principal)

    def take(self, most: int) -> list[bytes]:
        """The next rows, `most` at most; none when all were taken."""
        taken = []
        for name in islice(self._in_order, most):
            row = self._early.pop(name, None)
            if row is None:
                del self._waiting[name]
                row = self._rows.pack(self._principals[name])
            taken.append(row)
        return taken
