"""What running text mentions: the words that may name something are found at once, all others passed over.

Time grows with the text: a word is looked at once, cut to a fixed length, and what stands between is searched for
its marks alone. Most text is nothing but letters and spaces.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from detector.events import Named, NamedKind
from detector.extraction import entities

_SHORT: Final = 128
_MARK: Final = re.compile(r"[@/#\\]|\.(?!\.)|\d{6}|^[A-Z]{2}\d{2}")
_PIECE: Final = re.compile(r"[^\"<>()\[\]{}|,;`]++")
# A pattern that begins with a set is searched several times as fast as one that begins with a choice, and a set of
# ASCII alone faster still. A full stop, a year or a time that ends a word is no mark.
_AFTER_MARK: Final = r"(?:(?<=[^.\d])|(?<=\.)(?=[^\s.])|(?<=\d)(?=\d{5})|(?<=[A-Z][A-Z]\d)(?=\d))\S*+"
_MARKED: Final = re.compile(r"[@\uff20\ufe6b/#\\.\d]" + _AFTER_MARK)
_MARKED_ASCII: Final = re.compile(r"[@/#\\.0-9]" + _AFTER_MARK)


def in_text(text: str, key: str = "", *, addressed: bool = False) -> Iterable[Named]:
    """What running text mentions, word by word, then what is written with spaces; repeats included.

    If it is `addressed`, all with an @ is an address, `drop@attacker` too.
    """
    marked = _MARKED_ASCII if text.isascii() else _MARKED
    first = marked.search(text)
    if first is None and "+" not in text:
        return ()
    return _in_marked(text, key, addressed, marked, first.start() if first else len(text))


def _in_marked(text: str, key: str, addressed: bool, marked: re.Pattern[str], first: int) -> Iterator[Named]:
    if "\\n" in text:  # escaped once too often, as models do
        text = text.replace("\\n", " ")
    counted = False  # whether a word ends as the first group of an account in groups does
    last = 0
    for match in marked.finditer(text, first):
        start, end = match.span()
        before = text[last:start]
        if before and not before[-1].isspace():  # the word began before its mark; those without one are passed over
            start -= len(before.rsplit(None, 1)[-1])
        written, last = text[start:end], end
        counted = counted or written[-1].isdigit()
        found = (
            _in_short_word(written, addressed)
            if len(written) <= _SHORT
            else _in_word(written[: 4 * entities.MOST_VALUE], addressed)
        )
        for kind, value in found:
            yield Named(kind, value, key)
    for kind, value in entities.with_spaces(text, grouped=counted):
        yield Named(kind, value, key)


def _in_word(written: str, addressed: bool) -> tuple[tuple[NamedKind, str], ...]:
    word = entities.plain_at(written).strip(entities.EDGE)
    if word.isalpha() or not _MARK.search(word):
        return ()
    pieces = (piece.strip(entities.EDGE) for piece in _PIECE.findall(word))
    return tuple(
        (kind, value[: entities.MOST_VALUE])
        for piece in pieces
        for kind, value in entities.in_word(piece, addressed=addressed)
    )


# Prose repeats itself too: the same people, sites and figures.
_in_short_word: Final = lru_cache(maxsize=8192)(_in_word)
