"""The values of a structured text, each with the key it stands under: JSON, Python literals, YAML as tools print it.

Reading is by scanners that can't fail, not by parsers: broken, cut-off or hostile text gives fewer values or more
running text, never an error, and prose inside a quoted or block value never looks like a value of its own.
"""

import re
from collections.abc import Iterator
from itertools import repeat
from typing import Any, Final, Literal

import msgspec

MOST_DEPTH: Final = 12

Structure = dict[str, Any] | list[Any]
"""What a JSON object or list stands for."""

Role = Literal["value", "text", "key"]
Leaf = tuple[Role, str, str]
"""What it is, the innermost key it stands under ("" without one), and the text.

A `key` may name something itself; one that is a single plain word, as nearly all are, is passed over.
"""

# Within quotes whole runs are matched: one character at a time costs twice as much.
_LITERAL: Final = re.compile(
    r"""("(?:[^"\\]++|\\.)*+(?:"|\Z)|'(?:[^'\\]++|\\.)*+(?:'|\Z))|([{}\[\](),:])|([^\s{}\[\](),:"']++)""", re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"\n": "", "n": "\n", "t": "\t", "r": "\r"}  # a line end first, as others come of the rest
_ENTRY: Final = re.compile(
    r"^([ ]*)((?:-[ ]+)*+)"
    r"(?:([^\s:'\"\[\]{}#&*!|>%`-][^:\n'\"]{0,80}+|'[^'\n]{1,80}'|\"[^\"\n\\]{1,80}\"):(?=[ \n]|\Z)[ ]*)?"
    r"('(?:[^']++|'')*+(?:'|\Z)|\"(?:[^\"\\]++|\\.)*+(?:\"|\Z)|[^\n]*+)([^\n]*+)\n?",
    re.MULTILINE | re.DOTALL,
)
_MARKS: Final = frozenset("'\"|>")
_END: Final = ("", "- ", "", "", "")
_BLOCK: Final = re.compile(r"[|>][+-]?\d?[+-]?\s*")
_MOST_LINE: Final = 60
_MOST_WORDS: Final = 7


def structure(text: str) -> Structure | None:
    """The object or list that a JSON text stands for; None for anything else, and for what nests too deep."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if isinstance(found, dict | list) else None


def looks_structured(text: str) -> bool:
    """Whether a text begins and ends as an object or list does."""
    return text[:1] in {"{", "["} and text[-1:] in {"}", "]"}


def of_structure(value: Structure, key: str = "", *, unwrap: bool = False) -> Iterator[Leaf]:
    """The leaves of decoded JSON, of repeated names the first; what nests deeper than `MOST_DEPTH` is running text.

    Args:
        value: What was decoded.
        key: What it stands under.
        unwrap: Take texts that are JSON themselves for what they hold, once.
    """
    names: set[str] = set()
    levels = [_level(key, value)]
    while levels:
        is_dict, pairs = levels[-1]
        for name, inner in pairs:
            if is_dict and not name.isidentifier() and name not in names:
                names.add(name)
                yield "key", "", name
            if isinstance(inner, str):
                found = structure(inner) if unwrap and looks_structured(inner) else None
                if found is None:
                    yield "value", name, inner
                else:
                    yield from of_structure(found, name)
            elif isinstance(inner, dict | list):
                if len(levels) >= MOST_DEPTH:
                    yield "text", name, _flat(inner)
                    continue
                levels.append(_level(name, inner))
                break
            elif isinstance(inner, int | float) and not isinstance(inner, bool):
                yield "value", name, str(inner)
        else:
            levels.pop()


def _level(key: str, value: Structure) -> tuple[bool, Iterator[tuple[str, Any]]]:
    """Whether names are a mapping's own, and what stands under them; a list's items stand under the list's."""
    return (True, iter(value.items())) if isinstance(value, dict) else (False, zip(repeat(key), value))


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

    Of repeated names the first. A value that runs over more lines, quoted, block or folded, is running text as a
    whole: the lines that continue it are those that are indented deeper.
    """
    leaves: list[Leaf] = []
    names: set[str] = set()
    levels: list[tuple[int, str]] = []
    begun, deeper = "", 0  # a value that lines may continue, and how far they are indented at least
    more: list[str] = []
    for space, dashes, name, value, rest in _entries(text):
        if begun and len(space) > deeper and (name or dashes or value or rest):
            more.append(f"{dashes}{name}: {value}{rest}" if name else f"{dashes}{value}{rest}")
            continue
        if not (name or dashes):
            if value or rest:
                return None
            continue
        if more:
            leaves[-1] = "text", leaves[-1][1], "\n".join((begun, *more))
            more = []
        indent = len(space) + len(dashes)
        while levels and levels[-1][0] >= indent + (not name):
            levels.pop()
        key = levels[-1][1] if levels else ""
        if name:
            key = name.strip("'\"") or key
            levels.append((indent, key))
            if not key.isidentifier() and key not in names:
                names.add(key)
                leaves.append(("key", "", key))
        begun, deeper = value + rest, indent if name else len(space)
        if begun:
            leaves.append(_scalar(key, value, rest) if value[:1] in _MARKS else ("value", key, begun))
    return leaves or None


def _entries(text: str) -> list[tuple[str, str, str, str, str]]:
    """The lines as `_ENTRY` takes them apart, and an empty item that ends the last; none if the first is prose."""
    first = text.lstrip().partition("\n")[0]
    return [*_ENTRY.findall(text), _END] if ":" in first or first[:1] == "-" else []


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


def _scalar(key: str, value: str, rest: str) -> Leaf:
    """A value that begins with a quote or as a block does."""
    mark = value[0]
    if mark in "|>":
        return ("text" if _BLOCK.fullmatch(value) else "value"), key, value + rest
    if rest.strip():
        return "value", key, value + rest
    closed = len(value) > 1 and value[-1] == mark
    inner = value[1:-1] if closed else value[1:]
    inner = _unescaped(inner) if mark == '"' else inner.replace("''", "'")
    return ("value" if closed and "\n" not in value else "text"), key, inner


def _unescaped(text: str) -> str:
    r"""A quoted string's content with `\n`, `\t`, `\"` and folded line ends taken for what they are."""
    if "\\" not in text:
        return text
    if "\\\\" in text or text[-1] == "\\":
        return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text)
    for letter, meant in _ESCAPED.items():
        text = text.replace("\\" + letter, meant)
    return text.replace("\\", "")


def _flat(value: Any) -> str:
    return msgspec.json.encode(value).decode()
