"""Scoring processes in small: they align, and send what they have to one log, each at its own speed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from detector.findings import Finding
from detector.places import Partition, Progress
from detector.signals import Sent
from detector.sources.alignment import Aligner
from detector.standing import Standing
from tests.support.nouns import a_finding

TURN = 1.0
"""Seconds that pass from one turn of a process to its next: more than it keeps still between two words."""

Log = list[tuple[float, Sent | Progress]]
"""When what was appended."""

Event = tuple[float, str]
"""Event time, and the name of what is found in it; nothing is found where it is empty."""


def finding(name: str) -> Finding:
    """One that is told apart by its id."""
    return msgspec.structs.replace(a_finding(1), id=name)


class Process:
    """Has some of the partitions; reads, aligns and sends as a score stage does.

    Args:
        logs: All that each partition holds, in order.
        log: Where signals go, those of others among them.
        at: The log's time.
    """

    def __init__(self, logs: Mapping[Partition, Sequence[Event]], log: Log, at: Callable[[], float]) -> None:
        self._logs, self._log, self._at = logs, log, at
        self._aligner: Aligner[tuple[Partition, float, int]] = Aligner()
        self._standing = Standing()
        self._standing.among(set(logs))
        self._read: dict[Partition, int] = {}
        self._done: dict[Partition, int] = {}
        self._latest: dict[Partition, float] = {}
        self._overheard = len(log)
        self._now = 0.0

    @property
    def partitions(self) -> list[Partition]:
        """Those that it has."""
        return list(self._read)

    def open(self, partition: Partition, saved: tuple[int, list[Any]] | None = None) -> None:
        """Get a partition, with what `close` or `save` gave."""
        offset, standing = saved or (0, None)
        self._read[partition] = self._done[partition] = offset
        self._aligner.assign(partition)
        self._latest[partition] = self._standing.open(partition, standing).time

    def save(self, partition: Partition) -> tuple[int, list[Any]]:
        """What its successor goes on from."""
        return self._done[partition], self._standing.save(partition)

    def close(self, partition: Partition) -> tuple[int, list[Any]]:
        """Give a partition up."""
        saved = self.save(partition)
        self._aligner.revoke(partition)
        self._standing.close(partition)
        del self._read[partition], self._done[partition]
        return saved

    def turn(self, fetched: Mapping[Partition, int]) -> None:
        """Read so many more of each partition; send what has its turn, then answer who waits."""
        for partition, count in fetched.items():
            begin = self._read[partition]
            for offset, (time, _) in enumerate(self._logs[partition][begin : begin + count], begin):
                latest = self._latest[partition] = max(time, self._latest[partition])
                self._aligner.push(partition, latest, (partition, latest, offset))
                self._read[partition] = offset + 1
        for partition in self._read:
            self._aligner.set_caught_up(partition, self._read[partition] == len(self._logs[partition]))
        self._overhear()
        for partition, time, offset in self._aligner.ready():
            self._step(partition, time, offset)
        self._now += TURN
        word = self._standing.word(self._aligner.ahead(), self._now)
        if word is not None:
            self._log.append((self._at(), word))

    def _overhear(self) -> None:
        for offset, (_, signal) in enumerate(self._log[self._overheard :], self._overheard):
            self._standing.see(offset)
            if isinstance(signal, Sent) and self._standing.concerns(signal.beside):
                self._standing.ask(signal.place)
        self._overheard = len(self._log)

    def _step(self, partition: Partition, time: float, offset: int) -> None:
        self._done[partition] = offset + 1
        self._standing.bring(partition, time)
        name = self._logs[partition][offset][1]
        if name:
            sent = Sent(finding(name), self._standing.at(partition), self._standing.beside)
            self._log.append((self._at(), sent))

    @property
    def idle(self) -> bool:
        """Whether it has read all and nobody waits for it."""
        read = all(self._read[p] == len(self._logs[p]) for p in self._read)
        return read and self._overheard == len(self._log) and self._standing.is_quiet


def alone(logs: Mapping[Partition, Sequence[Event]]) -> list[str]:
    """What one process sends that has all partitions, in order."""
    log: Log = []
    one = Process(logs, log, lambda: 0.0)
    for partition in logs:
        one.open(partition)
    one.turn({partition: len(events) for partition, events in logs.items()})
    return names(signal for _, signal in log)


def names(signals: Iterable[object]) -> list[str]:
    """The findings among signals, each once, where it comes first."""
    found = (s.signal if isinstance(s, Sent) else s for s in signals)
    return list(dict.fromkeys(one.id for one in found if isinstance(one, Finding)))
