"""The words of what a person asked, and whether they name something."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from detector.events import Named
from detector.extraction.entities import EDGE, in_text

_MOST_TEXT: Final = 200_000
_MOST_WORD: Final = 512
_TOKEN: Final = re.compile(r"[^\s\"<>()\[\]{}|,;`]++")
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
    found: dict[str, None] = {}
    left = _MOST_TEXT
    for text in texts:
        for word in _every(text[:left]):
            found[word[:_MOST_WORD]] = None
            if len(found) >= most:
                return tuple(found)
        left = max(0, left - len(text))
    return tuple(found)


def _every(text: str) -> Iterator[str]:
    for item in in_text(text):
        yield item.value
    for token in dict.fromkeys(_TOKEN.findall(text)):
        word = token.lower().strip(EDGE)
        if word:
            yield word
            if not word.isalnum():
                yield from _PART.findall(word)


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
