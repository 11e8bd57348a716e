"""The values of a structured text, each with the key it stands under: JSON, Python literals, YAML as tools print it.

Reading is by scanners that can't fail, not by parsers: broken, cut-off or hostile text gives fewer values or more
running text, never an error, and prose inside a quoted or block value never looks like a value of its own.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

MOST_DEPTH: Final = 12

Role = Literal["value", "text", "key"]
Leaf = tuple[Role, str, str]
"""What it is, the innermost key it stands under ("" without one), and the text. A `key` names something itself."""

_LITERAL: Final = re.compile(
    r"""("(?:[^"\\]|\\.)*+(?:"|\Z)|'(?:[^'\\]|\\.)*+(?:'|\Z))|([{}\[\](),:])|([^\s{}\[\](),:"']++)""", re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ENTRY: Final = re.compile(
    r"^([ ]*)((?:-[ ]+)*+)"
    r"(?:([^\s:'\"\[\]{}#&*!|>%`-][^:\n'\"]{0,80}|'[^'\n]{1,80}'|\"[^\"\n\\]{1,80}\"):(?=[ \n]|\Z)[ ]*)?"
    r"('(?:[^']|'')*+(?:'|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|[^\n]*+)([^\n]*+)\n?",
    re.MULTILINE | re.DOTALL,
)
_BLOCK: Final = re.compile(r"[|>][+-]?\d?[+-]?\s*")
_MOST_LINE: Final = 60
_MOST_WORDS: Final = 7


def structure(text: str) -> Any | None:
    """The object or list that a JSON text stands for; None for anything else, and for what nests too deep."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if isinstance(found, dict | list) else None


def looks_structured(text: str) -> bool:
    """Whether a text begins and ends as an object or list does."""
    return text[:1] in {"{", "["} and text[-1:] in {"}", "]"}


def of_structure(value: Any, key: str = "", depth: int = 0) -> Iterator[Leaf]:
    """The leaves of decoded JSON; what nests deeper than `MOST_DEPTH` is given as running text."""
    if isinstance(value, str):
        yield "value", key, value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield "value", key, str(value)
    elif isinstance(value, dict | list) and depth >= MOST_DEPTH:
        yield "text", key, _flat(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield "key", "", str(name)
            yield from of_structure(inner, str(name), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from of_structure(inner, key, depth + 1)


def of_literal(text: str) -> Iterator[Leaf]:
    """The leaves of a Python literal or of broken JSON. A string that never ends is running text."""
    keys = [""]
    scalar: list[str] = []  # not yet known to be a key or a value
    for match in _LITERAL.finditer(text):
        quoted, mark, bare = match.groups()
        if quoted is not None:
            if len(quoted) < 2 or quoted[-1] != quoted[0]:
                yield "text", keys[-1], quoted
                return
            scalar = [_unescaped(quoted[1:-1])]
        elif bare is not None:
            scalar.append(bare)
        elif mark == ":" and scalar:
            keys[-1] = " ".join(scalar)
            scalar = []
            yield "key", "", keys[-1]
        else:
            if scalar:
                yield "value", keys[-1], " ".join(scalar)
                scalar = []
            if mark in "{[(":
                keys.append(keys[-1])
            elif mark in ")]}" and len(keys) > 1:
                keys.pop()
    if scalar:
        yield "value", keys[-1], " ".join(scalar)


def of_lines(text: str) -> list[Leaf] | None:
    """The leaves of a text made of `key: value` and `- item` lines, None where a line is neither.

    A value that runs over more lines, quoted, block or folded, is running text as a whole.
    """
    leaves: list[Leaf] = []
    levels: list[tuple[int, str]] = []
    for (space, dashes, name, value, rest), more in _entries(text):
        if not name and not dashes:
            return None
        indent = len(space) + len(dashes)
        while levels and levels[-1][0] >= indent + (not name):
            levels.pop()
        key = name.strip("'\"") or (levels[-1][1] if levels else "")
        if name:
            leaves.append(("key", "", key))
            levels.append((indent, key))
        if value or rest:
            leaves.append(_scalar(key, value, rest, more))
    return leaves or None


def _entries(text: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each entry with the lines that continue its value: those that are indented deeper than it."""
    entry: tuple[str, ...] = ()
    more: list[str] = []
    deeper = 0
    for found in _ENTRY.findall(text):
        space, dashes, name, value, rest = found
        if not (dashes or name or value or rest):
            continue
        if entry and (entry[3] or entry[4]) and len(space) > deeper:
            more.append(f"{dashes}{name}: {value}{rest}" if name else f"{dashes}{value}{rest}")
            continue
        if entry:
            yield entry, more
        entry, more = found, []
        deeper = len(space) + len(dashes) if name else len(space)
    if entry:
        yield entry, more


def of_list(text: str) -> list[Leaf] | None:
    """The items of a plain list, one short line each, perhaps under a `Title:`; None where lines are prose."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if not 1 < len(lines) <= 200:
        return None
    if lines[0].endswith(":"):
        lines = lines[1:]
    else:
        lines[0] = lines[0].rpartition(": ")[2]
    if any(len(line) > _MOST_LINE or line[-1:] in ".!?,:>" or len(line.split()) > _MOST_WORDS for line in lines):
        return None
    return [("value", "", line) for line in lines if line]


def _scalar(key: str, value: str, rest: str, more: list[str]) -> Leaf:
    if more:
        return "text", key, "\n".join((value + rest, *more))
    if value[:1] in {"'", '"'} and not rest.strip():
        closed = len(value) > 1 and value[-1] == value[0]
        inner = value[1:-1] if closed else value[1:]
        inner = _unescaped(inner) if value[0] == '"' else inner.replace("''", "'")
        return ("value" if closed and "\n" not in value else "text"), key, inner
    return ("text" if _BLOCK.fullmatch(value) else "value"), key, value + rest


def _unescaped(text: str) -> str:
    r"""A quoted string's content with `\n`, `\t`, `\"` and folded line ends taken for what they are."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: {"n": "\n", "t": "\t", "r": "\r", "\n": ""}.get(match[1], match[1]), text)


def _flat(value: Any) -> str:
    return msgspec.json.encode(value).decode()
