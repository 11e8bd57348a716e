"""What a tool does, by the words of its name, and whether a person asked for it."""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from detector.extraction.lexicon import (
    ACTS,
    ASKED,
    DELEGATED_BY,
    DELEGATED_NOUNS,
    DELEGATED_TO,
    DELEGATING_VERBS,
    NOUNS,
    OBJECTS,
    READS,
    ActClass,
)

_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SERVER: Final = re.compile(r"__|[./:]")
_ASKED: Final = tuple(
    (act, frozenset(verbs), tuple(verb for verb in verbs if len(verb) > 3)) for act, verbs in ASKED.items()
)


@lru_cache(maxsize=4096)
def act_class(tool_name: str) -> ActClass | None:
    """The class of act, None for a tool that only reads.

    The first word decides if it is a verb that is known; else the first acting verb anywhere, then a reading
    one, then a noun ("bash"). What is unknown acts. A server's name before `__`, `.`, `/` or `:` is left out.

    >>> [act_class(name) for name in ("get_emails", "mail__sendMoney", "addUserToChannel", "calendar.create_event")]
    [None, 'pay', 'share', 'create']
    >>> act_class("frobnicate"), act_class("user_lookup"), act_class("send_email")
    ('other', None, 'send')
    """
    found = _words(tool_name)
    verb = next((word for word in found[:1] if word in READS or word in ACTS), "")
    verb = verb or next((word for word in found if word in ACTS), "")
    if verb not in ACTS:
        if verb or any(word in READS for word in found):
            return None
        return _by_object(next((NOUNS[word] for word in found if word in NOUNS), "other"), found)
    return _by_object(ACTS[verb], found)


def asked_for(act: ActClass, tool_name: str, request: Collection[str]) -> bool:
    """Whether a request's words ask for this class of act, use the tool's own verb, or delegate the choice.

    >>> asked_for("pay", "send_money", ("please", "refund", "ann"))
    True
    >>> asked_for("send", "send_email", ("what", "is", "on", "my", "calendar"))
    False
    >>> asked_for("send", "send_email", ("follow", "the", "instructions", "in", "notes.txt"))
    True
    """
    own = frozenset(word for word in _words(tool_name) if word in ACTS)
    return act in acts_asked_for(request) or not own.isdisjoint(request)


def acts_asked_for(request: Collection[str]) -> tuple[ActClass, ...]:
    """The classes of act that a request's words ask for, all of them if it delegates the choice.

    >>> acts_asked_for(("please", "refund", "ann"))
    ('pay',)
    """
    if _delegates(request):
        return tuple(ASKED)
    found = {act for word in request for act in _asked_for_by(word)}
    return tuple(act for act in ASKED if act in found)


@lru_cache(maxsize=8192)
def _asked_for_by(word: str) -> tuple[ActClass, ...]:
    """The classes of act that a word of a request stands for: longer ones do in all their endings."""
    return tuple(act for act, verbs, starts in _ASKED if word in verbs or word.startswith(starts))


def _words(tool_name: str) -> tuple[str, ...]:
    last = next((part for part in reversed(_SERVER.split(tool_name[:256])) if part), "")
    return tuple(word.lower() for word in _WORDS.findall(last))


def _by_object(act: ActClass, found: Collection[str]) -> ActClass:
    for objects, classes, instead in OBJECTS:
        if act in classes and not objects.isdisjoint(found):
            return instead
    return act


def _delegates(request: Collection[str]) -> bool:
    """Whether the request leaves what to do to something that the agent is to read."""
    if "instructions" in request and any(verb in request for verb in ("follow", "following")):
        return True
    does = any(verb in request for verb in DELEGATING_VERBS) and any(noun in request for noun in DELEGATED_NOUNS)
    if "following" in request:  # "do the following tasks": most likely they are spelt out
        return does and any(word in request for word in DELEGATED_BY)
    return does and any(word in request for word in (*DELEGATED_BY, *DELEGATED_TO))
