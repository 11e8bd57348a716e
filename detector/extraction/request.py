"""The words of what a person asked, and whether they name something."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from detector.events import Named
from detector.extraction.entities import EDGE
from detector.extraction.prose import in_text

_MOST_TEXT: Final = 200_000
_MOST_WORD: Final = 512
_SHORT: Final = 4096
_MOST_CUT: Final = _MOST_TEXT // _MOST_WORD  # of the words of a text, so many are longer than is kept
_TOKEN: Final = re.compile(r"[^\s\"<>()\[\]{}|,;`]++")
_APART: Final = str.maketrans(dict.fromkeys('"<>()[]{}|,;`', " "))
_PART: Final = re.compile(r"[^\W_]+")


def words(*texts: str, most: int = 1000) -> tuple[str, ...]:
    """The distinct lower-case words of a request, by first appearance, at most `most`.

    What is past the most goes unread, so give the texts that matter most first. Of each, in order, first every entity
    in its canonical form (see the package); then each run of characters between spaces, quotes and brackets
    without the punctuation around it, as it is ("bill-2023.txt", "#general", "ann@x.com") and in its parts
    ("bill", "2023", "txt").

    >>> words("Send Bob's bill-2023.txt to ann@x.com")
    ('bill-2023.txt', 'ann@x.com', 'send', "bob's", 'bob', 's', 'bill', '2023', 'txt', 'to', 'ann', 'x', 'com')
    """
    return (_words_of_short if sum(map(len, texts)) <= _SHORT else _words)(texts, most)


def _words(texts: Sequence[str], most: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    left = _MOST_TEXT
    for text in texts:
        _add(found, text[:left], most)
        if len(found) >= most:
            break
        left = max(0, left - len(text))
    return tuple(islice(found, most))


# Every call of a model within a conversation tells again what was asked.
_words_of_short: Final = lru_cache(maxsize=256)(_words)


def _add(found: dict[str, None], text: str, most: int) -> None:
    for item in in_text(text):
        found[item.value] = None
        if len(found) >= most:
            return
    for token in islice(dict.fromkeys(_tokens(text)), most + _MOST_CUT):
        if token.isalnum():
            found[token[:_MOST_WORD]] = None
            continue
        word = token.strip(EDGE)
        if word:
            found[word[:_MOST_WORD]] = None
        if not word.isalnum():
            for part in _PART.findall(word):
                found[part[:_MOST_WORD]] = None


def _tokens(text: str) -> list[str]:
    """In lower case; what splits ASCII in no time takes long for other letters."""
    if text.isascii():
        return text.lower().translate(_APART).split()
    return [token.lower() for token in _TOKEN.findall(text)]


def mentions(request: Collection[str], named: Named) -> bool:
    """Whether a request's words (a set is fastest) name this.

    A name is named by all of its words, a path by its last part too; everything else by its canonical form.

    >>> mentions(words("book the Sea View"), Named("name", "sea view"))
    True
    >>> mentions(words("post this on x.com"), Named("url", "x.com/drop"))
    False
    """
    if named.value in request:
        return True
    if named.kind in {"name", "channel"}:
        parts = _PART.findall(named.value)
        return bool(parts) and all(part in request for part in parts)
    return named.kind == "path" and re.split(r"[/\\]", named.value)[-1] in request
