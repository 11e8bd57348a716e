"""What a tool call's arguments name, and what its result names."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from detector.events import Named, NamedKind
from detector.extraction import entities, leaves, prose
from detector.extraction.leaves import Leaf

MOST_TEXT: Final = 200_000
MOST_NAMED: Final = 500
_WEAK: Final[frozenset[NamedKind]] = frozenset({"name", "path"})
_MOST_ARGUMENTS: Final = 4 << 20  # a field behind a long body is read; see `_named`
_SHORT: Final = 128
_SHORT_RESULT: Final = 4096
_WRAPPED: Final = frozenset({"type", "text", "annotations"})


def named_in_arguments(arguments: str | dict[str, Any] | list[Any]) -> tuple[Named, ...]:
    """What a call was told to act on.

    JSON, JSON inside its strings, Python literals, what is left of broken JSON, or plain text. A value of its
    own is `alone`, unless its key says that it is text (`body`); under a key that says whom or where to
    (`recipient_email`, `toAddress`), any short value is at least a name.

    >>> [(item.kind, item.value, item.alone) for item in named_in_arguments('{"to": "Ann@x.com", "body": "see y.io"}')]
    [('email', 'ann@x.com', True), ('host', 'y.io', False)]
    """
    if isinstance(arguments, str):
        return _distinct(_named(_argument_leaves(arguments[:_MOST_ARGUMENTS].strip())))
    return _distinct(_named(leaves.of_structure(arguments, unwrap=True)))


def named_in_result(text: str) -> tuple[Named, ...]:
    r"""What a tool returned: the fields of records `alone`, whatever stands in prose not.

    Records are JSON, Python literals, lines of `key: value` and `- item` throughout, a plain list of short
    lines, or a single word. A text that has one line of another shape is prose as a whole.

    >>> [(item.value, item.alone) for item in named_in_result("- sender: a@x.com\n  body: 'ask\n\n    b@x.com'")]
    [('a@x.com', True), ('b@x.com', False)]
    """
    return (_named_in_short if len(text) <= _SHORT_RESULT else _named_in_long)(text)


def _named_in_long(text: str) -> tuple[Named, ...]:
    return _distinct(_named(_result_leaves(text[:MOST_TEXT]), of_result=True))


# Tools are asked for the same over and over: whose account it is, which files there are, what is new.
_named_in_short: Final = lru_cache(maxsize=256)(_named_in_long)


def _argument_leaves(text: str) -> Iterator[Leaf]:
    found = leaves.structure(text)
    if found is not None:
        return leaves.of_structure(found, unwrap=True)
    if text[:1] in {"{", "["}:
        return leaves.of_literal(text)
    return iter([("value", "", text)])


def _result_leaves(text: str) -> Iterable[Leaf]:
    indented, text = text.rstrip(), text.strip()
    if leaves.looks_structured(text):
        found = leaves.structure(text)
        if found is None:
            return leaves.of_literal(text)
        wrapped = _wrapped_text(found)
        return leaves.of_structure(found) if wrapped is None else _result_leaves(wrapped)
    if text[:1] in {"{", "["}:
        return leaves.of_literal(text)
    if "\n" not in text and " " not in text:
        return [("value", "", text)]
    lines = leaves.of_lines(indented)
    if lines is not None:
        return lines
    return [*(leaves.of_list(text) or ()), ("text", "", text)]


def _wrapped_text(found: Any) -> str | None:
    """The text of a result given as `[{"type": "text", "text": ...}]`, perhaps under `content`, as MCP does."""
    parts = found.get("content") if isinstance(found, dict) and found.keys() <= {"content", "isError"} else found
    if not isinstance(parts, list) or len(parts) != 1:
        return None
    part = parts[0]
    if isinstance(part, dict) and part.get("type") == "text" and part.keys() <= _WRAPPED:
        text = part.get("text")
        return text if isinstance(text, str) else None
    return None


def _named(found: Iterable[Leaf], *, of_result: bool = False) -> Iterator[Named]:
    """Fields first, then prose: however long the prose, it can't keep a field from being read."""
    running: list[tuple[str, str]] = []
    for role, key, text in found:
        if role == "value":
            fields, is_prose = (_short_field if len(text) <= _SHORT else _field)(key, text, of_result)
            if fields:
                yield from fields
            if is_prose:
                running.append((key, text))
        elif role == "text":
            running.append((key, text))
        else:
            yield from _key(text)
    left = MOST_TEXT
    for key, text in running:
        addressed = not of_result and entities.kind_of_key(key) is not None and "\n" not in text
        for item in prose.in_text(text[:left], key, addressed=addressed and entities.is_addressing(key)):
            yield Named(item.kind, item.value, key, alone=True) if addressed else item
        left = max(0, left - len(text))


def _field(key: str, text: str, of_result: bool) -> tuple[tuple[Named, ...], bool]:
    """What a value is as a whole, and whether it is to be read as prose too."""
    if entities.is_prose_key(key):
        return (), True
    mentions = entities.may_mention(text)
    found = () if entities.is_nothing(text, key, mentions=mentions) else entities.in_value(text, key)
    if not found and of_result and not key and _is_name(text):
        found = (Named("name", " ".join(text.lower().split()), key, alone=True),)
    return found, mentions and all(item.kind == "name" for item in found)


# Records repeat themselves: the same colleagues, states and folders come back in each result.
_short_field: Final = lru_cache(maxsize=8192)(_field)


@lru_cache(maxsize=4096)
def _key(text: str) -> tuple[Named, ...]:
    """A key that names something itself: `{"ann@x.com": "rw"}`, `{"Sea View": 120}`."""
    found = entities.in_value(text, "") if "@" in text or "." in text else ()
    if not found and " " in text and _is_name(text):
        return (Named("name", " ".join(text.lower().split()), "", alone=True),)
    return found


def _is_name(text: str) -> bool:
    return 1 < len(text) <= 80 and text[0].isalpha() and "\n" not in text and len(text.split()) <= 8


def _distinct(found: Iterable[Named]) -> tuple[Named, ...]:
    """The first `MOST_NAMED`, in order; names and files only where addresses leave room, so none can be crowded out."""
    kept: dict[Named, None] = {}
    weak = 0
    for item in found:
        before = len(kept)
        kept[item] = None
        if len(kept) == before:
            continue
        if item.kind not in _WEAK:
            if len(kept) - weak >= MOST_NAMED:
                break
        elif weak < MOST_NAMED:
            weak += 1
        else:
            del kept[item]
    room = MOST_NAMED - (len(kept) - weak)
    if weak <= room:
        return tuple(kept)
    spared = set(islice((item for item in kept if item.kind in _WEAK), room))
    return tuple(item for item in kept if item.kind not in _WEAK or item in spared)
