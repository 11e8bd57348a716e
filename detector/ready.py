"""Which principals are held ready to be used at once, out of all partitions; the others wait packed."""

import gc
from collections import OrderedDict
from typing import Final, Protocol

from detector.principals import PrincipalState

# Python counts what was made less what was freed before it looks for garbage. Where principals of old are freed as fast
# as others are made, that is nothing, and the young become hundreds of thousands: at last a third of a second in which
# nothing is scored. So they are looked through each time that so many were put back.
LOOK_EVERY: Final = 300


class Home(Protocol):
    """Where principals are kept."""

    def put_back(self, principal: PrincipalState) -> None:
        """Pack a principal, which is not in use, where it stands."""


class Ready:
    """The principals that are held ready, in order of last use: past `most`, the one unused for longest is packed.

    One for all partitions of a process, since it is its memory that is bounded.

    Args:
        most: Principals held ready.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._homes: OrderedDict[PrincipalState, Home] = OrderedDict()
        self._replaced = 0

    def __len__(self) -> int:
        return len(self._homes)

    def use(self, principal: PrincipalState, home: Home) -> None:
        """A principal of a home is used, and so the last one to be packed."""
        homes = self._homes
        try:
            homes.move_to_end(principal)
        except KeyError:
            homes[principal] = home
            if len(homes) > self._most:
                idle, where = homes.popitem(last=False)
                where.put_back(idle)
                self._replaced += 1
                if self._replaced % LOOK_EVERY == 0:
                    gc.collect(1)

    def forget(self, principal: PrincipalState) -> None:
        """A principal is known no more."""
        self._homes.pop(principal, None)

    def close(self, home: Home) -> None:
        """None of a home's principals is known any more."""
        for principal in [one for one, where in self._homes.items() if where is home]:
            del self._homes[principal]
