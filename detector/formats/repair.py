r"""JSON that is almost some: what a caller chose must neither hide its own record nor those beside it.

Half an emoji, as JavaScript writes a text that was cut (`"\ud83d"`), a byte that is no UTF-8, and values nested so
deeply that no reader follows make a message unreadable as a whole. All three are put right in a copy.
"""

import re
from typing import Final

import msgspec

MOST_DEPTH: Final = 200

_LOW: Final = rb"u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}(?:\\%b)?|%b|.)" % (_LOW, _LOW), re.DOTALL)
_UNPAIRED: Final = len(b"\\ud83d")
_NESTING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def is_repairable(error: Exception) -> bool:
    """Whether what made a message unreadable may be one of the three."""
    if isinstance(error, msgspec.ValidationError):
        return False
    if isinstance(error, msgspec.DecodeError):
        return "trailing characters" not in str(error)  # more JSON behind the first: see `values`
    return isinstance(error, UnicodeDecodeError | RecursionError)


def repaired(raw: bytes) -> bytes:
    r"""JSON in which each half of a pair of surrogates and each byte that is no UTF-8 is U+FFFD, deep values null.

    >>> repaired(b'["\\ud83d", "\\ud83d\\ude00", "\\\\ud83d", "\xff"]')
    b'["\\ufffd", "\\ud83d\\ude00", "\\\\ud83d", "\xef\xbf\xbd"]'
    """
    raw = raw.decode("utf-8", "replace").encode()
    if b"\\u" in raw:
        raw = _ESCAPE.sub(lambda found: b"\\ufffd" if len(found[0]) == _UNPAIRED else found[0], raw)
    return _shallow(raw)


def _shallow(raw: bytes) -> bytes:
    kept: list[bytes] = []
    depth = last = begin = 0
    for found in _NESTING.finditer(raw):
        mark = raw[found.start()]
        if mark in b"[{":
            if depth == MOST_DEPTH:
                begin = found.start()
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == MOST_DEPTH:
                kept += raw[last:begin], b"null"
                last = found.end()
    return b"".join((*kept, raw[last:])) if kept else raw
