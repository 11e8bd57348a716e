"""Which events were seen before: by their id, and by what they say happened.

Ids come from the sources, and some can be chosen by who acts (the id of a span). So an id alone makes no duplicate: an
event that says something else under an id that is known is another event, and goes on under an id of its own.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import msgspec

from detector.events import Envelope, Event
from detector.formats.audit import UNDATED

_ID_MOST: Final = 512
_ENCODE: Final = msgspec.json.Encoder().encode


_UNKNOWN: Final = -1  # no mark


def mark_of(event: Event) -> int:
    """64 bits that tell what happened from anything else: who did what to what, and when, if the source knows."""
    time = 0.0 if UNDATED in event.attributes else event.time.timestamp()
    uri = event.target.uri if event.target is not None else None
    told = _ENCODE((event.actor.id, event.kind, event.action, uri, time))
    return int.from_bytes(blake2b(told, digest_size=8).digest())


def renamed(envelope: Envelope, event_id: str) -> Envelope:
    """The envelope of the event under the id that it goes by."""
    return msgspec.structs.replace(envelope, event=msgspec.structs.replace(envelope.event, id=event_id))


class SeenEvents:
    """The ids of the latest events with their marks, in two generations: a full one replaces the older one.

    So between one and two windows are remembered.

    Args:
        window: How many ids make a generation.
    """

    __slots__ = ("_ids_saved", "_older", "_recent", "_recent_saved", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._recent: dict[str, int | None] = {}
        self._older: dict[str, int | None] = {}
        # What the last capture held: that generation, and so many of it.
        self._recent_saved: dict[str, int | None] | None = None
        self._ids_saved = 0

    def name(self, event_id: str, mark: int) -> str | None:
        """The id that an event goes by: its own, one made of it if that is another's; None for a duplicate."""
        known = self._recent.get(event_id, _UNKNOWN)
        if known is _UNKNOWN:
            known = self._older.get(event_id, _UNKNOWN)
            if known is _UNKNOWN:
                return event_id
        # Of what an earlier release saved no mark is known.
        if known is None or known == mark:
            return None
        name = f"{event_id[: _ID_MOST - 17]}~{mark:016x}"
        return None if name in self._recent or name in self._older else name

    def add(self, name: str, mark: int) -> None:
        """Remember an event under the id that it goes by."""
        self._recent[name] = mark
        if len(self._recent) >= self._window:
            self._older, self._recent = self._recent, {}

    def snapshot(self) -> list[list[Any]]:
        """All as plain data: [older ids, recent ids, marks of the older, marks of the recent]."""
        return [list(self._older), list(self._recent), list(self._older.values()), list(self._recent.values())]

    def restore(self, data: Sequence[Sequence[Any]]) -> None:
        """Take over a snapshot."""
        older, recent, *marks = data
        of_older, of_recent = marks or ((), ())
        self._older, self._recent = _marked(older, of_older), _marked(recent, of_recent)

    def more(self) -> list[Any]:
        """What came since the last capture: [how many generations began, then as in a snapshot]."""
        if self._recent is self._recent_saved:
            begun, older, recent = 0, {}, _last(self._recent, len(self._recent) - self._ids_saved)
        elif self._older is self._recent_saved:
            begun, older, recent = 1, _last(self._older, len(self._older) - self._ids_saved), self._recent
        else:
            begun, older, recent = 2, self._older, self._recent
        return [begun, list(older), list(recent), list(older.values()), list(recent.values())]

    def add_more(self, data: Sequence[Any]) -> None:
        """Take over what came since the capture that was taken over last."""
        begun, older, recent, *marks = data
        of_older, of_recent = marks or ((), ())
        if begun:
            self._older, self._recent = (self._recent if begun == 1 else {}), {}
        self._older.update(_marked(older, of_older))
        self._recent.update(_marked(recent, of_recent))

    def captured(self) -> None:
        """All there is is saved."""
        self._recent_saved, self._ids_saved = self._recent, len(self._recent)


def _marked(ids: Sequence[str], marks: Sequence[int | None]) -> dict[str, int | None]:
    return dict(zip(ids, marks, strict=True)) if marks else dict.fromkeys(ids)


def _last(ids: dict[str, int | None], count: int) -> dict[str, int | None]:
    """The ids added last, in order."""
    return dict(list(islice(reversed(ids.items()), count))[::-1])
