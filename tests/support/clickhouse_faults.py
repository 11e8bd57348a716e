"""Faults of the ClickHouse front: what a test orders, and the order book that the server keeps."""

import threading
from typing import Final, Literal

import msgspec

CONTROL: Final = "/-/faults"

Kind = Literal["drop_after", "drop_before", "status", "slow"]


class Fault(msgspec.Struct):
    """What is to go wrong with the next `times` statements that contain `match`.

    `kind` is "drop_after" (run it, then close the connection without an answer), "drop_before" (close it
    without running), "status" (answer with `status` without running) or "slow" (wait `seconds`, then run).
    """

    match: str
    kind: Kind
    times: int = 1
    status: int = 500
    headers: dict[str, str] = {}
    seconds: float = 0.0


class Orders:
    """The faults that wait for their statement, and every statement seen so far; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: list[str] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault behind those that are there."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget the faults, and the statements seen."""
        with self._lock:
            self._faults.clear()
            self._seen.clear()

    def seen(self) -> list[str]:
        """The first line of every statement, in order, whatever became of it."""
        with self._lock:
            return list(self._seen)

    def next_for(self, statement: str) -> Fault | None:
        """Note the statement; the fault that is due for it, if any."""
        with self._lock:
            self._seen.append(statement)
            for fault in self._faults:
                if fault.match in statement and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None
