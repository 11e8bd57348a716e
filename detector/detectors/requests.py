"""What an agent was asked, whom its reading named and whom it acted for: the memory of `goal_hijack`."""

from collections.abc import Collection, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from detector.events import Content, Event, Named
from detector.extraction import acts_asked_for, mentions
from detector.extraction.lexicon import ActClass

# A session that was silent for so long (seconds) is over, whatever its id: what it was asked holds no more.
IDLE: Final = 86_400.0

ASKED_MOST: Final = 512
READ_MOST: Final = 512
TOLD_MOST: Final = 128
TRACES_MOST: Final = 64
_SHORT: Final = 128


def digest(text: str) -> int:
    """64 bits to know a text again by: nobody can make another text that has them."""
    return _digest_of_short(text) if len(text) <= _SHORT else _digest(text)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


# The same words are asked and the same names told again and again.
_digest_of_short: Final = lru_cache(maxsize=8192)(_digest)


class View(msgspec.Struct, array_like=True):
    """One session, last heard of at `last` (unix seconds): what was asked, read, and told.

    Words and names are kept as digests. `acts` are the classes of acts that the requests have words for,
    `read` the names in results and whether one stood alone as records hold it, `told` what a finding was
    about and `noted` what only a note was. What a tainted session reads, after a finding, is trusted no more.
    """

    last: float = 0.0
    request: int = 0
    asked: dict[int, None] = {}
    acts: dict[ActClass, None] = {}
    read: dict[int, bool] = {}
    told: dict[int, None] = {}
    noted: dict[int, None] = {}
    tainted: bool = False

    def ask(self, content: Content) -> None:
        """Take in a request; one that was heard already, as chats repeat their history, costs nothing."""
        again = digest("\n".join(content.request))
        if not content.request or again == self.request:
            return
        self.request = again
        self.asked.update(dict.fromkeys(map(digest, content.request)))
        self.acts.update(dict.fromkeys(acts_asked_for(content.request)))
        bound(self.asked, ASKED_MOST)

    def names(self, named: Named) -> bool:
        """Whether a request names this."""
        return mentions(_Words(self.asked), named)


class Memory(msgspec.Struct, array_like=True):
    """One principal: its sessions and their traces, whom it acted for, and where a record first held whom."""

    sessions: dict[str, View] = {}
    traces: dict[str, str] = {}
    aimed_at: dict[int, None] = {}
    held: dict[int, int] = {}

    def session(self, event: Event) -> str:
        """The session that an event belongs to: its own, or that of its trace; "" if neither is known."""
        trace = event.trace_id or ""
        return event.actor.session or self.traces.get(trace, trace)

    def view(self, event: Event, now: float) -> View | None:
        """What is known of the event's session; None if nothing is, or it has long been silent."""
        view = self.sessions.get(self.session(event))
        return view if view is not None and now - view.last <= IDLE else None

    def open(self, event: Event, now: float, most: int) -> View:
        """The view of the event's session, made if need be and put last."""
        name = self.session(event)
        view = self.view(event, now) or View()
        view.last = max(view.last, now)
        self.sessions.pop(name, None)
        self.sessions[name] = view
        if event.actor.session and event.trace_id:
            self.traces.pop(event.trace_id, None)
            self.traces[event.trace_id] = name
            bound(self.traces, TRACES_MOST)
        bound(self.sessions, most)
        return view


class _Words(Collection[str]):
    """The words of a request, known by their digests."""

    def __init__(self, digests: dict[int, None]) -> None:
        self._digests = digests

    def __contains__(self, word: object) -> bool:
        return digest(str(word)) in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a request's words are not kept")


def bound(kept: dict[Any, Any], most: int) -> None:
    """Forget the oldest past `most`."""
    while len(kept) > most:
        del kept[next(iter(kept))]
